"""Makes Tests/GRPOTests/Goldens/rewards.json: what TRL's own reward functions, and open-r1's formulas, say of random completions.

rewards.py [--cases N] [--seed N] [--output FILE]. Run it with the python of scripts/oracles/venv. A record is {"reward", "parameters" (keys of
our configuration), "completions", "completion_ids", "columns", "rewards"}; those of the accuracy rewards have one completion each.
"""
import argparse
import json
import logging
import pathlib
import random
import re

from trl.rewards import (accuracy_reward, get_cosine_scaled_reward, get_repetition_penalty_reward, get_soft_overlong_punishment,
                         reasoning_accuracy_reward, think_format_reward)

ROOT = pathlib.Path(__file__).resolve().parents[2]


def chat(completions):
    return [[{"role": "assistant", "content": text}] for text in completions]


# open-r1, by the formulas of its documentation.

def format_reward(texts):
    return [float(bool(re.match(r"^<think>\n.*?\n</think>\n<answer>\n.*?\n</answer>$", text, re.DOTALL | re.MULTILINE))) for text in texts]


def code_format_reward(texts, languages):
    pattern = r"^<think>\n.*?\n</think>\n<answer>\n.*?```%s.*?```.*?\n</answer>$"
    return [float(bool(re.match(pattern % language, text, re.DOTALL | re.MULTILINE))) for text, language in zip(texts, languages)]


def tag_count_reward(texts):
    return [sum(text.count(tag) == 1 for tag in ("<think>\n", "\n</think>\n", "\n<answer>\n", "\n</answer>")) / 4 for text in texts]


def reasoning_steps_reward(texts):
    step = re.compile(r"(Step \d+:|^\d+\.|\n-|\n\*|First,|Second,|Next,|Finally,)")
    return [min(1.0, len(step.findall(text)) / 3) for text in texts]


def len_reward(texts, correct):
    lengths = [len(text) for text in texts]
    low, high = min(lengths), max(lengths)
    if low == high:
        return [0.0] * len(texts)
    shares = [0.5 - (length - low) / (high - low) for length in lengths]
    return [share if right is None or right else min(0.0, share) for share, right in zip(shares, correct)]


# Texts of tags, words and noise, of which some have the form that a reward wants.

PIECES = ["<think>", "</think>", "<answer>", "</answer>", "\n", "\n", " ", "word", "é", "```python", "```cpp", "```", "1.", "Step 1:", "Step 22:", "- a",
          "\n- b", "\n* c", "First,", "Next,", "Finally,", "12. ", "👩‍👧"]
FORMS = ["<think>\n{}\n</think>\n<answer>\n{}\n</answer>", "<think>{}</think>{}", "<think>\n{}\n</think>\n<answer>\n{}\n```python\nx\n```\n</answer>",
         "<think>\n{}\n</think>\n<answer>\n{}\n</answer>\n", "{}<think>{}</think>"]


def text(rng):
    def noise():
        return "".join(rng.choice(PIECES) for _ in range(rng.randint(0, 6)))
    return noise() if rng.random() < 0.3 else rng.choice(FORMS).format(noise(), noise())


# Answers: a value in one of its spellings.

def fraction(rng, n, d):
    sign, n = ("-" if n < 0 else ""), abs(n)
    ways = [rf"{sign}\frac{{{n}}}{{{d}}}", rf"{sign}\dfrac{{{n}}}{{{d}}}", f"{sign}{n}/{d}", rf"\frac{{{sign}{n}}}{{{d}}}",
            rf"{sign}\frac{{{2 * n}}}{{{2 * d}}}"]
    if d in (1, 2, 4, 5, 8):
        ways.append(f"{sign}{n / d:g}" if d > 1 else f"{sign}{n}")
    return rng.choice(ways)


