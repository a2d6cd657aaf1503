"""What transformers may draw from under every setting of sampling, for Tests/Qwen2Tests/SamplerTests.swift.

Needs torch and transformers. Writes Tests/Qwen2Tests/Goldens/sampling.json (schema: its README.md).
"""

import json
import pathlib

import torch
from transformers import (LogitsProcessorList, MinPLogitsWarper, RepetitionPenaltyLogitsProcessor, TemperatureLogitsWarper, TopKLogitsWarper,
                          TopPLogitsWarper)

VOCABULARY = 24
SETTINGS = [
    {"temperature": 0.7}, {"top_k": 1}, {"top_k": 5}, {"top_k": 23}, {"top_k": 100}, {"top_p": 0.3}, {"top_p": 0.9}, {"min_p": 0.2},
    {"temperature": 1.5, "top_k": 12, "top_p": 0.8}, {"top_k": 8, "min_p": 0.3}, {"top_p": 0.7, "min_p": 0.25}, {"repetition_penalty": 1.4},
    {"temperature": 0.8, "top_k": 15, "top_p": 0.9, "min_p": 0.1, "repetition_penalty": 1.2},
]


def processors(setting):
    """In the order in which generate() applies them."""
    made = [(RepetitionPenaltyLogitsProcessor, "repetition_penalty"), (TemperatureLogitsWarper, "temperature"), (TopKLogitsWarper, "top_k"),
            (TopPLogitsWarper, "top_p"), (MinPLogitsWarper, "min_p")]
    return LogitsProcessorList(kind(setting[name]) for kind, name in made if name in setting)


torch.manual_seed(7)
plain = torch.randn(VOCABULARY) * 1.2
tied = plain.clone()
tied[torch.topk(plain, 7).indices[3:]] = plain.topk(5).values[4]  # four share the fifth place
goldens = []
for logits in (plain, tied):
    context = [3, 3, int(logits.argmax()), 11, int(logits.argmin())]
    for setting in SETTINGS:
        left = processors(setting)(torch.tensor([context]), logits[None].clone())[0]
        goldens.append({"setting": setting, "logits": logits.tolist(), "context": context, "probabilities": left.softmax(-1).tolist()})
path = pathlib.Path(__file__).parents[2] / "Tests/Qwen2Tests/Goldens/sampling.json"
path.write_text("[\n" + ",\n".join(json.dumps(golden, separators=(",", ":")) for golden in goldens) + "\n]\n")
