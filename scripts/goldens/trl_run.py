"""Goldens of the trainer, from TRL's own GRPOTrainer: trl_run.py [RUN ...] [--check]

Trains a tiny random Qwen2 for 10 optimizer steps in FP32, eleven times with different settings, a Qwen3 and a Llama once each, and writes under
Tests/GRPOTests/Goldens: trl-model and trl-model-FAMILY (the initial checkpoints) and trl-RUN with the settings (run.yaml), every completion in the order in
which TRL's micro-batches consumed it (completions/, the format of a run's directory) and what TRL logged (expected.json).
The schema is in the README there. With names of runs only those are made, from the checkpoints that are there. With --check nothing is written: a short GRPO loop without TRL and without padding repeats the first
five runs from the written files alone, and the largest differences are printed; that is how exact another trainer can be expected to be.
Needs torch, transformers, trl, peft, tokenizers, safetensors, datasets.
"""
import dataclasses
import json
import math
import os
import pathlib
import shutil
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import tokenizers
import torch
import transformers
import trl
import yaml
from datasets import Dataset
from peft import get_peft_model
from safetensors.torch import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PrinterCallback, Qwen2ForCausalLM, set_seed
from trl import GRPOConfig, GRPOTrainer, ModelConfig, get_peft_config

GOLDENS = pathlib.Path(__file__).resolve().parents[2] / "Tests/GRPOTests/Goldens"
MODEL = GOLDENS / "trl-model"
END, PAD = "<|im_end|>", "<|endoftext|>"
PROMPTS = ["The sky is", "Count to three:", "One plus two is", "A small red fox", "Say hello", "The sum of 4 and 7 is", "Why is the sea blue?",
           "In the year", "Bread and", "Once upon a time there was a", "Two words:", "He said"]
QWEN2_SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")

COMMON = dict(max_steps=10, per_device_train_batch_size=8, num_generations=4, max_completion_length=12, learning_rate=1e-3,
              lr_scheduler_type="constant", logging_steps=1, seed=42, reward_weights=[1.0, 0.5])
RUNS = {
    "dapo": dict(loss_type="dapo", beta=0.0),
    # TRL 1.16 multiplies the KL term by the importance ratio unless told otherwise: its gradient differs even where the ratio is 1.
    "grpo-kl": dict(loss_type="grpo", beta=0.04, temperature=0.8, learning_rate=3e-4, use_bias_correction_kl=False),
    "grpo-kl-corrected": dict(loss_type="grpo", beta=0.04, temperature=0.8, learning_rate=3e-4, use_bias_correction_kl=True),
    "bnpo-iterations": dict(loss_type="bnpo", beta=0.0, num_iterations=2, epsilon=0.2, epsilon_high=0.28),
    "dr_grpo": dict(loss_type="dr_grpo", beta=0.0, gradient_accumulation_steps=2, weight_decay=0.1),
    "gspo": dict(loss_type="grpo", importance_sampling_level="sequence", beta=0.04, num_iterations=2, epsilon=3e-4, epsilon_high=4e-4),
    "vespo": dict(loss_type="vespo", beta=0.0, num_iterations=2, learning_rate=3e-4),
    "masks": dict(loss_type="dapo", beta=0.0, num_iterations=2, mask_truncated_completions=True, top_entropy_quantile=0.3, delta=1.1,
                  off_policy_mask_threshold=0.01, entropy_coef=0.01, use_adaptive_entropy=True, entropy_target=3.4,
                  learning_rate=3e-4),
    "qwen3": dict(loss_type="dapo", beta=0.04, num_iterations=2, learning_rate=3e-4),
    "llama": dict(loss_type="grpo", beta=0.0),
    "gdpo-sync": dict(loss_type="grpo", beta=0.04, multi_objective_aggregation="normalize_then_sum", sync_ref_model=True, ref_model_sync_steps=3,
                      entropy_coef=0.01),
    "lora": dict(loss_type="dapo", beta=0.04, use_peft=True, lora_r=4, lora_alpha=8, lora_dropout=0.0),
    # Goes on with an adapter that is not zero: the reference is a copy of it.
    "lora-continued": dict(loss_type="grpo", beta=0.04, num_iterations=2, use_peft=True, lora_r=6, lora_alpha=9, lora_dropout=0.0, use_rslora=True,
                           lora_target_modules=["all-linear"]),
}
LORA = {field.name for field in dataclasses.fields(ModelConfig)} - {"dtype", "model_name_or_path"}

