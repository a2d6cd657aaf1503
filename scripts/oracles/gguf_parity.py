"""Compares a converted directory with the GGUF file it was made from: gguf_parity.py MODEL.gguf HF_DIR

HF_DIR is what `grpo-cli convert MODEL.gguf HF_DIR --to safetensors --dtype bfloat16` wrote. Checked: every tensor equals gguf-py's values rounded
to BF16 (to nearest, ties to even) bit for bit, none is missing and none is left over; transformers reads config, tokenizer and model without a
weight missing; the tokenizer gives the ids of transformers' own reading of the GGUF file and decodes them back; the chat template renders
the same. Ends with exit code 1 at the first difference. Needs: gguf, numpy, torch, safetensors, transformers.
"""
import json, os, sys, unicodedata
import gguf, numpy as np, torch
from safetensors import safe_open
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

model_path, directory = sys.argv[1:]


def check(condition, message):
    if not condition:
        sys.exit(f"gguf_parity: {message}")


def to_bf16(values):
    """FP32 to BF16 bit patterns in integers, without torch: to nearest, ties to even (the weights are finite)."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


names = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
         "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
         "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}
reader = gguf.GGUFReader(model_path)
tensors = {t.name: t for t in reader.tensors}
config = json.load(open(os.path.join(directory, "config.json")))
embedding = "model.embed_tokens.weight"
expected = {}
for name, tensor in tensors.items():
    part = name.split(".")
    if part[0] == "blk":
        expected[f"model.layers.{part[1]}.{names[part[2]]}.{part[3]}"] = tensor
    elif name == "output_norm.weight":
        expected["model.norm.weight"] = tensor
if "output.weight" not in tensors:
    expected[embedding] = tensors["token_embd.weight"]
elif config["tie_word_embeddings"]:
    expected[embedding] = max(tensors["output.weight"], tensors["token_embd.weight"], key=lambda t: t.n_bytes)
else:
    expected[embedding], expected["lm_head.weight"] = tensors["token_embd.weight"], tensors["output.weight"]

weights = 0
with safe_open(os.path.join(directory, "model.safetensors"), "pt") as written:
    left = set(expected) ^ set(written.keys())
    check(not left, f"tensors on one side only: {sorted(left)}")
    for name, tensor in expected.items():
        ours = written.get_tensor(name)
        check(ours.dtype == torch.bfloat16, f"{name} is {ours.dtype}, expected BF16")
        theirs = to_bf16(gguf.dequantize(tensor.data, tensor.tensor_type)).reshape([int(n) for n in tensor.shape][::-1])
        bits = ours.view(torch.uint16).numpy()
        check(bits.shape == theirs.shape, f"{name} has shape {bits.shape}, expected {theirs.shape}")
        differing = np.flatnonzero(bits.ravel() != theirs.ravel())
        check(not len(differing), f"{name} ({tensor.tensor_type.name}): {len(differing)} of {bits.size} weights differ, the first at {differing[:1]}")
        weights += bits.size
print(f"{len(expected)} tensors, {weights} weights: equal bit for bit")

print(AutoConfig.from_pretrained(directory).to_json_string(use_diff=True))
model, info = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.bfloat16, output_loading_info=True)
check(not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"], f"loading: {info}")
tied = model.get_input_embeddings().weight.data_ptr() == model.get_output_embeddings().weight.data_ptr()
check(tied == config["tie_word_embeddings"], "the embeddings are not tied as config.json says")
print(f"transformers loads it, tied: {tied}; generation: {model.generation_config.to_json_string()}")

ours = AutoTokenizer.from_pretrained(directory)
folder, file = os.path.split(os.path.abspath(model_path))
theirs = AutoTokenizer.from_pretrained(folder, gguf_file=file)
texts = ["", " ", "hello", "Hello, world!", " leading", "trailing ", "two  spaces", "tabs\tand\n\nnewlines\r\n\r\n  x", "1234567890 3.14",
         "don't I'LL we've", "naïve café cafe\u0301 Å A\u030a", "你好，世界", "ภาษาไทย", "العربية", "עברית", "हिन्दी", "한국어", "русский", "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽",
         "def f(x):\n    return x ** 2  # square\n", "<|im_start|>user\nhi<|im_end|>\n", "<|endoftext|>", "<tool_call>{}</tool_call>", "[PAD151700]",
         "<|fim_prefix|>a<|fim_suffix|>b<|fim_middle|>", "<|repo_name|>x<|file_sep|>y", "<|vision_pad|><|video_pad|>", "\u200b\ufeff\u00a0\u2028", "a\u0000b",
         "ﬁ ① Ⅷ", "\U0001F600" * 5, "supercalifragilisticexpialidocious", open(__file__).read()]
for text in texts:
    # Qwen2 puts text into NFC first; transformers forgets that when it reads a GGUF file, so it is given the text in NFC.
    composed = unicodedata.normalize("NFC", text)
    ids, wanted = ours(text)["input_ids"], theirs(composed)["input_ids"]
    check(ids == wanted, f"ids of {text[:60]!r}: {ids[:20]}, expected {wanted[:20]}")
    check(ours.decode(ids) == composed, f"decoding the ids of {text[:60]!r} gives {ours.decode(ids)[:60]!r}")
messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is 2+2?"}]
rendered = ours.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
check(rendered == theirs.apply_chat_template(messages, tokenize=False, add_generation_prompt=True), "the chat templates differ")
check(ours.eos_token_id == config["eos_token_id"], f"the tokenizer's eos is {ours.eos_token_id}, config.json's {config['eos_token_id']}")
print(f"{len(texts)} texts: the same ids, decoded back; eos {ours.eos_token!r}, pad {ours.pad_token!r}, {len(ours)} tokens")
special = sorted(i for i, t in ours.added_tokens_decoder.items() if t.special)
print(f"{len(ours.added_tokens_decoder)} added tokens, special: {special}")
