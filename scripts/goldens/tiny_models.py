"""Goldens of the decoder, from transformers in FP32: tiny_models.py [--full DIR] [NAME ...]

Writes Tests/Qwen2Tests/Goldens/NAME for every model below, or those named: a tiny random model of a family as a Hugging Face directory, and
golden.safetensors with what transformers and (for the Qwen2 ones) torch.optim.AdamW compute with it. The schema is in Tests/Qwen2Tests/Goldens/README.md.
With --full, DIR gets the whole gradients too (not committed: for looking at one that is wrong).
Needs torch, transformers, safetensors. Same versions, same bytes.
"""
import json
import pathlib
import sys

import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

GOLDENS = pathlib.Path(__file__).resolve().parents[2] / "Tests/Qwen2Tests/Goldens"
LENGTHS, PROMPT_LENGTHS, GREEDY, TEMPERATURE = (7, 12, 19), (3, 5, 6), 20, 0.7
COMMON = dict(num_hidden_layers=2, max_position_embeddings=128, hidden_act="silu", attention_dropout=0.0, bos_token_id=0, eos_token_id=1)
QWEN2 = dict(vocab_size=199, hidden_size=64, intermediate_size=96, num_attention_heads=4, num_key_value_heads=2, rms_norm_eps=1e-6,
             use_sliding_window=False)