def value(rng, kind, seed):
    """A spelling of the value of that kind and seed: the same value for the same seed."""
    v = random.Random(f"{kind}-{seed}")
    a, b, c = v.randint(-9, 9), v.randint(1, 9), v.randint(2, 9)
    if kind == "integer":
        n = v.choice([a, a * 137, 1000 * b + 234, 12345678 * b])
        return rng.choice([str(n), f"{n:,}", f"{n}.0", rf"{n}\text{{ cm}}", rf"{n}^\circ" if abs(n) < 360 else str(n), f"x={n}", rf"\${n}" if n >= 0 else str(n)])
    if kind == "fraction":
        return fraction(rng, a, c)
    if kind == "percent":
        return rng.choice([rf"{b * 5}\%", f"{b * 5}", f"{b * 5 / 100:g}", rf"\frac{{{b}}}{{20}}"])
    if kind == "root":
        return rng.choice([rf"{b}\sqrt{{{c}}}", rf"\sqrt{{{b * b * c}}}", rf"\sqrt{{{c}}}\cdot {b}", rf"\frac{{{b * c}}}{{\sqrt{{{c}}}}}"])
    if kind == "polynomial":
        return rng.choice([f"(x+{b})(x+{c})", f"x^2+{b + c}x+{b * c}", f"{b * c}+{b + c}x+x^2", rf"x^{{2}} + {b + c} x + {b * c}"])
    if kind == "set":
        members = [fraction(rng, n, c) for n in sorted(v.sample(range(-9, 10), 3))]
        rng.shuffle(members)
        return rng.choice(["{}", r"\{{{}\}}", r"\left\{{{}\right\}}"]).format(", ".join(members))
    if kind == "point":
        return rng.choice([r"({},{},{})", r"\left({}, {}, {}\right)"]).format(fraction(rng, a, c), b, fraction(rng, b, c))
    if kind == "interval":
        low, high = sorted(v.sample(range(-9, 10), 2))
        left, right = v.choice("[("), v.choice("])")
        return rng.choice(["{}{},{}{}", r"\left{} {}, {} \right{}"]).format(left, fraction(rng, low, 1), fraction(rng, high, 1), right)
    if kind == "union":
        return rng.choice([rf"(-\infty,{a}]\cup[{a + b},\infty)", rf"\left(-\infty, {a}\right] \cup \left[{a + b}, \infty\right)"])
    if kind == "equation":
        return rng.choice([f"y={b}x+{c}", f"y = {c} + {b}x"])
    if kind == "power":
        return rng.choice([f"{c}^{{{b}}}", str(c**b), rf"{c}^{{{b - 1}}} \times {c}"])
    if kind == "function":
        return rng.choice([rf"{b}\pi", rf"\pi \cdot {b}", rf"\frac{{{2 * b}\pi}}{{2}}"])
    raise ValueError(kind)


KINDS = ["integer", "fraction", "percent", "root", "polynomial", "set", "point", "interval", "union", "equation", "power", "function"]
FRAMES = [r"So \boxed{%s}.", r"$\boxed{%s}$", r"We get $\boxed{%s}$ in the end.", r"The final answer is $%s$.", r"Answer: $%s$", r"\[\boxed{%s}\]",
          r"First \boxed{17}, but no: we made a mistake on the way, and it is all quite different. In truth it is \boxed{%s}", r"It is $%s$.", "It is %s"]


def accuracy_case(rng):
    kind, seed = rng.choice(KINDS), rng.randint(0, 400)
    other = seed if rng.random() < 0.6 else rng.randint(0, 400)
    completion = rng.choice(FRAMES) % value(rng, kind, other)
    if rng.random() < 0.3:
        completion = "<think>" + rng.choice([r"\boxed{3}", "hm"]) + rng.choice(["</think>", "</think>", ""]) + completion
    if rng.random() < 0.04:
        return completion, "There is none."
    return completion, rng.choice(["$%s$", r"\boxed{%s}", "The answer is $%s$."]) % value(rng, kind, seed)


# Regular expressions, and texts for them.

