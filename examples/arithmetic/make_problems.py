"""Makes the arithmetic problems: make_problems.py [DIRECTORY], by default the directory of this file.

held_out.jsonl (128): chains of two to four numbers of one or two digits, added and subtracted.
train.jsonl (512, none of them in held_out.jsonl): the same, with more short ones, of which some begin where a longer chain may have got to.
Seeded: every run writes the same bytes.
"""
import json
import pathlib
import random
import sys

# The example shows the form to a model that has never seen it: without one it answers in the form once in fifty times, too rarely to learn from.
SYSTEM = (
    "Think inside <think></think>, then give only the final answer inside <answer></answer>. "
    "For example, to 38 + 7 - 60 + 9 you reply <think>38 + 7 = 45, 45 - 60 = -15, -15 + 9 = -6</think><answer>-6</answer>"
)
TRAIN, HELD_OUT = 512, 128


def number(rng: random.Random) -> int:
    return rng.randint(1, 9) if rng.random() < 0.5 else rng.randint(10, 99)


def problem(rng: random.Random, terms: int, first: int) -> tuple[str, int]:
    text, value = str(first), first
    for _ in range(terms - 1):
        sign, following = rng.choice([1, -1]), number(rng)
        text += f" {'+' if sign == 1 else '-'} {following}"
        value += sign * following
    return text, value


def training_problem(rng: random.Random) -> tuple[str, int]:
    """One step alone is where a wrong step shows: two numbers twice in five times, half of those from where a chain may stand."""
    terms = rng.choices([2, 3, 4], weights=[4, 3, 3])[0]
    return problem(rng, terms, rng.randint(-99, 199) if terms == 2 and rng.random() < 0.5 else number(rng))


def line(text: str, value: int) -> str:
    question = f"What is {text}?"
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]
    return json.dumps({"prompt": messages, "question": question, "answer": str(value)}) + "\n"


def main():
    directory = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent
    directory.mkdir(parents=True, exist_ok=True)
    rng = random.Random(20260101)
    held_out: dict[str, int] = {}  # keeps the order in which they came, each once
    while len(held_out) < HELD_OUT:
        text, value = problem(rng, rng.choice([2, 3, 4]), number(rng))
        held_out[text] = value
    train: dict[str, int] = {}
    while len(train) < TRAIN:
        text, value = training_problem(rng)
        if text not in held_out:
            train[text] = value
    for name, part in (("train", train), ("held_out", held_out)):
        partial = directory / f"{name}.jsonl.partial"
        partial.write_text("".join(line(*item) for item in part.items()), encoding="utf-8")
        partial.rename(directory / f"{name}.jsonl")


main()
