#!/usr/bin/env python3
"""Random tokenizer.json pipelines with small vocabularies, and what Hugging Face's tokenizers make of texts with them.

    pip install tokenizers==0.23.3
    scripts/goldens/tokenizer_pipelines.py --count 60 --texts 12 --seed 1 Tests/TokenizerTests/Goldens/pipelines.golden.json

Normalizers, pre-tokenizers, decoders, post-processors, added tokens and the options of BPE are drawn at random, and the vocabulary is
trained with them. A line of the file is a pipeline:
{"tokenizer": the spec, "encode": [[text, ids, offsets (pairs of UTF-8 bytes, laid flat), ids with special tokens]], "decode": [[ids, text, skipped]]}
"""
import argparse
import json
import pathlib
import random
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import tokenizer_samples as samples

PATTERNS = [
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    # o200k, as GPT-OSS has it.
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    # DeepSeek's.
    r"[一-龥぀-ゟ゠-ヿ]+", r"\p{N}{1,3}",
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"\w+|[^\w\s]+", r"\s+", r"[0-9][0-9][0-9]", r"\d+|\D", r"(?<=\S)\s|\b", r"^.|$", r"[^\S\n]", r"\h+", r"x*", r"(?i)e+|ſ", r"\p{Han}+|\P{L}",
    r"[[:space:]a-c]{2,}", r"\u00e9|\x{4e2d}|\x41\t?", r"(?m:a.b)|.{,2}e",
]
BEHAVIORS = ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]
QUIET = ["<|end|>", "<|im_end|>", "é", "a b", "solo", " x", "the", "ﬁ", "E", "<", "日本", "▁q"]


def maybe(rng, p):
    return rng.random() < p


def normalizer(rng):
    parts = []
    for _ in range(rng.choice([0, 0, 1, 1, 2, 3])):
        parts.append(rng.choice([
            normalizers.NFC, normalizers.NFD, normalizers.NFKC, normalizers.NFKD, normalizers.Lowercase,
            lambda: normalizers.Strip(left=maybe(rng, 0.5), right=maybe(rng, 0.5)), lambda: normalizers.Prepend(rng.choice(["▁", "x", "ab", "é"])),
            lambda: normalizers.Replace(rng.choice([" ", "e", "  ", "..", "é"]), rng.choice(["▁", "", "ee", " "])),
            lambda: normalizers.Replace(Regex(rng.choice([r"\s+", r" {2,}", r"[aeiou]", r"x*", r"(?i:s)t"])), rng.choice(["▁", "", "_-", " "])),
        ])())
    return parts


def pre_tokenizer(rng):
    parts = []
    for _ in range(rng.choice([0, 1, 1, 1, 2, 2, 3])):
        behavior = rng.choice(BEHAVIORS)
        parts.append(rng.choice([
            lambda: pre_tokenizers.Split(Regex(rng.choice(PATTERNS)), rng.choice(BEHAVIORS), maybe(rng, 0.3)),
            lambda: pre_tokenizers.Split(Regex(rng.choice(PATTERNS[:7])), "isolated", False),
            lambda: pre_tokenizers.Split(rng.choice([" ", "e", "--", "é", "."]), behavior, maybe(rng, 0.3)),
            lambda: pre_tokenizers.Digits(maybe(rng, 0.5)), lambda: pre_tokenizers.Punctuation(behavior), pre_tokenizers.Whitespace,
            pre_tokenizers.WhitespaceSplit,
            lambda: pre_tokenizers.Metaspace(rng.choice(["▁", "_"]), rng.choice(["always", "first", "never"]), maybe(rng, 0.6)),
            lambda: pre_tokenizers.ByteLevel(add_prefix_space=maybe(rng, 0.4), use_regex=maybe(rng, 0.5)),
        ])())
    if maybe(rng, 0.5):
        parts.append(pre_tokenizers.ByteLevel(add_prefix_space=maybe(rng, 0.2), use_regex=maybe(rng, 0.5)))
    return parts


