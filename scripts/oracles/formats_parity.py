#!/usr/bin/env python3
"""Compares our exports with the programs they are for: formats_parity.py GRPO_CLI MODEL_DIR WORK [STEP ...]

MODEL_DIR is a BF16 checkpoint of the Qwen2 class, WORK a directory for what is written (several GB). Steps, all of them unless some are named:

    shards   safetensors in shards, F32, F16: transformers' own file names and index, the same weights
    packed   scripts/unpack.py restores the file; ratio and speed beside ZipNN on one thread
    delta    a simulated fine-tune at 1e-6 and 1e-5: size, the same bytes when restored, and its vectors by a decoder in Python
    gguf     every type, three layers and the rest, up to 4096 rows of each: gguf-py's values are ours, ggml's quantiser makes the same blocks where it rounds only, errors beside ggml's where it searches
    llama    llama.cpp gives the same greedy text from our BF16 file as grpo-cli, and from our Q8_0 file with its weights in FP32; what 8-bit activations change
    mixes    a random model whose rows K types divide: every type and mix opens in llama.cpp and, its weights in FP32, goes on as here; what MODEL_DIR cannot have is refused
    integers transformers with compressed-tensors loads int8 and int4, logits as those of the dequantised model
    peft     a LoRA adapter merged as PEFT merges it

Needs: torch, transformers, safetensors, gguf, numpy, peft, compressed-tensors, zipnn, zstandard, xxhash, llama-cpp-python.
"""
import ctypes, glob, importlib.util, json, os, shutil, struct, subprocess, sys, time
from pathlib import Path
import numpy as np

cli, model, work = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
steps = sys.argv[4:] or ["shards", "packed", "delta", "gguf", "llama", "mixes", "integers", "peft"]
work.mkdir(parents=True, exist_ok=True)


