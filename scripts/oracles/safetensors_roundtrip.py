#!/usr/bin/env python3
"""Compares our safetensors files with the reference implementation's, both ways.

    safetensors_roundtrip.py make DIR     writes DIR/model.safetensors with the `safetensors` package: every shape and type that a checkpoint has
    safetensors_roundtrip.py check A B    checks that two directories hold the same tensors, bit for bit, as the package reads them, and
                                          that the package writes B's tensors as the very bytes of B/model.safetensors

Between the two stands our own code, for example:

    grpo-cli convert DIR OUT --to safetensors --dtype bfloat16
    grpo-cli convert DIR OUT --to packed, then OUT back to safetensors

Needs: pip install safetensors torch
"""
import json
import sys
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

WEIGHTS = "model.safetensors"


def make(directory: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    tensors = {
        "model.embed_tokens.weight": torch.randn(1000, 896, generator=generator) * 0.02,
        "model.layers.0.input_layernorm.weight": torch.ones(896),
        "model.layers.0.self_attn.q_proj.bias": torch.randn(897, generator=generator),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 4),
        "special": torch.tensor([0.0, -0.0, float("inf"), -float("inf"), float("nan"), 1e-40, 3.3e38]),
        "é\u0301 \"quoted\"\n": torch.ones(3),
    }
    directory.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.bfloat16() for name, tensor in tensors.items()}, directory / WEIGHTS, metadata={"format": "pt"})
    (directory / "config.json").write_text(json.dumps({"model_type": "qwen2", "torch_dtype": "bfloat16"}))


def check(left: Path, right: Path) -> None:
    a, b = load_file(left / WEIGHTS), load_file(right / WEIGHTS)
    assert a.keys() == b.keys(), f"names differ: {a.keys() ^ b.keys()}"
    for name in a:
        assert a[name].dtype == b[name].dtype and a[name].shape == b[name].shape, f"{name}: {a[name].dtype} {a[name].shape} and {b[name].dtype} {b[name].shape}"
        same = torch.equal(a[name].contiguous().view(-1).view(torch.uint8), b[name].contiguous().view(-1).view(torch.uint8))
        assert same, f"{name}: different bits"
    with safe_open(right / WEIGHTS, "pt") as file:
        metadata = file.metadata()
    written = right / "by-the-reference.safetensors"
    save_file(b, written, metadata=metadata)
    same = written.read_bytes() == (right / WEIGHTS).read_bytes()
    written.unlink()
    assert same, "the reference writes other bytes for these tensors"
    print(f"{len(a)} tensors, the same bits; the same file as the reference writes")


if __name__ == "__main__":
    if sys.argv[1:2] == ["make"] and len(sys.argv) == 3:
        make(Path(sys.argv[2]))
    elif sys.argv[1:2] == ["check"] and len(sys.argv) == 4:
        check(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        sys.exit(__doc__)
