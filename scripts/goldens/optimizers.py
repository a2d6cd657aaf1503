"""Goldens of the optimizers and learning-rate schedules: optimizers.py [--schedules]

Writes under Tests/GRPOTests/Goldens:
- optimizers.safetensors: a matrix (17 by 300), four gradients, and after the last step the matrix as torch.optim.SGD moves it (plain, with momentum,
  with dampening, Nesterov, weight decay) and as AdamW with 8-bit moments does: the latter by the model below, in NumPy, of bitsandbytes' definition.
- schedules.json: the learning rates of transformers' get_scheduler, step by step.
Needs torch, transformers, safetensors, numpy.
"""
import json
import pathlib
import sys

import numpy as np
import torch
from safetensors.numpy import save_file
from transformers import get_scheduler

GOLDENS = pathlib.Path(__file__).resolve().parents[2] / "Tests/GRPOTests/Goldens"
STEPS, SHAPE, BLOCK = 4, (17, 300), 256
SGD = {
    "sgd": dict(lr=0.1),
    "sgd-decay": dict(lr=0.1, weight_decay=0.05),
    "sgd-momentum": dict(lr=0.1, momentum=0.9, weight_decay=0.05),
    "sgd-dampening": dict(lr=0.1, momentum=0.8, dampening=0.3),
    "sgd-nesterov": dict(lr=0.1, momentum=0.9, nesterov=True),
}
ADAM = dict(lr=1e-2, beta1=0.9, beta2=0.99, eps=1e-6, weight_decay=0.1)
SCHEDULES = [
    ("linear", 0, 10, {}), ("linear", 3, 10, {}), ("cosine", 2, 12, {}), ("cosine", 0, 12, {"num_cycles": 1.25}),
    ("cosine_with_restarts", 2, 12, {}), ("cosine_with_restarts", 1, 20, {"num_cycles": 3}), ("cosine_with_min_lr", 2, 12, {"min_lr": 0.25}),
    ("cosine_with_min_lr", 0, 12, {"min_lr_rate": 0.2, "num_cycles": 0.7}), ("polynomial", 2, 12, {"lr_end": 0.5, "power": 2.0}),
    ("polynomial", 0, 8, {}), ("constant", 3, 8, {}), ("constant_with_warmup", 3, 8, {}), ("inverse_sqrt", 4, 12, {}), ("inverse_sqrt", 0, 12, {}),
    ("inverse_sqrt", 2, 12, {"timescale": 5}), ("cosine_warmup_with_min_lr", 3, 12, {"min_lr_rate": 0.1}),
    ("cosine_warmup_with_min_lr", 4, 12, {"min_lr": 0.3, "warmup_lr_rate": 0.25, "num_cycles": 0.4}), ("warmup_stable_decay", 2, 12, {"num_decay_steps": 4}),
    ("warmup_stable_decay", 4, 14, {"num_decay_steps": 3, "num_stable_steps": 5, "warmup_type": "cosine", "decay_type": "linear", "min_lr_ratio": 0.1}),
    ("warmup_stable_decay", 3, 12, {"num_decay_steps": 6, "warmup_type": "1-sqrt", "decay_type": "1-sqrt"}),
]
PEAK = 2.0


def dynamic_map(signed):
    """The 256 steps of bitsandbytes' dynamic data type: seven decades, each twice as finely divided as the one below, and 0 and 1."""
    steps = [0.0, 1.0]
    for decade in range(7):
        borders = np.linspace(0.1, 1, 2 ** decade * (1 if signed else 2) + 1)
        means = (borders[:-1] + borders[1:]) / 2 * 10.0 ** (decade - 6)
        steps += list(means) + (list(-means) if signed else [])
    return np.sort(np.array(steps, dtype=np.float32))


def encode(values, scale, steps):
    """The nearest step of each value over its block's scale; what is negative stays negative."""
    scaled = values / scale if scale > 0 else np.zeros_like(values)
    borders = (steps[:-1] + steps[1:]) * np.float32(0.5)
    codes = np.searchsorted(borders, scaled, side="left")
    vanished = (values < 0) & (steps[codes] >= 0)
    return np.where(vanished, np.searchsorted(steps, 0.0) - 1, codes).astype(np.uint8)


def adamw_8bit(start, gradients):
    f = np.float32
    signed, unsigned = dynamic_map(True), dynamic_map(False)
    assert len(signed) == len(unsigned) == 256
    p = start.ravel().copy()
    blocks = [slice(i, i + BLOCK) for i in range(0, p.size, BLOCK)]
    m, v = np.zeros(p.size, np.uint8), np.zeros(p.size, np.uint8)
    m_scales, v_scales = np.zeros(len(blocks), f), np.zeros(len(blocks), f)
    for t, gradient in enumerate(gradients, 1):
        g = gradient.ravel()
        root, correction = np.sqrt(1 - ADAM["beta2"] ** t), 1 - ADAM["beta1"] ** t
        for i, block in enumerate(blocks):
            first = signed[m[block]] * m_scales[i] * f(ADAM["beta1"]) + f(1 - ADAM["beta1"]) * g[block]
            second = unsigned[v[block]] * v_scales[i] * f(ADAM["beta2"]) + f(1 - ADAM["beta2"]) * g[block] * g[block]
            m_scales[i], v_scales[i] = np.abs(first).max(), second.max()
            size = f(-ADAM["lr"] * root / correction)
            p[block] = (p[block] + size * (first / (np.sqrt(second) + f(root) * f(ADAM["eps"])))) * f(1 - ADAM["lr"] * ADAM["weight_decay"])
            m[block], v[block] = encode(first, m_scales[i], signed), encode(second, v_scales[i], unsigned)
    return p.reshape(SHAPE), m, v, m_scales, v_scales


def main(only_schedules):
    if not only_schedules:
        optimizers()
    schedules()


def optimizers():
    random = np.random.default_rng(3)
    start = random.standard_normal(SHAPE, dtype=np.float32)
    # Magnitudes over three decades, which their squares make six of the seven that a code has; and a block of zeros.
    gradients = random.standard_normal((STEPS, *SHAPE), dtype=np.float32) * np.float32(10) ** random.uniform(-3, 0, SHAPE).astype(np.float32)
    gradients[:, 0, :256] = 0
    tensors = {"start": start, "gradients": gradients}
    for name, settings in SGD.items():
        p = torch.nn.Parameter(torch.tensor(start))
        optimizer = torch.optim.SGD([p], **settings)
        for gradient in gradients:
            p.grad = torch.tensor(gradient)
            optimizer.step()
        tensors[name] = p.detach().numpy()
    tensors["adamw_8bit"], tensors["state1"], tensors["state2"], tensors["absmax1"], tensors["absmax2"] = adamw_8bit(start, gradients)
    save_file(tensors, GOLDENS / "optimizers.safetensors")


def schedules():
    rows = []
    for kind, warmup, total, kwargs in SCHEDULES:
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
        scheduler = get_scheduler(kind, optimizer, num_warmup_steps=warmup, num_training_steps=total, scheduler_specific_kwargs=kwargs)
        rates = []
        for _ in range(total):
            rates.append(scheduler.get_last_lr()[0])
            optimizer.step()
            scheduler.step()
        rows.append({"kind": kind, "peak": PEAK, "warmup_steps": warmup, "total_steps": total, "kwargs": kwargs, "rates": rates})
    text = ",\n".join("  " + json.dumps(row) for row in rows)
    (GOLDENS / "schedules.json").write_text(f"[\n{text}\n]\n", encoding="utf-8")


main(sys.argv[1:] == ["--schedules"])