def convert(source, target, *options):
    target = work / target
    started = time.time()
    result = subprocess.run([cli, "convert", str(source), str(target), "--force", *options], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    seconds = time.time() - started
    size = sum(f.stat().st_size for f in target.iterdir()) if target.is_dir() else target.stat().st_size
    print(f"{target.name:14s} {size / 1e6:8.1f} MB {seconds:6.1f} s   {' '.join(options)}", flush=True)
    return target


def tensors(directory):
    from safetensors.torch import load_file
    found = {}
    for file in sorted(Path(directory).glob("*.safetensors")):
        found.update(load_file(file))
    return found


def same(a, b):
    import torch
    assert a.keys() == b.keys(), a.keys() ^ b.keys()
    for name in a:
        assert a[name].dtype == b[name].dtype and torch.equal(a[name].contiguous().view(torch.uint8), b[name].contiguous().view(torch.uint8)), name


def shards():
    from transformers import AutoModelForCausalLM
    import torch
    plain = tensors(model)
    out = convert(model, "shards", "--to", "safetensors", "--max-shard-size", "300MB", "--verify")
    same(plain, tensors(out))
    AutoModelForCausalLM.from_pretrained(out, dtype=torch.bfloat16)
    for dtype, torch_type in [("float32", torch.float32), ("float16", torch.float16)]:
        out = convert(model, dtype, "--to", "safetensors", "--dtype", dtype, "--verify")
        same({k: v.to(torch_type) for k, v in plain.items()}, tensors(out))
        shutil.rmtree(out)


def packed():
    out = convert(model, "packed", "--to", "packed", "--verify")
    started = time.time()
    subprocess.run([sys.executable, str(Path(__file__).parents[1] / "unpack.py"), str(out / "model.safetensors"), str(work / "unpacked.safetensors")], check=True)
    print(f"scripts/unpack.py: {time.time() - started:.1f} s")
    (work / "unpacked").mkdir(exist_ok=True)
    (work / "unpacked.safetensors").replace(work / "unpacked/model.safetensors")
    same(tensors(model), tensors(work / "unpacked"))
    convert(out, "back", "--to", "safetensors")
    assert (work / "back/model.safetensors").read_bytes() == (convert(model, "again", "--to", "safetensors") / "model.safetensors").read_bytes()
    beside_zipnn(model / "model.safetensors")


ZIPNN = """
import sys, time, zipnn
source, target, back = sys.argv[1:]
z, times = zipnn.ZipNN(bytearray_dtype="bfloat16", threads=1), []
for read, work, write in ((source, z.compress, target), (target, z.decompress, back)):
    started = time.time()
    data = open(read, "rb").read()
    done = time.time()
    data = work(data)
    worked = time.time() - done
    open(write, "wb").write(data)
    times += [time.time() - started, worked]
print(*times)
"""


def beside_zipnn(weights):
    """Three turns each on one CPU, from a file to a file in WORK; of ZipNN also the part in memory alone, of ours the processor's time outside the kernel."""
    if importlib.util.find_spec("zipnn") is None:
        return print("zipnn is not installed (pip install zipnn): not compared with it")

    def turn(*command):
        before, started = os.times(), time.time()
        out = subprocess.run(["taskset", "-c", "0", *map(str, command)], check=True, capture_output=True, text=True).stdout
        return time.time() - started, os.times().children_user - before.children_user, out
    for _ in range(3):
        there, user, _ = turn(cli, "convert", model, work / "packed", "--to", "packed", "--force")
        back, user_back, _ = turn(cli, "convert", work / "packed", work / "back", "--to", "safetensors", "--force")
        ratio = (work / "packed/model.safetensors").stat().st_size / weights.stat().st_size
        print(f"ours : {ratio:.4f}  {there:5.2f} s (user {user:.2f}), back {back:5.2f} s (user {user_back:.2f})")
        _, _, out = turn(sys.executable, "-c", ZIPNN, weights, work / "zipped", work / "unzipped")
        there, there_memory, back, back_memory = map(float, out.split())
        assert (work / "unzipped").read_bytes() == weights.read_bytes()
        ratio = (work / "zipped").stat().st_size / weights.stat().st_size
        print(f"ZipNN: {ratio:.4f}  {there:5.2f} s (in memory {there_memory:.2f}), back {back:5.2f} s (in memory {back_memory:.2f})")


def decode_differences(code, base, bits):
    """The elements of a delta's chunk, as docs/checkpoints.md describes it, bit after bit: slow, and written apart from the program."""
    top = 1 << bits - 1
    place = lambda x: x ^ top - 1 if x & top else x  # in the order of all floats; its own inverse
    out, at = [], 0
    for first in range(0, len(base), 65536):
        length = int.from_bytes(code[at:at + 4], "little")
        stream, at = iter(code[at + 4:at + 4 + length]), at + 4 + length
        low, high, value, chances = 0, 2**32 - 1, 0, {}
        for _ in range(4):
            value = value << 8 | next(stream, 0)

        def coded(context=None):
            nonlocal low, high, value
            p, seen = chances.get(context, (32768, 0))
            middle = low + ((high - low) * min(max(p, 16), 65520) >> 16)
            bit = value <= middle
            low, high = (low, middle) if bit else (middle + 1, high)
            while low >> 24 == high >> 24:
                low, high, value = low << 8 & 0xFFFFFF00, high << 8 & 0xFFFFFF00 | 255, value << 8 & 0xFFFFFF00 | next(stream, 0)
            if context:
                rate = 131072 // (2 * seen + 3)
                chances[context] = (p + ((65535 - p) * rate >> 16) if bit else p - (p * rate >> 16), min(seen + 1, 255))
            return int(bit)

        for x in base[first:first + 65536]:
            e, length = (x & 127 if bits == 8 else x >> bits - 9 & 255), 0
            while length < bits and coded(("length", e, length)):
                length += 1
            size = 1 if length else 0
            for before in range(length - 1):
                context = ("low", e, size) if length <= 3 else ("high", e == 0, length, size) if before < 8 else None
                size = size << 1 | coded(context)
            out.append(place((place(x) + (-size if length and coded() else size)) % (2 * top)))
    assert at == len(code)
    return out


def delta():
    import torch
    from safetensors.torch import save_file
    for size in (1e-6, 1e-5):
        generator = torch.Generator().manual_seed(1)
        tuned = {k: (v.float() + torch.randn(v.shape, generator=generator) * size).to(v.dtype) for k, v in tensors(model).items()}
        directory = work / "tuned"
        shutil.copytree(model, directory, dirs_exist_ok=True)
        save_file(tuned, directory / "model.safetensors", metadata={"format": "pt"})
        out = convert(directory, "delta", "--to", "delta", "--base", str(model), "--verify")
        ratio = (out / "model.safetensors").stat().st_size / (directory / "model.safetensors").stat().st_size
        back = convert(out, "restored", "--to", "safetensors")
        same(tuned, tensors(back))
        print(f"changed by about {size}: the delta is {100 * ratio:.2f} % of the checkpoint")
        # Its vectors, one chunk each, by a decoder of our own.
        file = (out / "model.safetensors").read_bytes()
        head, = struct.unpack_from("<Q", file)
        header, data = json.loads(file[8:8 + head]), memoryview(file)[8 + head:]
        old, new = tensors(model), 0
        for name in json.loads(header["__metadata__"]["delta"])["tensors"]:
            if old[name].dim() == 1:
                before = old[name].view(torch.int16).numpy().view(np.uint16).tolist()
                blob = data[slice(*header[name]["data_offsets"])]
                length, = struct.unpack_from("<I", blob, len(blob) - 20)
                after = struct.unpack(f"<{len(before)}H", blob[:length]) if length == 2 * len(before) else \
                    decode_differences(blob[:length], before, 16) if length else before
                assert list(after) == tuned[name].view(torch.int16).numpy().view(np.uint16).tolist(), name
                new += after != before
        print(f"    {new} vectors of it decoded in Python")


def ggml():
    import llama_cpp
    library = ctypes.CDLL(glob.glob(os.path.dirname(llama_cpp.__file__) + "/lib/libggml-base.so*")[0])
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    library.ggml_quantize_chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p] + [ctypes.c_int64] * 3 + [ctypes.c_void_p]
    return library