def expression(rng, depth=0):
    def atom():
        kind = rng.random()
        if kind < 0.3 and depth < 3:
            return rng.choice(["(%s)", "(?:%s)", "(?P<n%d>%%s)" % rng.randint(0, 10**9)]) % expression(rng, depth + 1)
        if kind < 0.5:
            return rng.choice([r"\d", r"\w", r"\s", r"\D", r"\W", r"\S", ".", "[ab]", "[^a]", "[a-c1]", r"[\d_]", r"[^\s]", "[]a]", "[a-]", r"\.", r"\b"])
        return rng.choice("aab1 \n_A")
    parts = [atom() + rng.choice(["", "", "", "*", "+", "?", "*?", "+?", "{2}", "{1,2}", "{,2}", "{2,}"]) for _ in range(rng.randint(1, 4))]
    pattern = "".join(rng.choice(["", "", "", "", "^", "$"]) + part for part in parts)
    return pattern + ("|" + expression(rng, depth + 1) if rng.random() < 0.2 and depth < 3 else "")


def expressions(rng, count):
    found = []
    while len(found) < count:
        pattern = rng.choice(["", "", "(?i)", "(?m)", "(?s)", "(?ims)"]) + expression(rng)
        try:
            re.compile(pattern)
        except re.error:
            continue
        found.append(pattern)
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=80)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "Tests/GRPOTests/Goldens/rewards.json")
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    logging.disable(logging.CRITICAL)
    records = []

    def add(reward, rewards, completions, ids=None, parameters=None, **columns):
        records.append({"reward": reward, "parameters": parameters or {}, "completions": completions,
                        "completion_ids": ids or [[1]] * len(completions), "columns": columns, "rewards": rewards})

    texts = [text(rng) for _ in range(arguments.cases)]
    languages = [rng.choice(["python", "cpp"]) for _ in texts]
    add("think_format_reward", think_format_reward(chat(texts)), texts)
    add("format_reward", format_reward(texts), texts)
    add("code_format_reward", code_format_reward(texts, ["python"] * len(texts)), texts)
    add("code_format", code_format_reward(texts, languages), texts, language=languages)
    add("tag_count_reward", tag_count_reward(texts), texts)
    add("reasoning_steps_reward", reasoning_steps_reward(texts), texts)

    ids = [[rng.randint(0, 3) for _ in range(rng.randint(1, 40))] for _ in texts]
    for size, penalty in ((1, -1.0), (2, -0.5), (3, -1.0)):
        add("get_repetition_penalty_reward", get_repetition_penalty_reward(size, penalty)(ids), texts, ids,
            {"repetition_n_grams": size, "repetition_max_penalty": penalty})
    for longest, cache in ((30, 20), (30, 0), (10, 30)):
        add("get_soft_overlong_punishment", get_soft_overlong_punishment(longest, cache)(ids), texts, ids,
            {"max_completion_len": longest, "soft_punish_cache": cache})

    noise = ["".join(rng.choice("aab1 \n_A-é٣") for _ in range(rng.randint(0, 8))) for _ in range(24)]
    for pattern in expressions(rng, arguments.cases // 2):
        add("regex", [float(bool(re.search(pattern, text))) for text in noise], noise, parameters={"regex_reward_pattern": pattern})

    cases = [accuracy_case(rng) for _ in range(arguments.cases)]
    completions, solutions = [case[0] for case in cases], [case[1] for case in cases]
    correct = accuracy_reward(chat(completions), solutions)
    add("accuracy_reward", correct, completions, solution=solutions)
    add("reasoning_accuracy_reward", reasoning_accuracy_reward(chat(completions), solutions), completions, solution=solutions)
    few = slice(0, 24)
    ids = [[1] * rng.randint(1, 60) for _ in completions[few]]
    add("get_cosine_scaled_reward", get_cosine_scaled_reward(max_len=40)(chat(completions[few]), solutions[few], ids), completions[few], ids,
        {"cosine_max_len": 40}, solution=solutions[few])
    add("len_reward", len_reward(completions[few], correct[few]), completions[few], solution=solutions[few])

    lines = ",\n".join(json.dumps(record, ensure_ascii=False) for record in records)
    arguments.output.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


main()