SMALL = dict(vocab_size=131, hidden_size=32, intermediate_size=64, num_attention_heads=4, num_key_value_heads=2, rms_norm_eps=1e-5)
LLAMA3 = {"rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 64}
PLAIN = {"rope_type": "default", "rope_theta": 10000.0}

# NAME: model_type, seed, spelling of config.json (4: transformers 4's, otherwise 5's), its switches. Sizes are such that every product has a row
# that is no multiple of a vector, and int8 and int4 take them.
MODELS = {
    "tiny-tied": ("qwen2", 1, 4, QWEN2 | dict(tie_word_embeddings=True, rope_parameters=PLAIN)),
    "tiny-untied": ("qwen2", 2, 5, QWEN2 | dict(tie_word_embeddings=False, rope_parameters=PLAIN)),
    "tiny-qwen3": ("qwen3", 3, 4, SMALL | dict(head_dim=24, tie_word_embeddings=True, rope_parameters=PLAIN | {"rope_theta": 1e6})),
    "tiny-qwen3-biased": ("qwen3", 4, 5, SMALL | dict(head_dim=16, attention_bias=True, tie_word_embeddings=False,
                                                      rope_parameters={"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.5})),
    "tiny-llama3": ("llama", 15, 4, SMALL | dict(head_dim=16, tie_word_embeddings=False, rope_parameters=LLAMA3)),
    "tiny-llama-biased": ("llama", 6, 5, SMALL | dict(attention_bias=True, mlp_bias=True, tie_word_embeddings=True, rope_parameters=LLAMA3)),
    "tiny-smollm2": ("llama", 7, 4, SMALL | dict(hidden_size=96, num_attention_heads=3, num_key_value_heads=1, tie_word_embeddings=True,
                                                 rope_parameters=PLAIN)),
    "tiny-mistral": ("mistral", 8, 5, SMALL | dict(head_dim=16, sliding_window=64, tie_word_embeddings=False, rope_parameters=PLAIN)),
}


def random_model(model_type, seed, settings):
    """Every parameter random and visible in the result; values that BF16 holds exactly, so that the file is small and FP32 loses nothing."""
    config = AutoConfig.for_model(model_type, **COMMON, **settings)
    config._attn_implementation = "eager"
    model = AutoModelForCausalLM.from_config(config).to(torch.float32).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if name.endswith("norm.weight"):
                value = 1 + 0.2 * noise
            elif "embed_tokens" in name or "lm_head" in name:
                value = 0.25 * noise
            else:
                value = 0.15 * noise  # projections and biases
            parameter.copy_(value.to(torch.bfloat16))
    return model


def next_token(model, ids, temperature=1.0):
    """Log-prob of each id after the first and entropy of the distribution it came from: two vectors of len(ids) - 1."""
    logits = model(ids[None]).logits[0, :-1] / temperature
    log_probs = torch.log_softmax(logits, dim=-1)
    return log_probs.gather(1, ids[1:, None])[:, 0], -(log_probs.exp() * log_probs).sum(-1)


def seen_through(probes, prefix, tensors):
    """A matrix M is kept as M u (`.rows`) and transpose(M) v (`.columns`), u and v the probes of its two lengths; a vector as it is."""
    kept = {}
    for name, tensor in tensors:
        if tensor.dim() == 1:
            kept[f"{prefix}.{name}"] = tensor.detach().clone()
        else:
            kept[f"{prefix}.{name}.rows"] = (tensor.double() @ probes[tensor.shape[1]].double()).float()
            kept[f"{prefix}.{name}.columns"] = (tensor.double().T @ probes[tensor.shape[0]].double()).float()
    return kept


def write_config(directory, model, model_type, spelling, settings):
    architecture = type(model).__name__
    if spelling == 4:  # as checkpoints of transformers 4's time have it
        rope = dict(settings["rope_parameters"])
        theta, kind = rope.pop("rope_theta"), rope["rope_type"]
        config = {"architectures": [architecture], "model_type": model_type, **{k: v for k, v in (COMMON | settings).items() if k != "rope_parameters"},
                  "rope_theta": theta, **({} if kind == "default" else {"rope_scaling": rope}), "torch_dtype": "bfloat16", "use_cache": True}
    else:
        config = model.config.to_dict() | {"architectures": [architecture], "dtype": "bfloat16"}
    (directory / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def write(name: str, full: pathlib.Path | None):
    model_type, seed, spelling, settings = MODELS[name]
    directory = GOLDENS / name
    directory.mkdir(parents=True, exist_ok=True)
    model = random_model(model_type, seed, settings)
    weights = {name: p.detach().to(torch.bfloat16) for name, p in model.named_parameters()}  # tied: lm_head is not among them
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    write_config(directory, model, model_type, spelling, settings)

    generator = torch.Generator().manual_seed(3)
    probes = {n: torch.rand(n, generator=generator) * 2 - 1 for n in sorted({n for p in model.parameters() if p.dim() == 2 for n in p.shape})}
    golden = {f"probe.{n}": probe for n, probe in probes.items()}
    sequences, c, e = [], [], []
    for i, (length, prompt) in enumerate(zip(LENGTHS, PROMPT_LENGTHS)):
        ids = torch.randint(2, settings["vocab_size"], (length,), generator=generator)
        completion = (torch.arange(1, length) >= prompt).float()  # coefficients only where a completion token is predicted
        sequences.append(ids)
        c.append(torch.randn(length - 1, generator=generator) * completion)
        e.append(torch.randn(length - 1, generator=generator) * completion * 0.5)
        key = f"sequence.{i}"
        golden |= {f"{key}.ids": ids, f"{key}.c": c[i], f"{key}.e": e[i]}
        with torch.no_grad():
            golden[f"{key}.logits"] = model(ids[None]).logits[0].clone()
            golden[f"{key}.logprobs"], golden[f"{key}.entropies"] = next_token(model, ids)
            golden[f"{key}.logprobs_at_0.7"], golden[f"{key}.entropies_at_0.7"] = next_token(model, ids, TEMPERATURE)
            out = model.generate(ids[None], attention_mask=torch.ones(1, length, dtype=torch.long), do_sample=False, max_new_tokens=GREEDY,
                                 eos_token_id=None, pad_token_id=0, output_scores=True, return_dict_in_generate=True)
        golden[f"{key}.greedy"] = out.sequences[0, length:].clone()
        best = torch.stack([s[0].topk(2).values for s in out.scores])
        gap = (best[:, 0] - best[:, 1]).min().item()
        print(f"{directory.name} sequence {i}: logits std {golden[f'{key}.logits'].std():.2f}, closest greedy choice {gap:.4f}")
        assert gap > 1e-3, "a greedy choice is too close to call: change the seed"

    def gradients(label, with_entropy, temperature):
        model.zero_grad()
        loss = torch.zeros(())
        for ids, ci, ei in zip(sequences, c, e):
            log_probs, entropies = next_token(model, ids, temperature)
            loss = loss + (ci * log_probs).sum() + ((ei * entropies).sum() if with_entropy else 0)
        loss.backward()
        golden[f"{label}.loss"] = loss.detach().reshape(1)
        golden.update(seen_through(probes, f"{label}.gradient", [(n, p.grad) for n, p in model.named_parameters()]))
        if full:
            (full / directory.name).mkdir(parents=True, exist_ok=True)
            save_file({n: p.grad.clone() for n, p in model.named_parameters()}, full / directory.name / f"{label}.safetensors")

    gradients("logprobs", False, 1.0)
    gradients("entropies", True, 1.0)
    gradients("temperature", True, TEMPERATURE)

    if model_type == "qwen2":
        add_adamw(golden, model, sequences, probes, full / directory.name if full else None)
    save_file({k: v.contiguous() for k, v in golden.items()}, directory / "golden.safetensors")


def add_adamw(golden, model, sequences, probes, full):
    # transformers' two groups: no decay on biases and norm weights.
    decayed = [p for n, p in model.named_parameters() if p.dim() == 2]
    rest = [p for n, p in model.named_parameters() if p.dim() == 1]
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.01}, {"params": rest, "weight_decay": 0.0}],
                                  lr=1e-3, betas=(0.9, 0.999), eps=1e-8, foreach=False)
    losses = []
    for step in range(11):  # the eleventh loss is that of the final parameters
        loss = -torch.cat([next_token(model, ids)[0] for ids in sequences]).mean()
        losses.append(loss.item())
        if step < 10:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    golden["adamw.losses"] = torch.tensor(losses)
    golden.update(seen_through(probes, "adamw.parameter", model.named_parameters()))
    if full:
        save_file({n: p.detach().clone() for n, p in model.named_parameters()}, full / "adamw.safetensors")


torch.use_deterministic_algorithms(True)
torch.set_num_threads(1)
full = pathlib.Path(sys.argv[2]) if sys.argv[1:2] == ["--full"] else None
for name in sys.argv[3 if full else 1:] or MODELS:
    write(name, full)