def decoder(rng):
    if maybe(rng, 0.3):
        return [decoders.ByteLevel()]
    if maybe(rng, 0.3):
        return [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    return [rng.choice([
        decoders.ByteLevel, decoders.ByteFallback, decoders.Fuse, lambda: decoders.Replace(rng.choice(["▁", "e", "Ġ", "aa"]), rng.choice([" ", "", "yy"])),
        lambda: decoders.Strip(rng.choice([" ", "▁", "a"]), rng.randint(0, 2), 0), lambda: decoders.Metaspace(rng.choice(["▁", "_"]), rng.choice(["always", "never"])),
    ])() for _ in range(rng.randint(0, 4))]


def sequence(parts, make, rng):
    return None if not parts else parts[0] if len(parts) == 1 and maybe(rng, 0.7) else make(parts)


def pipeline(rng, corpus):
    steps = pre_tokenizer(rng)
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    if (value := sequence(normalizer(rng), normalizers.Sequence, rng)) is not None:
        tokenizer.normalizer = value
    if (value := sequence(steps, pre_tokenizers.Sequence, rng)) is not None:
        tokenizer.pre_tokenizer = value
    byte_level = bool(steps) and "ByteLevel" in str(steps[-1])
    alphabet = pre_tokenizers.ByteLevel.alphabet() if byte_level and maybe(rng, 0.85) else []
    special = ["<unk>", "<s>", "</s>"] + ([f"<0x{i:02X}>" for i in range(256)] if maybe(rng, 0.35) else [])
    trainer = trainers.BpeTrainer(vocab_size=len(special) + len(alphabet) + rng.randint(60, 200), special_tokens=special, initial_alphabet=alphabet,
                                  limit_alphabet=len(alphabet) + rng.randint(30, 120), show_progress=False)
    tokenizer.train_from_iterator(corpus, trainer)
    if (value := sequence(decoder(rng), decoders.Sequence, rng)) is not None:
        tokenizer.decoder = value
    template = processors.TemplateProcessing(single=rng.choice(["<s> $A </s>", "<s> $A", "$A </s>", "$A"]), pair="$A $B",
                                             special_tokens=[("<s>", 1), ("</s>", 2)])
    byte_trim = processors.ByteLevel(trim_offsets=maybe(rng, 0.6), add_prefix_space=maybe(rng, 0.5))
    tokenizer.post_processor = rng.choice([template, byte_trim, processors.Sequence([byte_trim, template]), processors.Sequence([template])])
    contents = rng.sample(QUIET, rng.randint(0, 6))
    added = [AddedToken(c, single_word=maybe(rng, 0.3), lstrip=maybe(rng, 0.3), rstrip=maybe(rng, 0.3), normalized=maybe(rng, 0.5),
                        special=maybe(rng, 0.4)) for c in contents]
    if tokenizer.normalizer and any(token.normalized and not tokenizer.normalizer.normalize_str(token.content) for token in added):
        raise ValueError("an added token of which nothing is left is found between any two characters; the loader here refuses it")
    tokenizer.add_tokens(added)
    spec = json.loads(tokenizer.to_str())
    model = spec["model"]
    model["unk_token"] = rng.choice([None, "<unk>"])
    model["fuse_unk"], model["byte_fallback"], model["ignore_merges"] = maybe(rng, 0.5), maybe(rng, 0.5), maybe(rng, 0.3)
    if maybe(rng, 0.5):
        if not any(" " in part for merge in model["merges"] for part in merge):
            model["merges"] = [" ".join(merge) for merge in model["merges"]]
    return spec


def bytes_of(text):
    places = [0]
    for c in text:
        places.append(places[-1] + len(c.encode()))
    return places


def record(spec, texts, rng):
    """What Hugging Face's tokenizers make of the texts, of a third of their ids, and of random ids."""
    tokenizer = Tokenizer.from_str(json.dumps(spec))
    encoded = []
    for text in texts:
        plain, special = tokenizer.encode(text, add_special_tokens=False), tokenizer.encode(text)
        place = bytes_of(text)
        encoded.append([text, plain.ids, [place[i] for pair in plain.offsets for i in pair], special.ids])
    lists = [row[3] for row in encoded[::3]] + [[rng.randrange(tokenizer.get_vocab_size() + 2) for _ in range(rng.randint(0, 9))] for _ in range(len(texts))]
    decoded = [[ids, tokenizer.decode(ids, skip_special_tokens=False), tokenizer.decode(ids, skip_special_tokens=True)] for ids in lists]
    return {"tokenizer": spec, "encode": encoded, "decode": decoded}


def case(corpus, texts, rng):
    """None where Hugging Face's own code gives up."""
    try:
        return record(pipeline(rng, corpus), texts, rng)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a Rust panic is not an Exception
        print("skipped:", str(error)[:100], file=sys.stderr)
        return None


def cases(count, texts, seed):
    rng = random.Random(seed)
    short = [t for t in samples.TEXTS if len(t) < 120]
    extra = ["the the solo <|end|> x a b", "  <|im_end|>  é", "ﬁne ＡＢＣ ①②", "İstanbul STRASSE", "a\u0301\u0323b", "x" * 12 + "\n\n", "12345 67", "日本語 中文", "q ▁q _q"]
    while count > 0:
        mine = rng.sample(short + extra, texts // 2) + samples.random_texts(texts - texts // 2, rng.random())
        if value := case(rng.sample(samples.TEXTS, 40) + extra * 3, [t for t in mine if t], rng):
            count -= 1
            yield value


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--texts", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with arguments.file.open("w") as file:
        for value in cases(arguments.count, arguments.texts, arguments.seed):
            file.write(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")
    print(arguments.file, arguments.file.stat().st_size)
