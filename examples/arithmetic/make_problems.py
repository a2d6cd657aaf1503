"""Makes the arithmetic problems: make_problems.py [DIRECTORY], by default the directory of this file.

train.jsonl (512) and held_out.jsonl (64, none of them in train.jsonl): sums and differences of two or three numbers of one or two digits.
Seeded: every run writes the same bytes.
"""
import json
import pathlib
import random
import sys

# The example shows the form to a model that has never seen it: without one it answers in the form once in fifty times, too rarely to learn from.
SYSTEM = (
    "Think inside <think></think>, then give only the final answer inside <answer></answer>. "
    "For example, to 4 + 3 you reply <think>4 + 3 = 7</think><answer>7</answer>"
)
TRAIN, HELD_OUT = 512, 64


def problem(rng: random.Random) -> tuple[str, int]:
    numbers = [rng.randint(1, 9) if rng.random() < 0.5 else rng.randint(10, 99) for _ in range(rng.choice([2, 3]))]
    text, value = str(numbers[0]), numbers[0]
    for number in numbers[1:]:
        sign = rng.choice([1, -1])
        text += f" {'+' if sign == 1 else '-'} {number}"
        value += sign * number
    return text, value


def main():
    directory = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent
    directory.mkdir(parents=True, exist_ok=True)
    rng = random.Random(20260101)
    problems: dict[str, int] = {}  # keeps the order in which they came, each once
    while len(problems) < TRAIN + HELD_OUT:
        text, value = problem(rng)
        problems[text] = value
    rows = []
    for text, value in problems.items():
        question = f"What is {text}?"
        messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]
        rows.append(json.dumps({"prompt": messages, "question": question, "answer": str(value)}) + "\n")
    for name, part in (("train", rows[:TRAIN]), ("held_out", rows[TRAIN:])):
        partial = directory / f"{name}.jsonl.partial"
        partial.write_text("".join(part), encoding="utf-8")
        partial.rename(directory / f"{name}.jsonl")


main()
