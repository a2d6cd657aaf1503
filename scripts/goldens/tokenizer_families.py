#!/usr/bin/env python3
"""The tokenizers of model families, as their tokenizer.json define them but with small vocabularies, and what Hugging Face makes of texts.

    pip install tokenizers==0.23.3
    scripts/goldens/tokenizer_families.py Tests/TokenizerTests/Goldens/families.golden.json [--texts 300] [--seed 1]

The edge cases that transformers.js and swift-transformers test, other scripts, the family's own special tokens; --texts adds random ones.
A line of the file is a family: {"name", "tokenizer", "encode", "decode"} as in tokenizer_pipelines.py.
"""
import argparse
import json
import pathlib
import random
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import tokenizer_samples as samples
from tokenizer_pipelines import PATTERNS, record

GPT2, QWEN2, LLAMA3, O200K = PATTERNS[:4]
DEEPSEEK = PATTERNS[4], PATTERNS[5], PATTERNS[6]
BYTES = {"add_prefix_space": False, "use_regex": False}


def split(pattern):
    return pre_tokenizers.Split(Regex(pattern), "isolated", False)


def begin(token, id=0):
    return processors.TemplateProcessing(single=f"{token} $A", pair=f"{token} $A {token} $B", special_tokens=[(token, id)])


def byte_level(steps, specials, *, normalizer=None, post=None, **options):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps) if len(steps) > 1 else steps[0]
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = post or processors.ByteLevel(trim_offsets=False)
    return tokenizer, normalizer, specials, pre_tokenizers.ByteLevel.alphabet(), options


def byte_fallback(specials, *, normalizer=None, pre=None, strips=True, post=None):
    """SentencePiece's BPE, as transformers converts it: bytes are the last resort."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    if pre:
        tokenizer.pre_tokenizer = pre
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence(steps + [decoders.Strip(" ", 1, 0)] if strips else steps)
    if post:
        tokenizer.post_processor = post
    return tokenizer, normalizer, specials, [], {"byte_fallback": True, "fuse_unk": True, "unk_token": "<unk>"}


def families():
    llama2 = ["<unk>", "<s>", "</s>"]
    prepend = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    gemma = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"]
    chat = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trim = processors.ByteLevel(trim_offsets=False)
    yield "gpt2", byte_level([pre_tokenizers.ByteLevel(add_prefix_space=False)], ["<|endoftext|>"])
    yield "gpt-neox", byte_level([pre_tokenizers.ByteLevel(add_prefix_space=False)], chat[:1], normalizer=normalizers.NFC())
    yield "qwen2", byte_level([split(QWEN2), pre_tokenizers.ByteLevel(**BYTES)], chat, normalizer=normalizers.NFC())
    yield "llama3", byte_level([split(LLAMA3), pre_tokenizers.ByteLevel(**BYTES)], ["<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>"],
                               post=processors.Sequence([trim, begin("<|begin_of_text|>")]), ignore_merges=True)
    yield "smollm2", byte_level([pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(add_prefix_space=False)], chat)
    yield "deepseek-v3", byte_level([split(DEEPSEEK[1]), split(DEEPSEEK[0]), split(DEEPSEEK[2]), pre_tokenizers.ByteLevel(**BYTES)],
                                    ["<｜begin▁of▁sentence｜>", "<｜User｜>"], post=begin("<｜begin▁of▁sentence｜>"))
    yield "gpt-oss", byte_level([split(O200K), pre_tokenizers.ByteLevel(**BYTES)], ["<|startoftext|>", "<|start|>", "<|message|>"])
    yield "llama2", byte_fallback(llama2, normalizer=prepend, post=begin("<s>", 1))
    yield "mistral-v0.3", byte_fallback(llama2 + ["[INST]", "[/INST]"], pre=pre_tokenizers.Metaspace("▁", "first", False), post=begin("<s>", 1))
    yield "gemma", byte_fallback(gemma, normalizer=normalizers.Replace(" ", "▁"), pre=pre_tokenizers.Split(" ", "merged_with_previous", False),
                                 strips=False, post=begin("<bos>", 2))


def small(tokenizer, normalizer, specials, alphabet, options):
    """The spec with a vocabulary learned from the samples."""
    if normalizer:
        tokenizer.normalizer = normalizer
    first = specials + ([f"<0x{i:02X}>" for i in range(256)] if options.get("byte_fallback") else [])
    trainer = trainers.BpeTrainer(vocab_size=len(first) + len(alphabet) + 300, special_tokens=first, initial_alphabet=alphabet, limit_alphabet=330,
                                  max_token_length=16, show_progress=False)
    tokenizer.train_from_iterator(samples.TEXTS * 2, trainer)
    spec = json.loads(tokenizer.to_str())
    # The bytes are entries of the vocabulary, not added tokens.
    spec["added_tokens"] = [token for token in spec["added_tokens"] if not token["content"].startswith("<0x")]
    spec["model"] |= options
    return spec


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=pathlib.Path)
    parser.add_argument("--texts", type=int, default=0, help="random texts a family besides")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    with arguments.file.open("w") as file:
        for name, parts in families():
            own = ["".join(parts[2]), f"{parts[2][0]}a b {parts[2][-1]}c", f" x{parts[2][-1]}  y\n"]
            texts = [t for t in samples.TEXTS if t and len(t) < 120] + own
            if arguments.texts:
                texts = samples.TEXTS[:-1] + own + samples.random_texts(arguments.texts, rng.random())
            value = {"name": name} | record(small(*parts), [t for t in texts if t], rng)
            file.write(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")
    print(arguments.file, arguments.file.stat().st_size)
