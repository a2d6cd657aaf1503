"""Texts that tokenizers get wrong, shared by the golden maker and the live comparison. Everything is seeded."""
import random

# transformers.js's and swift-transformers' edge cases.
EDGE_CASES = [
    "hello world", "Hello World", "How are you doing?", "You should've done this", "A\n'll !!to?'d''d of, can't.", "def main():\n\tpass",
    "This\n\nis\na\ntest.", "let a = obj.toString();\ntoString();", "Hi  Hello", "trailing space   ", "   leading space", "生活的真谛是",
    "The company was founded in 2016.", "test $1 R2 #3 €4 £5 ¥6 ₣7 ₹8 ₱9 test", "I bought an apple for $1.00 at the store.",
    "you…  ", "you…\u00a0\u00a0", "you…\u00a0\u00a0you…\u00a0\u00a0",
]

TEXTS = EDGE_CASES + [
    "", " ", "\n", "\r\n", "a\r\nb\r\n\r\n  c\r", "\t\t x\t\n \n  y", "        return x\n\n\n    def f(self) -> int:\n        pass\n",
    "สวัสดีครับ ภาษาไทย น้ำ กำ", "مرحبا بالعالم، كيف حالُكَ؟ ١٢٣", "שָׁלוֹם עולם", "नमस्ते दुनिया क्षत्रिय १२३", "こんにちは、世界！カタカナ。がぎぐ か\u3099",
    "안녕하세요 세계 \u1112\u1161\u11ab\u1100\u1173\u11af", "Ünïcödé façade naïve", "U\u0308ni\u0308co\u0308de\u0301 fac\u0327ade", "à \u00e0 a\u0300", "1️⃣ 👩\u200d👩\u200d👧\u200d👦 🏳️\u200d🌈 🇫🇷 👍🏽",
    "🥳🥳🥳", "½ ² ⅷ ④ 三 १", "I'M YOU'RE it'ſ 'ſa b'ſer we'LL 'Ve 'D'T''S", "don't 'tis 'RE", "\ufeffBOM", "\u2028line\u2029para\u0085nel", "Å \u212b \u2126 \ufb01 \u1e9b\u0323",
    "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n", "<|im_start|><|im_end|>", "a<|im_end|>b <|im_end|> <|im_end", "<|im_<|im_end|>", "<tool_call>{}</tool_call>",
    "a" * 300, "ab" * 200, " " * 200 + "x", "\n" * 150, "!" * 130 + "\n\n", "é" * 120, "1234567890" * 20, "中" * 150,
    "class BPE:\n    def __init__(self, n=0xFF):\n        self.table = {k: v for k, v in zip('abc', [1, 2.5e-3])}  # ünï\n",
]

SPECIALS = ["<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|im_", "|>", "<tool_call>", "<|", "<"]
POOLS = [
    [(0x20, 0x7E)], [(0x20, 0x7E)], [(0x61, 0x7A)], [(0xA0, 0x24F)], [(0x300, 0x36F)], [(0x370, 0x5FF)], [(0x600, 0x6FF)], [(0x900, 0x97F)],
    [(0xE00, 0xE7F)], [(0x1100, 0x11FF)], [(0xAC00, 0xD7A3)], [(0x3040, 0x30FF)], [(0x4E00, 0x9FFF)], [(0x2000, 0x206F)], [(0x1E00, 0x1FFF)],
    [(0x1F300, 0x1FAFF)], [(0xF900, 0xFAFF)], [(0x1DC0, 0x1DFF)], [(0x0, 0x1F)], [(0x1, 0xD7FF), (0xE000, 0x10FFFF)],
]
SPACES = [" ", "  ", "\n", "\r\n", "\t", "\u00a0", "\u3000", "'s", "'LL", "'ſ", "\u200d", "\ufe0f"]


def random_text(rng):
    """A few runs, each of characters of one script, white space, or special-token text."""
    parts = []
    for _ in range(rng.randint(1, 12)):
        kind = rng.random()
        if kind < 0.25:
            parts.append(rng.choice(SPACES) * rng.randint(1, 3))
        elif kind < 0.32:
            parts.append(rng.choice(SPECIALS))
        else:
            low, high = rng.choice(rng.choice(POOLS))
            parts.append("".join(chr(rng.randint(low, high)) for _ in range(rng.randint(1, 8))))
    return "".join(parts)


def random_texts(count, seed):
    rng = random.Random(seed)
    return [random_text(rng) for _ in range(count)]


def scalars():
    return [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