def gguf():
    import gguf as package
    library = ggml()
    plain = {k: v.float().numpy() for k, v in tensors(model).items()}
    names = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
             "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj", "attn_norm": "input_layernorm",
             "ffn_norm": "post_attention_layernorm"}

    def original(name):
        part = name.split(".")
        if part[0] == "blk":
            return plain[f"model.layers.{part[1]}.{names[part[2]]}.{part[3]}"]
        return plain[{"token_embd": "model.embed_tokens.weight", "output_norm": "model.norm.weight", "output": "lm_head.weight"}[part[0]]]

    for kind in ["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl", "q6_k", "q5_k_m", "q5_k_s", "q4_k_m", "q4_k_s"]:
        file = convert(model, f"{kind}.gguf", "--to", "gguf", "--quantize", kind, "--allow-fallback")
        reader = package.GGUFReader(str(file))
        errors, blocks = {}, 0
        layers = max(int(t.name.split(".")[1]) for t in reader.tensors if t.name.startswith("blk.")) + 1
        # Every tensor has been written; the first, a middle and the last layer are looked at.
        looked_at = [t for t in reader.tensors if not t.name.startswith("blk.") or int(t.name.split(".")[1]) in (0, layers // 2, layers - 1)]
        for tensor in looked_at:
            data, wanted = np.ascontiguousarray(tensor.data[:4096]), np.ascontiguousarray(original(tensor.name)[:4096])  # rows
            values = package.dequantize(data, tensor.tensor_type).reshape(wanted.shape)
            kind_name = tensor.tensor_type.name
            error = np.sqrt(((values - wanted) ** 2).mean() / max((wanted ** 2).mean(), 1e-30))
            errors.setdefault(kind_name, []).append(error)
            if kind_name in ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"):
                theirs = np.zeros_like(data)
                library.ggml_quantize_chunk(int(tensor.tensor_type), wanted.ctypes.data, theirs.ctypes.data, 0, *wanted.shape, None)
                assert (theirs == data).all(), f"{tensor.name}: other blocks than ggml's {kind_name}"
                blocks += 1
        print("    " + ", ".join(f"{k}: {len(v)} tensors, error {np.mean(v):.5f}" for k, v in errors.items()) + (f"; {blocks} as ggml's to the bit" if blocks else ""))
        if kind not in ("bf16", "q8_0"):
            file.unlink()


PROMPTS = ["The capital of France is", "def fibonacci(n):\n", "Once upon a time", "1, 2, 3, 4,", "The opposite of hot is", "import numpy as np\n",
           "Water boils at", "Dear Sir or Madam,"]


def continuations(file, dtype):
    """What grpo-cli makes of each prompt, greedily: 64 tokens' text, and the prompt's ids."""
    rows = work / "prompts.jsonl"
    rows.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in PROMPTS))
    lines = subprocess.run([cli, "generate", str(file), "--input", str(rows), "--raw", "--max-new-tokens", "64", "--dtype", dtype, "--json"],
                           capture_output=True, text=True, check=True).stdout.splitlines()
    return [json.loads(line) for line in lines]