# The families of the runs that do not train the Qwen2: MODEL's directory with the name of the run behind it.
SMALL = dict(hidden_size=32, intermediate_size=48, rope_theta=10000.0)
FAMILIES = {
    "qwen2": dict(hidden_size=64, intermediate_size=96, use_sliding_window=False, rope_theta=10000.0),
    "qwen3": SMALL | dict(head_dim=24),
    "llama": SMALL | dict(head_dim=8, attention_bias=True, mlp_bias=True, rope_scaling={
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}),
}


def model_of(run):
    """The checkpoint that a run starts from."""
    return MODEL.with_name(f"{MODEL.name}-{run}") if run in FAMILIES else MODEL


def even(completion_ids, **_):
    """The share of even ids."""
    return [sum(1 for i in ids if i % 2 == 0) / len(ids) for ids in completion_ids]


def short(completion_ids, **_):
    """1 for an empty completion, 0 for the longest one."""
    return [1 - len(ids) / COMMON["max_completion_length"] for ids in completion_ids]


def make_model(family, directory):
    """A byte-level BPE tokenizer laid out as Qwen2's, and a model that ends a completion every ten tokens or so."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(QWEN2_SPLIT), "isolated"),
                                                       pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.train_from_iterator(PROMPTS, trainers.BpeTrainer(vocab_size=286, show_progress=False,
                                                               initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())))
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in (PAD, "<|im_start|>", END)])
    tokenizer.save(str(directory / "tokenizer.json"))
    pad, end = tokenizer.token_to_id(PAD), tokenizer.token_to_id(END)
    write_json(directory / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": END, "pad_token": PAD,
                                                     "clean_up_tokenization_spaces": False, "model_max_length": 128})

    shape = dict(vocab_size=tokenizer.get_vocab_size(), num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                 max_position_embeddings=128, rms_norm_eps=1e-6, hidden_act="silu", attention_dropout=0.0, tie_word_embeddings=True,
                 eos_token_id=end) | FAMILIES[family]
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **shape)).float().eval()
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=generator)
            p.copy_(1 + 0.2 * noise if name.endswith("norm.weight") else 0.2 * noise if "embed" in name else 0.1 * noise)
        ids = torch.randint(0, pad, (16, 24), generator=generator)
        hidden = model.model(ids).last_hidden_state.mean((0, 1))
        model.model.embed_tokens.weight[end] = hidden * (4.5 / hidden.square().sum())  # a typical logit of 4.5, beside about 290 of std 1.6
    save_file({n: p.detach().clone() for n, p in model.named_parameters()}, directory / "model.safetensors", metadata={"format": "pt"})
    write_json(directory / "config.json", {"architectures": [type(model).__name__], "model_type": family, **shape, "torch_dtype": "float32",
                                           "use_cache": True})
    write_json(directory / "generation_config.json", {"eos_token_id": end, "pad_token_id": pad, "do_sample": True})


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


class RecordedTrainer(GRPOTrainer):
    """TRL's trainer, which also notes what it consumes."""

    def _generate(self, prompts):
        generated = super()._generate(prompts)
        self.sampled = generated[1]  # mask_truncated_completions hides some of them from the masks
        return generated

    def _generate_and_score_completions(self, inputs):
        out = super()._generate_and_score_completions(inputs)
        out["order"] = torch.arange(len(inputs))  # rides along through TRL's shuffling of the batch
        n = self.num_generations
        self.batch = []
        for i, example in enumerate(inputs):
            ids = self.sampled[i]
            names = self.reward_func_names
            rewards = {name: self._logs["rewards"][name][i - len(inputs)] for name in names}
            rewards = {name: None if math.isnan(reward) else reward for name, reward in rewards.items()}
            row = {"step": self.state.global_step + 1, "micro_batch": None, "group": i // n, "prompt": example["prompt"],
                   "prompt_ids": out["prompt_ids"][i][out["prompt_mask"][i].bool()].tolist(), "ids": ids}
            if "old_per_token_logps" in out:
                row["logprobs"] = [round(v, 7) for v in out["old_per_token_logps"][i][: len(ids)].tolist()]
            row |= {"text": self.processing_class.decode(ids, skip_special_tokens=True),
                    "finish_reason": "stop" if ids[-1] in self.eos_token_ids else "length", "rewards": rewards,
                    "reward": sum(w * (rewards[name] or 0) for w, name in zip(self.args.reward_weights, names)),
                    "advantage": out["advantages"][i].item()}
            self.batch.append(row)
        self.rollouts.append([])
        torch.manual_seed(1000 + self.state.global_step)  # the shuffling that follows does not depend on how much was sampled
        return out

    def _prepare_inputs(self, generation_batch):
        position = self._step % self.args.steps_per_generation
        first_pass = self._step % (self.args.steps_per_generation * self.num_iterations) < self.args.steps_per_generation
        inputs = super()._prepare_inputs(generation_batch)
        if first_pass:  # later iterations take the same micro-batches in the same order
            for i in inputs["order"].tolist():
                self.rollouts[-1].append(self.batch[i] | {"step": self.state.global_step + 1, "micro_batch": position, "generated": i})
        return {key: value for key, value in inputs.items() if key != "order"}


