"""grpo-cli beside TRL's own GRPOTrainer, step by step: trl_parity.py [CASE ...] [--cli PATH] [--steps N] [--list]

For each case TRL trains a tiny random Qwen2 (cases named qwen3 and llama: one of those) in FP32 for 20 optimizer steps while every completion is recorded; grpo-cli then trains from those
completions (`train --replay`) with the same settings. Every number that TRL logged must be there and agree: |difference| <= 1e-4 max(|value|, floor),
where the floor is 0.1 for the losses, which are sums of terms of 1 to 5 that cancel, and 0.01 for the rest. Exit code 1 if one does not.
A token whose entropy is the very threshold of top_entropy_quantile, as when two completions begin alike, falls on either side by the last bit of
FP32, here and in TRL: the quantiles below are such that none does. A reward that is its group's mean has an advantage of 0 in one precision and of a
rounding in the other, which clip_ratio counts: the weights of clip-higher-delta are such that none is.
Run it with the python of scripts/oracles/venv; it needs scripts/goldens/trl_run.py and the tiny model in the tests' goldens.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts/goldens"))
import trl_run  # noqa: E402  (its folder has just been added)

# Completions are trained on twice, so that ratios leave 1; a small rate, so that 20 steps of Adam do not magnify the last bit of FP32.
BASE = dict(max_steps=20, learning_rate=3e-4, num_iterations=2, beta=0.04)
LORA = dict(use_peft=True, lora_r=8, lora_alpha=16, lora_dropout=0.0)  # with dropout every program draws its own mask
SEQUENCE = dict(importance_sampling_level="sequence")
CASES = {
    **{loss: dict(loss_type=loss) for loss in ("grpo", "bnpo", "dr_grpo", "dapo", "sapo", "vespo", "luspo")},
    "cispo": dict(loss_type="cispo", epsilon_high=1.02),
    "cispo-default-epsilon": dict(loss_type="cispo"),
    **{f"{loss}-sequence": dict(loss_type=loss, **SEQUENCE) for loss in ("grpo", "bnpo", "dr_grpo", "dapo", "sapo", "luspo")},
    "cispo-sequence": dict(loss_type="cispo", epsilon_high=1.02, **SEQUENCE),
    "gspo-paper": dict(loss_type="grpo", epsilon=3e-4, epsilon_high=4e-4, **SEQUENCE),
    "clip-higher-delta": dict(loss_type="dapo", epsilon=0.02, epsilon_high=0.028, delta=1.05, reward_weights=[1.0, 0.3]),
    "plain-kl": dict(loss_type="grpo", use_bias_correction_kl=False),
    "plain-kl-sequence": dict(loss_type="grpo", use_bias_correction_kl=False, **SEQUENCE),
    "on-policy": dict(loss_type="dapo", num_iterations=1),
    "no-kl": dict(loss_type="dapo", beta=0.0),
    "accumulate": dict(loss_type="dapo", num_iterations=1, gradient_accumulation_steps=2),
    "accumulate-grpo": dict(loss_type="grpo", num_iterations=1, gradient_accumulation_steps=2),
    "steps-per-generation": dict(loss_type="bnpo", num_iterations=1, gradient_accumulation_steps=1, steps_per_generation=2),
    "truncated": dict(loss_type="dapo", mask_truncated_completions=True),
    "truncated-sequence": dict(loss_type="grpo", mask_truncated_completions=True, **SEQUENCE),
    "top-entropy": dict(loss_type="dapo", top_entropy_quantile=0.2),
    "off-policy-mask": dict(loss_type="grpo", off_policy_mask_threshold=0.002),
    "all-masks": dict(loss_type="bnpo", mask_truncated_completions=True, top_entropy_quantile=0.3, off_policy_mask_threshold=0.002),
    "entropy-bonus": dict(loss_type="dapo", entropy_coef=0.02),
    "entropy-adaptive": dict(loss_type="dr_grpo", use_adaptive_entropy=True, entropy_coef=0.01, entropy_target=3.3, top_entropy_quantile=0.5),
    "scale-batch": dict(loss_type="grpo", scale_rewards="batch"),
    "scale-none": dict(loss_type="grpo", scale_rewards="none"),
    "gdpo": dict(loss_type="grpo", multi_objective_aggregation="normalize_then_sum"),
    "sync-ref": dict(loss_type="grpo", sync_ref_model=True, ref_model_sync_steps=3, ref_model_mixup_alpha=0.6),
    "rewards-none": dict(loss_type="grpo", reward_weights=[1.0, 0.5, 2.0]),
    "rewards-none-gdpo": dict(loss_type="grpo", reward_weights=[1.0, 0.5, 2.0], multi_objective_aggregation="normalize_then_sum"),
    "temperature": dict(loss_type="grpo", temperature=0.7),
    "qwen3": dict(loss_type="dapo"),
    "llama": dict(loss_type="grpo"),
    "lora": dict(loss_type="dapo", **LORA),
    "lora-no-kl": dict(loss_type="dapo", **LORA | dict(beta=0.0, num_iterations=1)),
    "lora-rslora": dict(loss_type="grpo", use_rslora=True, **LORA),
    "lora-all-linear": dict(loss_type="bnpo", lora_target_modules=["all-linear"], **LORA),
    "lora-continued": dict(loss_type="grpo", lora_target_modules=["all-linear"], **LORA),
    "weight-decay": dict(loss_type="dapo", weight_decay=0.1, adam_beta1=0.8, adam_beta2=0.99, adam_epsilon=1e-6, max_grad_norm=0.5),
}
SKIPPED = {"step", "epoch", "num_tokens", "step_time"}


def sometimes(completion_ids, **_):
    """Has nothing to say of completions that begin with one of a third of the ids."""
    return [None if ids[0] % 3 == 0 else float(ids[0] % 5) for ids in completion_ids]


def ours(cli, folder):
    output = folder / "run"
    command = [cli, "train", "--config", folder / "run.yaml", "--replay", folder / "completions", "--output_dir", output, "--save_strategy", "no"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        return done.stderr.strip().splitlines()[-1]
    return [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]


def compare(expected, found, cancelled):
    """The largest difference beside its bound, and where it is; a key or step that is missing is infinitely far off. A loss is what is left of FP32
    terms that cancel: below `cancelled` its bound stays."""
    worst = (0.0, "nothing logged") if expected else (float("inf"), "TRL logged nothing")
    if len(expected) != len(found):
        return float("inf"), f"{len(found)} steps, TRL has {len(expected)}"
    for theirs, own in zip(expected, found):
        for key, value in theirs.items():
            if key in SKIPPED:
                continue
            number = own.get(key, "missing")
            if value is None or number is None or number == "missing":
                off = 0.0 if value is None and number is None else float("inf")
            else:
                off = abs(number - value) / (1e-4 * max(abs(value), cancelled if key.endswith("loss") else 0.01))
            worst = max(worst, (off, f"{key} at step {theirs['step']}: {number}, TRL {value}"))
    return worst


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="CASE")
    parser.add_argument("--cli", default=str(ROOT / ".build/release/grpo-cli"))
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    if options.list:
        return print("\n".join(CASES))
    failed = []
    for name in options.cases or CASES:
        settings = BASE | CASES[name] | {"max_steps": options.steps}
        rewards = (trl_run.even, trl_run.short) + ((sometimes,) if name.startswith("rewards-none") else ())
        model = trl_run.model_of(name)
        trainer = trl_run.run(settings, rewards, model, continued=name.endswith("continued"))
        expected, _ = trl_run.logged(trainer)
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder, name)
            trl_run.write_run(folder, trainer, settings, model)
            found = ours(options.cli, folder)
        off, where = (float("inf"), found) if isinstance(found, str) else compare(expected, found, 0.1 if "vespo" in name else 0.05)
        print(f"{'ok  ' if off <= 1 else 'FAIL'} {name:24} worst {off:8.3f} of the bound ({where})", flush=True)
        if off > 1:
            failed.append(name)
    print(f"{len(options.cases or CASES) - len(failed)} cases agree over {options.steps} steps" + (f", not: {', '.join(failed)}" if failed else ""))
    sys.exit(1 if failed else 0)


main()
