"""Speed of grpo-cli beside llama.cpp, transformers, vLLM and TRL, in one run: bench_peers.py MODEL_DIR MODEL.gguf [--rounds N] [--only MEASURE ...]

Both sides take turns, every turn is a process of its own, and what is compared is the median over the rounds; "best, best" is the ratio of each side's
fastest turn, for machines whose cores are somebody else's at times. The GGUF file must hold the same weights as
the directory (the demo's does); llama.cpp's own quantiser makes the other types from it, beside it. Run it through scripts/bench-peers.
"""
import argparse
import ctypes
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
THREADS = 2
PATIENCE = 900  # seconds a peer's training may take for one turn

# Every measure: what `grpo-cli bench` is asked for, which of its rows is meant, and the peers' turns.
MEASURES = {
    "prefill of 512, bfloat16": (["--only", "prefill"], ("prefill", 1), [("llama.cpp", "llama", "bf16", "prefill", "1"),
                                                                         ("transformers", "transformers", "bfloat16", "prefill", "1")]),
    "prefill of 512, float32": (["--only", "prefill", "--dtype", "float32"], ("prefill", 1), [("llama.cpp", "llama", "f32", "prefill", "1"),
                                                                                            ("transformers", "transformers", "float32", "prefill", "1")]),
    "decode, 1 sequence": (["--only", "decode"], ("decode", 1), [("llama.cpp", "llama", "bf16", "decode", "1"),
                                                                 ("transformers", "transformers", "bfloat16", "decode", "1"),
                                                                 ("vLLM", "vllm", "bfloat16", "decode", "1")]),
    "decode, 8 sequences": (["--only", "decode"], ("decode", 8), [("llama.cpp", "llama", "bf16", "decode", "8"),
                                                                  ("transformers", "transformers", "bfloat16", "decode", "8"),
                                                                  ("vLLM", "vllm", "bfloat16", "decode", "8")]),
    "decode, 32 sequences": (["--only", "decode"], ("decode", 32), [("llama.cpp", "llama", "bf16", "decode", "32"),
                                                                    ("transformers", "transformers", "bfloat16", "decode", "32"),
                                                                    ("vLLM", "vllm", "bfloat16", "decode", "32")]),
    "prefill of 512, int8": (["--only", "prefill", "--dtype", "int8"], ("prefill", 1), [("llama.cpp Q8_0", "llama", "q8_0", "prefill", "1")]),
    "decode, 1 sequence, int8": (["--only", "decode", "--dtype", "int8"], ("decode", 1), [("llama.cpp Q8_0", "llama", "q8_0", "decode", "1")]),
    "decode, 1 sequence, int4": (["--only", "decode", "--dtype", "int4"], ("decode", 1), [("llama.cpp Q4_0", "llama", "q4_0", "decode", "1")]),
    "GRPO step, 8 x 64 tokens": (["--only", "train_step", "--repeats", "3"], ("train_step", 8), [("TRL float32", "trl", "fp32", "1", "40"),
                                                                                                 ("TRL default", "trl", "default", "1", "40"),
                                                                                                 ("TRL all bfloat16", "trl", "pure-bf16", "1", "40")]),
    "GRPO step, 32 x 64 tokens, prompts of 300": (["--only", "train_step_long"], ("train_step_long", 32), [("TRL float32", "trl", "fp32", "4", "300"),
                                                                                                         ("TRL default", "trl", "default", "4", "300")]),
    "start to first token": (None, None, [("llama.cpp", "llama", "bf16", "start", "1"), ("transformers", "transformers", "bfloat16", "start", "1")]),
}
LLAMA_TYPES = {"bf16": 32, "f32": 0, "q8_0": 7, "q4_0": 2}  # llama.cpp's numbers of file types