def begun_adapter(config):
    """The model with an adapter that has been trained, or looks like it."""
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32, attn_implementation="eager"), config)
    generator = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model


def saved_adapter(trainer):
    """The files of the adapter as training begins."""
    with tempfile.TemporaryDirectory() as folder:
        trainer.model.save_pretrained(folder, selected_adapters=["default"])
        return {name: pathlib.Path(folder, name).read_bytes() for name in ("adapter_config.json", "adapter_model.safetensors")}


def run(settings, reward_funcs=(even, short), model=MODEL, continued=False):
    peft_config = get_peft_config(ModelConfig(**{key: value for key, value in settings.items() if key in LORA}))
    with tempfile.TemporaryDirectory() as output:
        arguments = GRPOConfig(output_dir=output, use_cpu=True, bf16=False, gradient_checkpointing=False, report_to=[], save_strategy="no",
                               disable_tqdm=True, model_init_kwargs=None if continued else {"attn_implementation": "eager"},
                               **{key: value for key, value in (COMMON | settings).items() if key not in LORA})
        data = Dataset.from_dict({"prompt": PROMPTS})
        set_seed(COMMON["seed"])
        trainer = RecordedTrainer(model=begun_adapter(peft_config) if continued else str(model), args=arguments, train_dataset=data,
                                  reward_funcs=list(reward_funcs), processing_class=AutoTokenizer.from_pretrained(model),
                                  peft_config=None if continued else peft_config)
        trainer.adapter = saved_adapter(trainer) if peft_config else None
        trainer.remove_callback(PrinterCallback)
        trainer.rollouts = []
        trainer.train()
    return trainer


TIMES = {"step_time", "epoch", "num_tokens"}


def logged(trainer):
    rows = [{k: v for k, v in row.items() if k not in TIMES} for row in trainer.state.log_history if "loss" in row]
    final = {n.replace(".default", ""): p.detach().double() for n, p in trainer.model.named_parameters() if p.requires_grad}
    probe = {n: [p.sum().item(), p.norm().item()] for n, p in final.items()}
    return rows, probe


