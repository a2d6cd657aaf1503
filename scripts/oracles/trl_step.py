"""Seconds of a GRPO step of grpo-cli beside TRL's, in one run on this machine: trl_step.py MODEL_DIR [--steps N] [--modes M ...] [--only-trl] [--lora all-linear|qv]

The shape: 8 completions of at most 64 tokens for one prompt of about 40, full fine-tuning or LoRA (rank 16, TRL's defaults, with PEFT there; then
grpo-cli is also timed without dropout and with all weights), generation and optimizer inside. TRL's modes:
default (FP32 weights, BF16 autocast), pure-bf16 (weights and moments in BF16) and fp32. Medians over the steps after the first.
Every trainer runs in a process of its own. Needs up to 12 GB of memory. Run it with the python of scripts/oracles/venv.
"""
import argparse
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
QUESTIONS = ["Write a Python function that returns the n-th Fibonacci number.", "Explain what a hash map is.",
             "How do I reverse a string in Swift?", "What is the time complexity of quicksort?",
             "Write a SQL query that counts users by country.", "What does the keyword static mean in C?",
             "Sort a list of tuples by the second item in Python.", "Write a regular expression for an e-mail address."]
IDEAL = 20  # characters: the reward is minus the distance to it
SHAPE = {"per_device_train_batch_size": 8, "num_generations": 8, "max_completion_length": 64, "learning_rate": 1e-6, "logging_steps": 1}


LORA = {"qv": {"use_peft": True}, "all-linear": {"use_peft": True, "lora_target_modules": "all-linear"}}


def chats():
    return [[{"role": "user", "content": question}] for question in QUESTIONS]


def trl_steps(model, steps, mode, lora):
    """Runs in a process of its own: prints {"seconds": [...], "tokens": [...], "peak": GB}."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import GRPOConfig, GRPOTrainer, ModelConfig, get_peft_config

    seconds = []

    class Clock(TrainerCallback):
        def on_step_begin(self, *_, **__):
            self.began = time.perf_counter()

        def on_step_end(self, *_, **__):
            seconds.append(time.perf_counter() - self.began)

    def length(completions, **_):
        return [-abs(IDEAL - len(completion[0]["content"])) for completion in completions]

    with tempfile.TemporaryDirectory() as output:
        arguments = GRPOConfig(output_dir=output, use_cpu=True, max_steps=steps, bf16=mode != "fp32", gradient_checkpointing=False, report_to=[],
                               save_strategy="no", disable_tqdm=True,
                               model_init_kwargs={"dtype": "bfloat16" if mode == "pure-bf16" else "float32"}, **SHAPE)
        targets = ["all-linear"] if lora == "all-linear" else None
        peft_config = get_peft_config(ModelConfig(use_peft=lora is not None, lora_target_modules=targets))
        trainer = GRPOTrainer(model=model, args=arguments, train_dataset=Dataset.from_dict({"prompt": chats()}), reward_funcs=length,
                              callbacks=[Clock()], peft_config=peft_config)
        trainer.train()
    tokens = [8 * row["completions/mean_length"] for row in trainer.state.log_history if "completions/mean_length" in row]
    print(json.dumps({"seconds": seconds, "tokens": tokens, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6}))


def our_steps(cli, model, steps, more):
    with tempfile.TemporaryDirectory() as directory:
        data, output = pathlib.Path(directory, "prompts.jsonl"), pathlib.Path(directory, "run")
        data.write_text("".join(json.dumps({"prompt": chat}) + "\n" for chat in chats()))
        arguments = SHAPE | {"model_name_or_path": model, "dataset_name": data, "output_dir": output, "reward_funcs": "length", "max_steps": steps,
                     "save_strategy": "no", "seed": 42} | more
        process = subprocess.Popen([cli, "train", *(word for key, value in arguments.items() for word in (f"--{key}", str(value)))],
                                   stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        if status != 0:
            sys.exit("grpo-cli failed")
        rows = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    rows = [row for row in rows if "step_time" in row]
    return {"seconds": [row["step_time"] for row in rows], "tokens": [8 * row["completions/mean_length"] for row in rows],
            "peak": usage.ru_maxrss / 1e6}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--modes", nargs="*", default=["pure-bf16", "default", "fp32"])
    parser.add_argument("--cli", default=str(ROOT / ".build/release/grpo-cli"))
    parser.add_argument("--only-trl", action="store_true")
    parser.add_argument("--lora", choices=list(LORA))
    parser.add_argument("--inside", help=argparse.SUPPRESS)  # the mode this very process is to time
    options = parser.parse_args()
    if options.inside:
        return trl_steps(options.model, options.steps, options.inside, options.lora)

    results = {}
    if not options.only_trl:
        more = LORA.get(options.lora, {})
        results["grpo-cli"] = our_steps(options.cli, options.model, options.steps, more)
        if options.lora:
            results["  no dropout"] = our_steps(options.cli, options.model, options.steps, more | {"lora_dropout": 0})
            results["  all weights"] = our_steps(options.cli, options.model, options.steps, {})
    for mode in options.modes:
        command = [sys.executable, __file__, options.model, "--steps", str(options.steps), "--inside", mode]
        command += ["--lora", options.lora] if options.lora else []
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"TRL failed in mode {mode}:\n{done.stderr[-3000:]}")
        results[f"TRL {mode}"] = json.loads(done.stdout.strip().splitlines()[-1])

    def median(values):
        return statistics.median(values[1:] or values)  # the first step also warms up

    first = median(next(iter(results.values()))["seconds"])
    print(f"{'':16}{'s a step':>10}{'ratio':>8}{'tokens a step':>15}{'peak GB':>9}")
    for name, result in results.items():
        seconds = median(result["seconds"])
        print(f"{name:16}{seconds:10.2f}{seconds / first:8.2f}{median(result['tokens']):15.0f}{result['peak']:9.1f}")


main()