class Llama:
    """llama.cpp with a model; the cache in FP32, so that the weights' type is all that is not exact."""
    def __init__(self, file):
        import llama_cpp
        self.model = llama_cpp.Llama(str(file), n_ctx=512, verbose=False, n_threads=1, n_threads_batch=1, type_k=0, type_v=0, logits_all=True)

    def greedy(self, ids):
        """Up to 64 more ids."""
        self.model.reset()
        found, more = [], list(ids)
        for _ in range(64):
            self.model.eval(more)
            best = int(self.model.scores[self.model.n_tokens - 1].argmax())
            if best == self.model.token_eos():
                break
            found.append(best)
            more = [best]
        return found

    def logits(self, ids):
        self.model.reset()
        self.model.eval(ids)
        return np.array(self.model.scores[self.model.n_tokens - 1])


def beside(title, theirs, ours, exact=None):
    """Counts equal texts. Where one parts: how far apart llama.cpp has the two tokens there, and its logits from those of `exact`."""
    equal = 0
    for prompt, mine in zip(PROMPTS, ours, strict=True):
        ids = theirs.model.tokenize(prompt.encode(), add_bos=False)
        assert ids == mine["prompt_ids"], f"{prompt!r}: other tokens"
        end = theirs.model.token_eos()
        found, expected = theirs.greedy(ids) + [end], [id for id in mine["ids"] if id != end] + [end]
        at = next((i for i, (a, b) in enumerate(zip(found, expected)) if a != b), None)
        equal += at is None
        if at is not None:
            logits = theirs.logits(ids + found[:at])
            off = f", its logits {np.sqrt(((logits - exact.logits(ids + found[:at])) ** 2).mean()):.3f} off (root mean square)" if exact else ""
            print(f"    {prompt!r}: parts at token {at}, where llama.cpp has the two {logits[found[at]] - logits[expected[at]]:.4f} apart{off}")
    print(f"{title}: {equal} of {len(PROMPTS)} greedy texts of 64 tokens are the same", flush=True)


def llama():
    for kind in ("bf16", "q8_0"):
        file = work / f"{kind}.gguf"
        if not file.exists():
            convert(model, file.name, "--to", "gguf", "--quantize", kind)
        ours = continuations(file, "float32")
        if kind == "bf16":
            beside("llama.cpp, bf16", Llama(file), ours)
            continue
        # llama.cpp rounds what it multiplies by Q8_0 weights to 8 bits as well, a scale for each 32 numbers. With the same weights in FP32 it does not.
        exact = Llama(convert(file, f"{kind}-f32.gguf", "--to", "gguf", "--quantize", "f32"))
        beside(f"llama.cpp, {kind} read up to f32", exact, ours)
        beside(f"llama.cpp, {kind}", Llama(file), ours, exact)
        beside(f"llama.cpp, {kind}, grpo-cli --dtype int8", Llama(file), continuations(file, "int8"), exact)


