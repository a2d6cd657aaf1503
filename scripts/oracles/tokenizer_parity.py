#!/usr/bin/env python3
"""Compares `grpo-cli tokenize` with Hugging Face's tokenizers on one model: ids and decoded texts.

    pip install tokenizers==0.23.3
    scripts/oracles/tokenizer_parity.py MODEL_DIR [TEXT...] [--binary .build/release/grpo-cli]

Compared: edge cases; 10 MB of source code, of prose in 22 languages, of emoji, control characters and lone combining marks, of bytes that are not UTF-8;
every Unicode scalar alone and between letters, pairs that normalisation could join, contractions with every character, and 200,000 random texts; then
decoding of all those ids, of random ids, with and without special tokens.
Texts travel many to a file with <|endoftext|> between them, a special token on both sides, so one start of the program serves thousands.
Exit code 1, and the first differences, if anything differs.
"""
import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import unicodedata

from tokenizers import Tokenizer

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import tokenizer_samples as samples

SEPARATOR = "<|endoftext|>"
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("model", type=pathlib.Path)
parser.add_argument("texts", type=pathlib.Path, nargs="*", help="more files to encode")
parser.add_argument("--binary", default=".build/release/grpo-cli")
arguments = parser.parse_args()
oracle = Tokenizer.from_file(str(arguments.model / "tokenizer.json"))
separator = oracle.token_to_id(SEPARATOR)
failures = 0


def ours(content, *options):
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        command = [arguments.binary, "tokenize", str(arguments.model), file.name, *options]
        return subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout


def report(what, compared, differences):
    global failures
    failures += len(differences)
    print(f"{'ok  ' if not differences else 'FAIL'} {what}: {compared} compared, {len(differences)} differ", flush=True)
    for difference in differences[:5]:
        print("    " + "\n    ".join(ascii(d) for d in difference))


def split(ids):
    out, current = [], []
    for i in ids:
        if i == separator:
            out.append(current)
            current = []
        else:
            current.append(i)
    return out + [current]


def compare_encoding(what, texts):
    theirs = [e.ids for e in oracle.encode_batch(texts, add_special_tokens=False)]
    mine = split(json.loads(ours(SEPARATOR.join(texts).encode())))
    assert len(mine) == len(theirs), (len(mine), len(theirs))
    size = sum(len(t.encode()) for t in texts) / 1e6
    report(f"encode {what}, {size:.2f} MB", len(texts), [(t, m, o) for t, m, o in zip(texts, mine, theirs) if m != o])
    return theirs


def compare_decoding(what, ids):
    """Lists of ids in one call, kept apart by the separator, which must be decoded to be seen; alone where it would vanish."""
    joined = [i for row in ids for i in [*row, separator]]
    mine = ours(json.dumps(joined).encode(), "--decode").decode().split(SEPARATOR)[:-1]
    theirs = oracle.decode(joined, skip_special_tokens=False).split(SEPARATOR)[:-1]
    single = [oracle.decode(row, skip_special_tokens=False) for row in ids]
    report(f"decode {what}", len(ids), [(i, m, o) for i, m, o, s in zip(ids, mine, theirs, single) if m != o or o != s])
    mine, theirs = ours(json.dumps(joined).encode(), "--decode", "--skip-special-tokens").decode(), oracle.decode(joined, skip_special_tokens=True)
    report(f"decode {what}, special tokens skipped", 1, [] if mine == theirs else [(mine[:200], theirs[:200])])


texts = samples.TEXTS
ids = compare_encoding("edge cases", texts)
code, size = [], 0
for path in sorted(pathlib.Path(json.__file__).parents[1].rglob("*.py")):
    if size < 4e6:
        code.append(path.read_text(errors="replace").replace(SEPARATOR, ""))
        size += len(code[-1].encode())
compare_encoding("source code", code)


def parts(text):
    """A text as a whole, but in parts that are quick to look at where they differ."""
    return [text[i:i + 20_000] for i in range(0, len(text), 20_000)]


for language in samples.PROSE:
    compare_encoding(f"prose, {language}", parts(samples.prose(language, 200_000, 1)))
for kind in ["emoji", "control", "marks"]:
    compare_encoding(kind, parts(samples.oddities(kind, 500_000, 1)))
for path in arguments.texts:
    content = path.read_bytes().decode(errors="replace").replace(SEPARATOR, "")
    compare_encoding(path.name, [content, *content.splitlines(keepends=True)])
rng = random.Random(3)
broken = [bytes(rng.choice([rng.randrange(256), rng.randrange(0x80, 0x100), rng.choice(b"ab \xe4\xf0\x9f\xed\xa0")]) for _ in range(rng.randint(1, 40)))
          for _ in range(25_000)]
broken += [b"".join(rng.choice([t.encode(), t.encode()[:-1], b"\xc3", b"\xe4\xb8"]) for t in samples.random_texts(8, n)) for n in range(1000)]
broken = [b.replace(SEPARATOR.encode(), b"") for b in broken]
theirs = [oracle.encode(b.decode(errors="replace"), add_special_tokens=False).ids for b in broken]
mine = split(json.loads(ours(SEPARATOR.encode().join(broken))))
report(f"encode bytes that are not UTF-8, {sum(map(len, broken)) / 1e6:.2f} MB", len(broken), [(b, m, o) for b, m, o in zip(broken, mine, theirs) if m != o])
every = [chr(c) for c in samples.scalars()]
compare_encoding("every scalar alone", every)
compare_encoding("every scalar between letters", [f"a{c}b" for c in every])
compare_encoding("every scalar after a space, a digit, an apostrophe", [f" {c} 1{c}'{c}'{c}e'r{c}" for c in every])
compare_encoding("every scalar among marks", [f"a\u0323{c}\u0300\u0327 \u0345{c}" for c in every])
decomposable = [c for c in every if unicodedata.normalize("NFD", c) != c]
compare_encoding("decomposed", [unicodedata.normalize("NFD", c) + "\u0323" for c in decomposable])
seconds = sorted({unicodedata.normalize("NFD", c)[-1] for c in decomposable if not 0xAC00 <= ord(c) < 0xD7A4} | {"\u1161", "\u11a8", "\u11a7"})
firsts = sorted({unicodedata.normalize("NFD", c)[0] for c in decomposable} | {"\uac00", "\uac01"})
compare_encoding("pairs of first and second", [a + b for a in firsts for b in seconds])
randoms = samples.random_texts(200_000, seed=1)
ids += compare_encoding("random texts", randoms)
oracle.encode_special_tokens = True
theirs = [e.ids for e in oracle.encode_batch(randoms[:40], add_special_tokens=False)]
mine = [json.loads(ours(t.encode(), "--no-special")) for t in randoms[:40]]
report("encode random texts, special tokens as text", 40, [(t, m, o) for t, m, o in zip(randoms[:40], mine, theirs[:40]) if m != o])
oracle.encode_special_tokens = False
compare_decoding("those ids", ids[:20_000])
rng = random.Random(2)
known = [i for i in range(oracle.get_vocab_size()) if i != separator]
compare_decoding("random ids", [[rng.choice(known) for _ in range(rng.randint(0, 20))] for _ in range(5000)])
compare_decoding("every id", [[i] for i in known])
sys.exit(1 if failures else 0)
