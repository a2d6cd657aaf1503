#!/usr/bin/env python3
"""Compares the tokenizer with Hugging Face's on more than the goldens hold: model families, and random pipelines of all components.

    pip install tokenizers==0.23.3
    swift build -c release -Xswiftc -enable-testing --build-tests
    scripts/oracles/tokenizer_pipelines.py [--count 300] [--texts 20] [--family-texts 300] [--seed N]

Ids, offsets, special tokens, decoding, streaming. Exit code 1 if anything differs.
"""
import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--count", default="300")
parser.add_argument("--texts", default="20")
parser.add_argument("--family-texts", default="300")
parser.add_argument("--seed", default="2")
arguments = parser.parse_args()
makers = pathlib.Path(__file__).parents[1] / "goldens"
with tempfile.NamedTemporaryFile(suffix=".jsonl") as file, tempfile.NamedTemporaryFile(suffix=".jsonl") as families:
    subprocess.run([sys.executable, makers / "tokenizer_pipelines.py", file.name, "--count", arguments.count, "--texts", arguments.texts,
                    "--seed", arguments.seed], check=True, stderr=subprocess.DEVNULL)
    subprocess.run([sys.executable, makers / "tokenizer_families.py", families.name, "--texts", arguments.family_texts, "--seed", arguments.seed],
                   check=True)
    file.seek(0, 2)
    file.write(families.read())
    file.flush()
    command = ["swift", "test", "--skip-build", "-c", "release", "-Xswiftc", "-enable-testing", "--no-parallel", "--filter", "PipelineTests"]
    sys.exit(subprocess.run(command, env=os.environ | {"GRPO_TOKENIZER_CASES": file.name}).returncode)