def mixes():
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    torch.manual_seed(1)
    config = AutoConfig.from_pretrained(model)
    config.update(dict(hidden_size=256, intermediate_size=512, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, layer_types=None,
                       max_window_layers=3))
    random = AutoModelForCausalLM.from_config(type(config)(**{k: v for k, v in config.to_dict().items() if k != "layer_types"})).float()
    with torch.no_grad():
        for name, p in random.named_parameters():
            p.copy_(1 + 0.2 * torch.randn_like(p) if name.endswith("norm.weight") else torch.randn_like(p) * (0.3 if p.dim() == 1 or "embed" in name else 1.5 / p.shape[-1] ** 0.5))
    wide = work / "wide"
    random.save_pretrained(wide)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(model / name, wide)
    for kind in ("q4_k_m", "q4_k_s", "q5_k_m", "q5_k_s", "q6_k", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"):
        file = convert(wide, f"wide-{kind}.gguf", "--to", "gguf", "--quantize", kind)
        exact = Llama(convert(file, "wide-f32.gguf", "--to", "gguf", "--quantize", "f32"))
        ours = continuations(file, "float32")
        beside(f"llama.cpp, {kind} read up to f32", exact, ours)
        # As it is, llama.cpp rounds what it multiplies these weights by to 8 bits: texts of a random model part at once, logits stay near.
        theirs, off = Llama(file), []
        for mine in ours:
            there, here = theirs.logits(mine["prompt_ids"]), exact.logits(mine["prompt_ids"])
            off.append(np.sqrt(((there - here) ** 2).mean()) / here.std())
        print(f"llama.cpp, {kind}: logits off by {np.mean(off):.4f} of their deviation, at most {max(off):.4f}", flush=True)
    for kind in ("q4_k_m", "q5_k_m", "q6_k"):
        refused = subprocess.run([cli, "convert", str(model), str(work / "refused.gguf"), "--to", "gguf", "--quantize", kind], capture_output=True, text=True)
        assert refused.returncode and "--allow-fallback" in refused.stderr and not (work / "refused.gguf").exists(), refused.stderr
        plan = subprocess.run([cli, "convert", str(model), str(work / "refused.gguf"), "--to", "gguf", "--quantize", kind, "--dry-run"],
                              capture_output=True, text=True, check=True).stdout
        print(f"{kind} of {model.name}: refused, {sum(' instead of ' in line for line in plan.splitlines())} substitutions printed")


def integers():
    import torch
    from transformers import AutoModelForCausalLM
    ids = torch.tensor([[785, 6722, 315, 9625, 374, 12095, 13, 576]])
    for options in (["--to", "int8"], ["--to", "int4"], ["--to", "int4", "--group-size", "32"]):
        out = convert(model, "integers", *options, "--verify")
        plain = convert(out, "dequantized", "--to", "safetensors", "--dtype", "bfloat16")
        with torch.no_grad():
            a = AutoModelForCausalLM.from_pretrained(out, dtype=torch.bfloat16)(ids).logits.float()
            b = AutoModelForCausalLM.from_pretrained(plain, dtype=torch.bfloat16)(ids).logits.float()
            c = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16)(ids).logits.float()
        print(f"    transformers: logits differ from the dequantised model's by at most {(a - b).abs().max():.4f}, from the original's by {(a - c).abs().mean():.3f} on average")
        assert (a - b).abs().max() < 0.3, "not the weights that were written"


def peft():
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM
    for rslora in (False, True):
        torch.manual_seed(1)
        base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
        config = LoraConfig(r=8, lora_alpha=16, use_rslora=rslora, target_modules=["q_proj", "v_proj", "down_proj"],
                            rank_pattern={"layers.3.self_attn.q_proj": 4}, alpha_pattern={"v_proj": 24}, task_type="CAUSAL_LM")
        tuned = get_peft_model(base, config)
        with torch.no_grad():
            for name, parameter in tuned.named_parameters():
                if "lora_" in name:
                    parameter.normal_(0, 0.02)
        adapter = work / "adapter"
        tuned.save_pretrained(adapter)
        theirs = tuned.merge_and_unload().state_dict()
        ours = tensors(convert(model, "merged", "--to", "safetensors", "--dtype", "float32", "--merge-adapter", str(adapter)))
        worst = max(((ours[name] - theirs[name]).abs().max() / theirs[name].abs().max()).item() for name in ours)
        print(f"    PEFT's merge, rslora {rslora}: largest difference {worst:.2e} of the largest weight")
        assert worst < 1e-6


for step in steps:
    print(f"== {step}", flush=True)
    globals()[step]()
