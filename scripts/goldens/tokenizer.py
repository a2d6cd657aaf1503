#!/usr/bin/env python3
"""Writes Tests/TokenizerTests/Goldens: two tiny byte-level BPE tokenizers, and ids and texts by Hugging Face's tokenizers.

    pip install tokenizers==0.23.3
    scripts/goldens/tokenizer.py [TOKENIZER_JSON]

qwen2-tiny.json, gpt2-tiny.json   the tokenizers (trained on the sample texts; the first with every kind of added token)
*-tiny.golden.json                [{text, ids, plain (special tokens as text)}], [{ids, text, skipped (special tokens left out)}],
                                  [{text, pieces (of the pre-tokenizer)}]
qwen2.5.golden.json               the same ids for the real Qwen2.5 tokenizer, with NFC and (where it differs) without; needs TOKENIZER_JSON
"""
import json
import pathlib
import random
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import tokenizer_samples as samples

OUT = pathlib.Path(__file__).parents[2] / "Tests/TokenizerTests/Goldens"
QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
ADDED = [
    AddedToken("<|endoftext|>", special=True, normalized=False), AddedToken("<|im_start|>", special=True, normalized=False),
    AddedToken("<|im_end|>", special=True, normalized=False), AddedToken("<tool_call>", special=False, normalized=False),
    AddedToken("<|im", special=False, normalized=False), AddedToken("<l>", lstrip=True, normalized=False), AddedToken("<r>", rstrip=True, normalized=False),
    AddedToken("<lr>", lstrip=True, rstrip=True, normalized=False, special=True), AddedToken("solo", single_word=True, normalized=False),
    AddedToken("e\u0301e\u0301", normalized=True), AddedToken("zu zu", normalized=True, single_word=True), AddedToken("ÿéÿ", normalized=False),
    AddedToken("日 本", special=True, normalized=False), AddedToken(" <r", normalized=False),
]
FLAGS = [
    "a <l> b", "a \u3000\n<l>\u00a0b", "a <r> \n b", "<r> <l> <r>  <r>", "x  <lr>  y <lr><lr> ", "<r> <r <r>x", "solo", "a solo b", "solos", "_solo", "solo_ solo-solo", "ésolo",
    "solo\u0301", "\u200dsolo", "①solo Ⓐsolo", "éé", "e\u0301é", "éée\u0301 é\u0301é", "zu zu", "zu zu zu zuzu zu", "azu zu", "ÿéÿ", "日 本 日本", "<|im", "<|im_", "<|im_endx",
    " <l><l> <l>", "a<|im_end|> <l>", "<lr>  <|im_end|>  <lr>",
]


def golden(tokenizer, texts, rng):
    encoded, decoded = [], []
    for text in texts:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        tokenizer.encode_special_tokens = True
        plain = tokenizer.encode(text, add_special_tokens=False).ids
        tokenizer.encode_special_tokens = False
        row = {"text": text, "ids": ids}
        if plain != ids:
            row["plain"] = plain
        encoded.append(row)
    size = tokenizer.get_vocab_size()
    lists = [row["ids"] for row in encoded[::8]] + [[rng.randrange(size + 20) for _ in range(rng.randint(0, 12))] for _ in range(200)]
    lists += [[i] for i in range(size)]
    for ids in lists:
        row = {"ids": ids, "text": tokenizer.decode(ids, skip_special_tokens=False)}
        skipped = tokenizer.decode(ids, skip_special_tokens=True)
        if skipped != row["text"]:
            row["skipped"] = skipped
        decoded.append(row)
    split = [{"text": text, "pieces": [text[start:end] for _, (start, end) in tokenizer.pre_tokenizer.pre_tokenize_str(text)]}
             for text in texts[:250]]
    return {"encode": encoded, "decode": decoded, "split": split}


def write(name, value):
    path = OUT / name
    lines = lambda rows: "[\n" + ",\n".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in rows) + "\n]"
    text = "{" + ",\n".join(f'"{key}": {lines(rows)}' for key, rows in value.items()) + "}\n"
    path.write_text(text)
    print(path, path.stat().st_size)


def tiny(name, pre_tokenizer, normalizer, added, legacy_merges):
    tokenizer = Tokenizer(models.BPE())
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    corpus = samples.TEXTS * 3 + [pathlib.Path(samples.__file__).read_text(), __doc__] + samples.random_texts(60, seed=5)
    trainer = trainers.BpeTrainer(vocab_size=700, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(corpus, trainer)
    tokenizer.add_tokens(added)
    spec = json.loads(tokenizer.to_str())
    if legacy_merges:
        spec["model"]["merges"] = [" ".join(merge) for merge in spec["model"]["merges"]]
    (OUT / f"{name}.json").write_text(json.dumps(spec, ensure_ascii=False, separators=(",", ":")) + "\n")
    tokenizer = Tokenizer.from_str(json.dumps(spec))
    texts = samples.TEXTS + FLAGS + samples.random_texts(400, seed=6)
    write(f"{name}.golden.json", golden(tokenizer, texts, random.Random(7)))


tiny("qwen2-tiny", pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(QWEN2), "isolated"),
                                            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]),
     normalizers.NFC(), ADDED, legacy_merges=False)
tiny("gpt2-tiny", pre_tokenizers.ByteLevel(add_prefix_space=False), None, ADDED[:2], legacy_merges=True)
if len(sys.argv) > 1:
    spec = json.loads(pathlib.Path(sys.argv[1]).read_text())
    spec["normalizer"] = {"type": "NFC"}
    nfc = Tokenizer.from_str(json.dumps(spec))
    spec["normalizer"] = None
    raw = Tokenizer.from_str(json.dumps(spec))
    rows = []
    for text in samples.TEXTS + samples.random_texts(400, seed=8):
        row = {"text": text, "ids": nfc.encode(text, add_special_tokens=False).ids}
        other = raw.encode(text, add_special_tokens=False).ids
        rows.append(row if other == row["ids"] else row | {"without_nfc": other})
    write("qwen2.5.golden.json", {"encode": rows})
