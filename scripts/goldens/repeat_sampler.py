"""The orders of TRL's RepeatSampler, for Tests/GRPOTests/RepeatSamplerTests.swift.

Needs torch and trl. Writes Tests/GRPOTests/Goldens/repeat_sampler.json:
a list of {seed, rows, prompts, generations, repeats, epochs: [[row, ...], ...]}, two epochs of each sampler.
"""

import json
import pathlib

from trl.trainer.utils import RepeatSampler

CASES = [  # seed, rows, prompts, generations, repeats
    *((seed, rows, 3, 2, 4) for seed in (0, 42) for rows in (7, 64)),
    *((seed, 1000, 8, 1, 1) for seed in (0, 42)),
]

goldens = []
for seed, rows, prompts, generations, repeats in CASES:
    sampler = RepeatSampler(range(rows), generations, batch_size=prompts, repeat_count=repeats, shuffle=True, seed=seed)
    goldens.append({
        "seed": seed, "rows": rows, "prompts": prompts, "generations": generations, "repeats": repeats,
        "epochs": [list(sampler), list(sampler)],
    })
path = pathlib.Path(__file__).parents[2] / "Tests/GRPOTests/Goldens/repeat_sampler.json"
path.write_text("[\n" + ",\n".join(json.dumps(golden, separators=(",", ":")) for golden in goldens) + "\n]\n")