def llama(gguf, kind, measure, sequences):
    """Seconds of one measure in llama.cpp."""
    import llama_cpp as lib
    source = pathlib.Path(gguf)
    file = source.with_name(f"{source.stem}.peer-{kind}.gguf")
    if not file.exists():
        wanted = lib.llama_model_quantize_default_params()
        wanted.ftype, wanted.allow_requantize, wanted.nthread = LLAMA_TYPES[kind], True, THREADS
        partial = file.with_suffix(".partial")
        if lib.llama_model_quantize(str(source).encode(), str(partial).encode(), ctypes.byref(wanted)) != 0:
            sys.exit(f"llama.cpp could not write {file}")
        partial.rename(file)
    lib.llama_backend_init()
    model = lib.llama_model_load_from_file(str(file).encode(), lib.llama_model_default_params())
    wanted = lib.llama_context_default_params()
    wanted.n_ctx, wanted.n_batch, wanted.n_ubatch = max(1024, 128 * sequences), 2048, 512
    wanted.n_seq_max, wanted.n_threads, wanted.n_threads_batch, wanted.kv_unified = sequences, THREADS, THREADS, True
    context = lib.llama_init_from_model(model, wanted)
    batch = lib.llama_batch_init(2048, 0, sequences)

    def decode(rows):  # (token, position, sequences, wants logits)
        batch.n_tokens = len(rows)
        for i, (token, position, owners, logits) in enumerate(rows):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, position, len(owners), logits
            for k, owner in enumerate(owners):
                batch.seq_id[i][k] = owner
        if lib.llama_decode(context, batch) != 0:
            sys.exit("llama_decode failed")

    everyone = list(range(sequences))
    prompt = 512 if measure == "prefill" else 40
    began = time.perf_counter()
    for turn in range(2 if measure == "prefill" else 1):  # the first one warms up
        lib.llama_memory_clear(lib.llama_get_memory(context), True)
        began = time.perf_counter()
        decode([(1000 + i, i, everyone, i == prompt - 1) for i in range(prompt)])
    if measure == "decode":
        step = lambda i: decode([(2000 + s + i, prompt + i, [s], True) for s in everyone])
        step(0)
        began = time.perf_counter()
        for i in range(64):
            step(1 + i)
    return time.perf_counter() - began


def transformers(model, dtype, measure, sequences):
    """Seconds of one measure in transformers, on PyTorch."""
    import torch
    from transformers import AutoModelForCausalLM
    torch.set_num_threads(THREADS)
    decoder = AutoModelForCausalLM.from_pretrained(model, dtype=getattr(torch, dtype)).eval()
    with torch.no_grad():
        if measure == "prefill":
            ids = torch.arange(1000, 1512)[None]
            decoder(ids, logits_to_keep=1)
            began = time.perf_counter()
            decoder(ids, logits_to_keep=1)
            return time.perf_counter() - began
        ids = torch.arange(1000, 1040)[None].repeat(sequences, 1)
        state = decoder(ids, logits_to_keep=1)
        began = time.perf_counter()
        for i in range(64 if measure == "decode" else 0):
            state = decoder(torch.full((sequences, 1), 2000 + i), past_key_values=state.past_key_values)
        return time.perf_counter() - began


def vllm(model, dtype, measure, sequences):
    """Seconds of 64 tokens of every sequence in vLLM, whose engine gives no time of its own: those of 65 tokens less those of the first one."""
    import os
    os.environ |= {"HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "2", "VLLM_LOGGING_LEVEL": "ERROR", "VLLM_CPU_OMP_THREADS_BIND": f"0-{THREADS - 1}"}
    from vllm import LLM, SamplingParams
    engine = LLM(model, dtype=dtype, max_model_len=1024)

    def generate(tokens):
        wanted = SamplingParams(temperature=0, max_tokens=tokens, min_tokens=tokens, ignore_eos=True, detokenize=False)
        began = time.perf_counter()
        engine.generate([{"prompt_token_ids": list(range(1000, 1040))}] * sequences, wanted, use_tqdm=False)
        return time.perf_counter() - began

    generate(65)  # the first one warms up
    return generate(65) - generate(1)


def trl(model, mode, prompts, prompt_tokens):
    """Seconds of a GRPO step in TRL: the median of three after the first one, as ours; of several prompts, whose steps take minutes, the first. A micro-batch
    is one prompt's completions: more at once do not fit 24 GB."""
    import os
    os.environ["HF_HUB_OFFLINE"] = "1"
    from datasets import Dataset
    from transformers import AutoTokenizer, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer
    seconds = []

    class Clock(TrainerCallback):
        def on_step_begin(self, *_, **__):
            self.began = time.perf_counter()

        def on_step_end(self, *_, **__):
            seconds.append(time.perf_counter() - self.began)

    tokenizer = AutoTokenizer.from_pretrained(model)
    text = "The quick brown fox jumps over the lazy dog while the old river carries its boats slowly towards the sea. " * 40
    ids = tokenizer(text)["input_ids"]
    chats = [tokenizer.decode(ids[i:i + prompt_tokens]) for i in range(prompts)]  # they do not begin alike
    steps = 4 if prompts == 1 else 1
    with tempfile.TemporaryDirectory() as output:
        arguments = GRPOConfig(output_dir=output, use_cpu=True, max_steps=steps, bf16=mode != "fp32", gradient_checkpointing=False, report_to=[],
                               save_strategy="no", disable_tqdm=True, per_device_train_batch_size=8, gradient_accumulation_steps=prompts, num_generations=8,
                               max_completion_length=64, learning_rate=1e-6, generation_kwargs={"min_new_tokens": 64},
                               model_init_kwargs={"dtype": "bfloat16" if mode == "pure-bf16" else "float32"})
        trainer = GRPOTrainer(model=model, args=arguments, train_dataset=Dataset.from_dict({"prompt": chats * steps}), callbacks=[Clock()],
                              reward_funcs=lambda completions, **_: [float(i % 8) for i in range(len(completions))])
        trainer.train()
    return statistics.median(seconds[1:] or seconds)


def peer_turn(arguments, words):
    """One turn of a peer in a process of its own; None when it takes too long, with what it had at least."""
    python = arguments.vllm if words[0] == "vllm" else sys.executable
    command = [python, __file__, arguments.model, arguments.gguf, "--turn", *words]
    began = time.perf_counter()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE if words[0] == "trl" else None)
    except subprocess.TimeoutExpired:
        return PATIENCE / 4, True  # its four steps did not end in this time
    if done.returncode != 0:
        sys.exit(f"{' '.join(words)} failed:\n{done.stderr[-3000:]}")
    return (time.perf_counter() - began if words[2] == "start" else float(done.stdout.strip().splitlines()[-1])), False


