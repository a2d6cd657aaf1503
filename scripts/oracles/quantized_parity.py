"""Compares grpo-cli's int8 and int4 with transformers, live: quantized_parity.py MODEL_DIR [GRPO_CLI]

transformers runs in FP32 with the weights and the inputs of every linear layer rounded as ck_quantized.h says (INT8 blocks as Q8_0, 4-bit blocks with
the best of 19 scales, the embedding and the head in INT8, inputs first to BF16, then to INT8). Log-probs of the 3 texts that the golden of the
real checkpoint names must agree within a mean of 0.02: what is left is BF16 in attention and a rounding that falls to the other side. Prints beside
it what quantising itself costs: divergence from the exact model and agreement of the most probable token. Exit code 1 when too far. Run it with the
python of scripts/oracles/venv.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
import torch
from transformers import AutoModelForCausalLM

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIMIT = 0.02
directory = sys.argv[1]
cli = sys.argv[2] if len(sys.argv) > 2 else str(ROOT / ".build/release/grpo-cli")
texts = [row["ids"] for row in json.loads((ROOT / "Tests/Qwen2Tests/Goldens/qwen2.5-coder-0.5b-instruct.json").read_text(encoding="utf-8"))["scores"]]


def inverse(x):
    return torch.where(x == 0, torch.zeros_like(x), 1 / x)


def int8(weight):
    """Q8_0: max|w| / 127 a block of 32, half away from zero, the scale in FP16."""
    block = weight.reshape(-1, 32)
    scale = block.abs().amax(1, keepdim=True) / 127
    q = block * inverse(scale)
    return (torch.sign(q) * torch.floor(q.abs() + 0.5) * scale.half().float()).reshape(weight.shape)


def int4(weight):
    """-8 ... 7 with the scale, of 19 candidates, whose least-squares fit leaves the smallest squared error."""
    block = weight.reshape(-1, 32)
    extreme = block.gather(1, block.abs().argmax(1, keepdim=True))
    scale, best = extreme / -8, torch.zeros_like(extreme)
    for i in range(-9, 10):
        q = (block * ((-8 + 0.1 * i) * inverse(extreme))).clamp(-8, 7).round()
        products, squares = (block * q).sum(1, keepdim=True), (q * q).sum(1, keepdim=True)
        gain = products * products * inverse(squares)
        scale = torch.where(gain > best, products * inverse(squares), scale)
        best = torch.maximum(gain, best)
    scale = scale.half().float()
    return ((block * inverse(scale)).clamp(-8, 7).round() * scale).reshape(weight.shape)


def rounded_input(x):
    block = x.bfloat16().float().reshape(-1, 32)
    most = block.abs().amax(1, keepdim=True)
    return ((block * 127 * inverse(most)).round() * (most / 127)).reshape(x.shape)


def log_probabilities(round_weight):
    """[text][position][token]; None leaves the model exact."""
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    with torch.no_grad():
        if round_weight:
            head = int8(model.lm_head.weight.data)
            model.model.embed_tokens.weight.data = int8(model.model.embed_tokens.weight.data)
            for name, layer in model.named_modules():
                if isinstance(layer, torch.nn.Linear):
                    layer.weight.data = head if name == "lm_head" else round_weight(layer.weight.data)
                    layer.register_forward_pre_hook(lambda _, inputs: (rounded_input(inputs[0]),))
        return [torch.log_softmax(model(torch.tensor([ids])).logits[0], -1) for ids in texts]


def ours(dtype):
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as file:
        file.write("".join(json.dumps({"ids": ids}) + "\n" for ids in texts))
        file.flush()
        output = subprocess.run([cli, "score", directory, "--input", file.name, "--dtype", dtype, "--json"], check=True, stdout=subprocess.PIPE)
    return torch.tensor([x for line in output.stdout.splitlines() for x in json.loads(line)["logprobs"]])


exact = log_probabilities(None)
failed = 0
for dtype, round_weight in (("int8", int8), ("int4", int4)):
    theirs = log_probabilities(round_weight)
    expected = torch.cat([t[:-1].gather(1, torch.tensor(ids[1:])[:, None])[:, 0] for t, ids in zip(theirs, texts)])
    difference = (ours(dtype) - expected).abs()
    divergence = torch.cat([(e.exp() * (e - t)).sum(-1) for e, t in zip(exact, theirs)]).mean()
    agreement = torch.cat([(e.argmax(-1) == t.argmax(-1)).float() for e, t in zip(exact, theirs)]).mean()
    failed += not difference.mean() < LIMIT
    print(f"{dtype}: {len(difference)} log-probs, mean difference {difference.mean():.4f}, largest {difference.max():.4f}; "
          f"quantising costs {divergence:.4f} nats a token, {agreement:.1%} of the most probable tokens are the same")
sys.exit(failed > 0)
