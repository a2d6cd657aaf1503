"""An adapter that grpo-cli trains, in PEFT: peft_parity.py [--cli PATH] [--model DIR] [--steps N]

Trains LoRA on every linear layer for a few steps (the tests' tiny model unless another is named), plain and rank-stabilised, loads the result with
PeftModel.from_pretrained and compares the log-probs of three texts with `grpo-cli score`, adapted and merged, in FP32. Exit code 1 if one differs by
more than 1e-4. Run it with the python of scripts/oracles/venv.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
import torch  # noqa: E402
from peft import PeftModel  # noqa: E402
from transformers import AutoModelForCausalLM  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEXTS = ["The sky is blue", "Count to three: one, two", "In the year of the sea"]


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cli", default=str(ROOT / ".build/release/grpo-cli"))
    parser.add_argument("--model", default=str(ROOT / "Tests/GRPOTests/Goldens/trl-model"))
    parser.add_argument("--steps", type=int, default=3)
    options = parser.parse_args()
    failed = False
    for rslora in ("false", "true"):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            (folder / "data.jsonl").write_text("".join(json.dumps({"prompt": text}) + "\n" for text in TEXTS))
            (folder / "rows.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
            keys = {"model_name_or_path": options.model, "dataset_name": folder / "data.jsonl", "reward_funcs": "length", "output_dir": folder / "run",
                    "max_steps": options.steps, "num_generations": 4, "per_device_train_batch_size": 4, "max_completion_length": 8,
                    "learning_rate": 1e-2, "lr_scheduler_type": "constant", "use_peft": True, "lora_r": 4, "lora_alpha": 8, "use_rslora": rslora,
                    "lora_target_modules": "all-linear", "save_strategy": "no"}
            run(options.cli, "train", *(word for key, value in keys.items() for word in (f"--{key}", value)))
            run(options.cli, "convert", options.model, folder / "merged", "--to", "safetensors", "--dtype", "float32", "--merge-adapter", folder / "run")
            rows = {name: [json.loads(line) for line in run(options.cli, "score", folder / name, "--input", folder / "rows.jsonl", "--dtype",
                                                            "float32").splitlines()] for name in ("run", "merged")}
            base = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32)
            model = PeftModel.from_pretrained(base, folder / "run").eval()
            worst, moved = {"run": 0.0, "merged": 0.0}, 0.0
            for i in range(len(TEXTS)):
                ids = torch.tensor(rows["run"][i]["ids"])
                with torch.no_grad():
                    def logprobs():
                        return torch.log_softmax(model(ids[None]).logits[0, :-1], -1).gather(1, ids[1:, None])[:, 0]
                    adapted = logprobs()
                    with model.disable_adapter():
                        moved = max(moved, (logprobs() - adapted).abs().max().item())
                for name in worst:
                    worst[name] = max(worst[name], (torch.tensor(rows[name][i]["logprobs"]) - adapted).abs().max().item())
            ok = max(worst.values()) < 1e-4 and moved > 1e-3
            failed |= not ok
            print(f"{'ok  ' if ok else 'FAIL'} use_rslora {rslora}: log-probs differ from PEFT's by {worst['run']:.1e}, merged by {worst['merged']:.1e}; "
                  f"the adapter moves them by {moved:.2g}")
    sys.exit(1 if failed else 0)


main()