def our_turn(arguments, options):
    """One turn of ours: seconds by (measure, sequences)."""
    began = time.perf_counter()
    if options is None:
        subprocess.run([arguments.cli, "generate", arguments.model, "--prompt", "Hello", "--max-new-tokens", "1", "--threads", str(THREADS)], check=True,
                       capture_output=True)
        return {None: time.perf_counter() - began}
    repeats = [] if "--repeats" in options else ["--repeats", "1"]
    command = [arguments.cli, "bench", arguments.model, "--json", "--threads", str(THREADS), *options, *repeats]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return {(line["measure"], line["sequences"]): line["seconds"] for line in map(json.loads, lines)}


def compare(arguments, options, measures):
    """Lets the measures that one turn of ours answers take turns with their peers and prints a line a peer."""
    ours, theirs, late = [], {}, set()
    for _ in range(arguments.rounds):
        ours.append(our_turn(arguments, options))
        for name, (_, _, peers) in measures:
            for label, *words in peers:
                if (name, label) in late:
                    continue
                seconds, is_bound = peer_turn(arguments, words)
                theirs.setdefault((name, label), []).append(seconds)
                if is_bound:
                    late.add((name, label))
    rows = {name: row for name, (_, row, _) in measures}
    for (name, label), seconds in theirs.items():
        mine = [turn[rows[name]] for turn in ours]
        ratios = sorted(their / our for their, our in zip(seconds, mine))
        more = "> " if (name, label) in late else ""
        print(f"{name:44}{statistics.median(mine):10.3f}  {label:18}{more + format(statistics.median(seconds), '.3f'):>10}"
              f"{more + format(statistics.median(ratios), '.2f'):>14}{f'{ratios[0]:.2f} to {ratios[-1]:.2f}':>16}"
              f"{more + format(min(seconds) / min(mine), '.2f'):>12}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("gguf")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", help="parts of the measures' names")
    parser.add_argument("--peers", nargs="+", help="parts of the peers' names")
    parser.add_argument("--vllm", help="the python of an environment with vLLM, which wants a torch of its own; without it vLLM has no turns")
    parser.add_argument("--cli", default=str(ROOT / ".build/release/grpo-cli"))
    parser.add_argument("--turn", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.turn:
        kind, *words = arguments.turn
        if kind == "trl":
            print(trl(arguments.model, words[0], int(words[1]), int(words[2])))
        else:
            run = {"llama": llama, "transformers": transformers, "vllm": vllm}[kind]
            print(run(arguments.gguf if kind == "llama" else arguments.model, words[0], words[1], int(words[2])))
        return

    turns = {}  # measures by what our turn is asked for
    for name, (options, row, peers) in MEASURES.items():
        peers = [peer for peer in peers if not arguments.peers or any(part in peer[0] for part in arguments.peers)]
        peers = [peer for peer in peers if arguments.vllm or peer[1] != "vllm"]
        if peers and (not arguments.only or any(part in name for part in arguments.only)):
            turns.setdefault(tuple(options or ()), []).append((name, (options, row, peers)))
    if not turns:
        sys.exit("nothing to compare: --only takes parts of these names: " + "; ".join(MEASURES))
    print(f"{'':44}{'grpo-cli':>10}  {'peer':18}{'seconds':>10}{'times faster':>14}{'spread':>16}{'best, best':>12}")
    for measures in turns.values():
        compare(arguments, measures[0][1][0], measures)


if __name__ == "__main__":  # vLLM starts processes that read this file again
    main()
