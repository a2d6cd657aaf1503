#!/usr/bin/env python3
"""Random regular expressions of the supported syntax, and which texts Python's re.fullmatch takes (with re.ASCII, as constraints have it).

    scripts/goldens/answer_patterns.py Tests/GRPOTests/Goldens/answer-patterns.json

[[expression, [texts that match], [texts that do not]], ...]
"""
import json
import random
import re
import signal
import sys

ALPHABET = "ab1 é中😀-\n"
ATOMS = ["a", "b", "1", "é", "中", "😀", ".", r"\d", r"\w", r"\s", r"\S", r"\D", r"\W", r"\n", r"\-", "[ab]", "[^a]", "[a-é]", "[^é-中]", r"[\d中-]", "[]a]",
         r"[\s\S]", "[^\\n]", r"\x61", r"\u4e2d", "(?:)", "{", "a{"]
QUANTIFIERS = ["", "", "", "*", "+", "?", "{2}", "{1,3}", "{0,2}", "{,2}", "{2,}", "*?", "+?"]


def expression(rng, depth=0):
    branches = []
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        parts = []
        for _ in range(rng.randint(0 if depth else 1, 3)):
            part = rng.choice(ATOMS)
            if depth < 3 and rng.random() < 0.3:
                part = rng.choice(["(", "(?:", "(?P<n%d>" % rng.randrange(10**6)]) + expression(rng, depth + 1) + ")"
            parts.append(part + (rng.choice(QUANTIFIERS) if part not in ("{", "a{") else ""))
        branches.append("".join(parts))
    return "|".join(branches)


def too_slow(*_):
    raise TimeoutError


def main():
    # Python's matcher backtracks: some of these would take it for ever.
    signal.signal(signal.SIGALRM, too_slow)
    rng, rows = random.Random(4), []
    while len(rows) < 200:
        pattern = expression(rng)
        if len(pattern) > 60:
            continue
        try:
            compiled = re.compile(f"^(?:{pattern})$" if rng.random() < 0.1 else pattern, re.ASCII)
        except re.error:
            continue
        texts = {"".join(rng.choice(ALPHABET) for _ in range(rng.randint(0, 5))) for _ in range(100)}
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        try:
            yes = sorted(t for t in texts if compiled.fullmatch(t))
            no = sorted(t for t in texts if not compiled.fullmatch(t))
        except TimeoutError:
            continue
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        if yes:
            rows.append([compiled.pattern, rng.sample(yes, min(8, len(yes))), rng.sample(no, min(8, len(no)))])
    with open(sys.argv[1], "w") as file:
        file.write("[" + ",\n".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in rows) + "]\n")


main()