def write_run(folder, trainer, settings, model="../trl-model"):
    """The recorded completions and the settings, as `grpo-cli train --config run.yaml --replay completions` takes them."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "completions").mkdir(parents=True)
    for batch in trainer.rollouts:
        lines = [json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in batch]
        (folder / "completions" / f"step-{batch[0]['step']:06}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    if trainer.adapter:
        (folder / "adapter").mkdir()
        for name, data in trainer.adapter.items():
            (folder / "adapter" / name).write_bytes(data)
        settings_file = folder / "adapter/adapter_config.json"
        adapter = json.loads(settings_file.read_text()) | {"base_model_name_or_path": str(model)}
        write_json(settings_file, adapter | {"target_modules": sorted(adapter["target_modules"])})
        model = folder / "adapter" if pathlib.Path(model).is_absolute() else "adapter"
    config = {"model_name_or_path": str(model), "dtype": "float32", "reward_funcs": list(trainer.reward_func_names), **COMMON, **settings}
    (folder / "run.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")


def main(names):
    if not names:
        make_model("qwen2", MODEL)
    for family in ("qwen3", "llama"):
        if not names or family in names:
            make_model(family, model_of(family))
    for name in names or RUNS:
        settings = RUNS[name]
        trainer = run(settings, model=model_of(name), continued=name.endswith("continued"))
        rows, final = logged(trainer)
        folder = GOLDENS / f"trl-{name}"
        write_run(folder, trainer, settings, f"../{model_of(name).name}")
        versions = {"trl": trl.__version__, "transformers": transformers.__version__, "torch": torch.__version__.split("+")[0],
                    "tokenizers": tokenizers.__version__}
        write_json(folder / "expected.json", {"versions": versions, "steps": rows, "final_sum_and_norm": final})
        last = rows[-1]
        print(name, "loss", [round(r["loss"], 4) for r in rows], "grad_norm", [round(r["grad_norm"], 3) for r in rows],
              "clipped", [round(r.get("clip_ratio/region_mean", 0), 3) for r in rows], "kl", last.get("kl"), "entropy", round(last["entropy"], 3), sep="\n  ")


def completion(model, row, temperature):
    """Log-prob and entropy of each completion token, with nothing padded."""
    n = len(row["ids"])
    ids = torch.tensor(row["prompt_ids"] + row["ids"])
    log_probs = torch.log_softmax(model(ids[None]).logits[0, -n - 1: -1] / temperature, -1)
    return log_probs.gather(1, ids[-n:, None])[:, 0], -(log_probs.exp() * log_probs).sum(-1)


def micro_batch_loss(model, reference, rows, c):
    """The loss TRL computes for the completions of one micro-batch, and their mean entropy."""
    low, high = c.get("epsilon", 0.2), c.get("epsilon_high", c.get("epsilon", 0.2))
    losses, entropies = [], []
    for row in rows:
        log_probs, entropy = completion(model, row, c.get("temperature", 1.0))
        old = torch.tensor(row["logprobs"]) if "logprobs" in row else log_probs.detach()
        ratio = (log_probs - old).exp()
        loss = -torch.min(ratio * row["advantage"], ratio.clamp(1 - low, 1 + high) * row["advantage"])
        if c["beta"]:
            with torch.no_grad():
                difference = completion(reference, row, c.get("temperature", 1.0))[0]
            difference = difference - log_probs
            kl = difference.exp() - difference - 1
            loss = loss + c["beta"] * (kl * ratio if c["use_bias_correction_kl"] else kl)
        losses.append(loss)
        entropies.append(entropy.detach())
    tokens = torch.cat(losses)
    if c["loss_type"] == "grpo":
        total = torch.stack([loss.mean() for loss in losses]).mean()
    elif c["loss_type"] == "dr_grpo":
        total = tokens.sum() / (len(rows) * c["max_completion_length"])
    else:  # bnpo, and dapo with one micro-batch
        total = tokens.sum() / len(tokens)
    return total / c.get("gradient_accumulation_steps", 1), torch.cat(entropies).mean().item()


def check():
    for name in list(RUNS)[:5]:
        folder = GOLDENS / f"trl-{name}"
        c = yaml.safe_load((folder / "run.yaml").read_text())
        expected = json.loads((folder / "expected.json").read_text())["steps"]
        model, reference = (Qwen2ForCausalLM.from_pretrained(MODEL, dtype=torch.float32) for _ in range(2))
        matrices = [p for p in model.parameters() if p.dim() == 2]
        vectors = [p for p in model.parameters() if p.dim() == 1]
        optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": c.get("weight_decay", 0.0)}, {"params": vectors, "weight_decay": 0.0}],
                                      lr=c["learning_rate"])
        worst = {"loss": 0.0, "grad_norm": 0.0, "entropy": 0.0}
        for logged_step in expected:
            step = logged_step["step"]
            generated = step - (step - 1) % c.get("num_iterations", 1)
            rows = [json.loads(line) for line in (folder / f"completions/step-{generated:06}.jsonl").read_text().splitlines()]
            batches = [[row for row in rows if row["micro_batch"] == i] for i in range(c.get("gradient_accumulation_steps", 1))]
            found = {"loss": 0.0, "entropy": 0.0}
            for batch in batches:
                loss, entropy = micro_batch_loss(model, reference, batch, c)
                loss.backward()
                found["loss"] += loss.item()
                found["entropy"] += entropy / len(batches)
            found["grad_norm"] = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0).item()
            optimizer.step()
            optimizer.zero_grad()
            for key, value in found.items():
                scale = 1.0 if key == "loss" else abs(logged_step[key])
                worst[key] = max(worst[key], abs(value - logged_step[key]) / scale)
        print(f"{name}: loss within {worst['loss']:.1g}, grad_norm within {worst['grad_norm']:.1g} relative, entropy {worst['entropy']:.1g} relative")


torch.use_deterministic_algorithms(True)
torch.set_num_threads(1)
if __name__ == "__main__":
    check() if sys.argv[1:] == ["--check"] else main(sys.argv[1:])
