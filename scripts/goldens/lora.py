"""Goldens of a LoRA adapter, from PEFT and torch in FP32: lora.py

Writes Tests/Qwen2Tests/Goldens/tiny-lora: an adapter of tiny-tied as PEFT saves it (every linear layer, rsLoRA, two ranks, B not zero), and
golden.safetensors with what the adapted model says of tiny-tied's sequences and the gradients of A and B. The schema is in the README there.
Needs torch, transformers, peft, safetensors. Same versions, same bytes.
"""
import json
import pathlib

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import Qwen2ForCausalLM

GOLDENS = pathlib.Path(__file__).resolve().parents[2] / "Tests/Qwen2Tests/Goldens"


def main():
    base = Qwen2ForCausalLM.from_pretrained(GOLDENS / "tiny-tied", dtype=torch.float32, attn_implementation="eager").eval()
    config = LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=6, lora_dropout=0.1, use_rslora=True, target_modules="all-linear",
                        rank_pattern={"down_proj": 3})
    model = get_peft_model(base, config).eval()  # without dropout
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.copy_((0.1 * torch.randn(parameter.shape, generator=generator)).to(torch.bfloat16))
    folder = GOLDENS / "tiny-lora"
    model.save_pretrained(folder)
    (folder / "README.md").unlink()
    settings = json.loads((folder / "adapter_config.json").read_text()) | {"base_model_name_or_path": "../tiny-tied"}
    settings["target_modules"] = sorted(settings["target_modules"])
    (folder / "adapter_config.json").write_text(json.dumps(settings, indent=2) + "\n")

    sequences = load_file(GOLDENS / "tiny-tied/golden.safetensors")
    golden, loss = {}, torch.zeros(())
    for i in range(3):
        ids = sequences[f"sequence.{i}.ids"]
        log_probs = torch.log_softmax(model(ids[None]).logits[0, :-1], dim=-1)
        chosen, entropies = log_probs.gather(1, ids[1:, None])[:, 0], -(log_probs.exp() * log_probs).sum(-1)
        golden |= {f"sequence.{i}.logprobs": chosen.detach(), f"sequence.{i}.entropies": entropies.detach()}
        loss = loss + (sequences[f"sequence.{i}.c"] * chosen).sum() + (sequences[f"sequence.{i}.e"] * entropies).sum()
    loss.backward()
    golden["loss"] = loss.detach().reshape(1)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            golden["gradient." + name.replace(".default", "")] = parameter.grad
    merged = model.merge_and_unload()
    with torch.no_grad():
        golden["merged.logits"] = merged(sequences["sequence.1.ids"][None]).logits[0].clone()
    save_file({key: value.contiguous() for key, value in golden.items()}, folder / "golden.safetensors")


torch.use_deterministic_algorithms(True)
torch.set_num_threads(1)
main()
