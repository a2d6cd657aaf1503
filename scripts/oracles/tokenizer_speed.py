#!/usr/bin/env python3
"""Times the tokenizer beside Hugging Face's, one thread each, in one run: loading, and encoding whole files; and the memory of a process that tokenizes.

    pip install tokenizers==0.23.3
    swift build -c release -Xswiftc -enable-testing --build-tests
    scripts/oracles/tokenizer_speed.py MODEL_DIR TEXT...

Medians of seven; exit code 1 if the ids differ, or .build/release/grpo-cli takes more than 60 MB to tokenize a line.
"""
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
from tokenizers import Tokenizer  # noqa: E402: reads the environment

model, texts = pathlib.Path(sys.argv[1]), sys.argv[2:]


def median(work):
    times = []
    for _ in range(7):
        start = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - start)
    return statistics.median(times), result


def peak(command):
    """The ids that a process makes of a line, and the most memory it had, in MB. A process begins with the peak of the one that starts it: before all else."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdin.write(b"Who are you?")
        process.stdin.close()
        ids = json.loads(process.stdout.read())
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return ids, usage.ru_maxrss * 1024 / 1e6


ids, memory = peak([".build/release/grpo-cli", "tokenize", str(model)])
theirs = "import sys, tokenizers; print(tokenizers.Tokenizer.from_file(sys.argv[1]).encode(sys.stdin.read()).ids)"
their_ids, their_memory = peak([sys.executable, "-c", theirs, str(model / "tokenizer.json")])
print(f"memory: {memory:.1f} MB, Hugging Face in Python {their_memory:.1f} MB")
command = ["swift", "test", "--skip-build", "-c", "release", "-Xswiftc", "-enable-testing", "--no-parallel", "--filter", "SpeedTests"]
out = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True,
                     env=os.environ | {"GRPO_MODEL": str(model), "GRPO_TOKENIZER_TEXTS": ":".join(texts)}).stdout
mine = {line.split()[1]: line.split()[2:] for line in out.splitlines() if line.startswith("SPEED")}
theirs, tokenizer = median(lambda: Tokenizer.from_file(str(model / "tokenizer.json")))
print(f"load: {float(mine['load'][0]):.3f} s, Hugging Face {theirs:.3f} s, {theirs / float(mine['load'][0]):.1f} x")
failed = False
for path in texts:
    text = pathlib.Path(path).read_bytes().decode(errors="replace")
    size = len(text.encode()) / 1e6
    theirs, encoding = median(lambda: tokenizer.encode(text, add_special_tokens=False))
    checksum = 0
    for i in encoding.ids:
        checksum = (checksum * 31 + i) & 0xFFFF_FFFF_FFFF_FFFF
    seconds, count, ours = float(mine[path][0]), int(mine[path][1]), int(mine[path][2])
    same = (count, ours) == (len(encoding.ids), checksum)
    failed |= not same
    print(f"{path}: {size / seconds:.1f} MB/s, Hugging Face {size / theirs:.2f} MB/s, {theirs / seconds:.1f} x, {count} ids "
          + ("the same" if same else "DIFFER"))
sys.exit(failed or memory > 60 or ids != their_ids)
