"""Texts that tokenizers get wrong, shared by the golden maker and the live comparison. Everything is seeded."""
import random
import unicodedata

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


# The first article of the Universal Declaration of Human Rights.
PROSE = {
    "English": "All human beings are born free and equal in dignity and rights. They are endowed with reason and conscience and should act towards one another in a spirit of brotherhood.",
    "French": "Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués de raison et de conscience et doivent agir les uns envers les autres dans un esprit de fraternité.",
    "German": "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und Gewissen begabt und sollen einander im Geist der Brüderlichkeit begegnen.",
    "Spanish": "Todos los seres humanos nacen libres e iguales en dignidad y derechos y, dotados como están de razón y conciencia, deben comportarse fraternalmente los unos con los otros.",
    "Portuguese": "Todos os seres humanos nascem livres e iguais em dignidade e em direitos. Dotados de razão e de consciência, devem agir uns para com os outros em espírito de fraternidade.",
    "Italian": "Tutti gli esseri umani nascono liberi ed eguali in dignità e diritti. Essi sono dotati di ragione e di coscienza e devono agire gli uni verso gli altri in spirito di fratellanza.",
    "Polish": "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw. Są oni obdarzeni rozumem i sumieniem i powinni postępować wobec innych w duchu braterstwa.",
    "Czech": "Všichni lidé rodí se svobodní a sobě rovní co do důstojnosti a práv. Jsou nadáni rozumem a svědomím a mají spolu jednat v duchu bratrství.",
    "Hungarian": "Minden emberi lény szabadon születik és egyenlő méltósága és joga van. Az emberek, ésszel és lelkiismerettel bírván, egymással szemben testvéri szellemben kell hogy viseltessenek.",
    "Turkish": "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar. Akıl ve vicdana sahiptirler ve birbirlerine karşı kardeşlik zihniyeti ile hareket etmelidirler. İstanbul",
    "Vietnamese": "Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền. Mọi con người đều được tạo hoá ban cho lý trí và lương tâm và cần phải đối xử với nhau trong tình bằng hữu.",
    "Russian": "Все люди рождаются свободными и равными в своём достоинстве и правах. Они наделены разумом и совестью и должны поступать в отношении друг друга в духе братства.",
    "Ukrainian": "Всі люди народжуються вільними і рівними у своїй гідності та правах. Вони наділені розумом і совістю і повинні діяти у відношенні один до одного в дусі братерства.",
    "Greek": "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα. Είναι προικισμένοι με λογική και συνείδηση, και οφείλουν να συμπεριφέρονται μεταξύ τους με πνεύμα αδελφοσύνης.",
    "Arabic": "يولد جميع الناس أحراراً متساوين في الكرامة والحقوق، وقد وهبوا عقلاً وضميراً وعليهم أن يعامل بعضهم بعضاً بروح الإخاء.",
    "Hebrew": "כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם. כולם חוננו בתבונה ובמצפון, לפיכך חובה עליהם לנהוג איש ברעהו ברוח של אחווה.",
    "Hindi": "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है। उन्हें बुद्धि और अन्तरात्मा की देन प्राप्त है और परस्पर उन्हें भाईचारे के भाव से बर्ताव करना चाहिए।",
    "Bengali": "সমস্ত মানুষ স্বাধীনভাবে সমান মর্যাদা এবং অধিকার নিয়ে জন্মগ্রহণ করে। তাঁদের বিবেক এবং বুদ্ধি আছে; সুতরাং সকলেরই একে অপরের প্রতি ভ্রাতৃত্বসুলভ মনোভাব নিয়ে আচরণ করা উচিত।",
    "Thai": "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ ต่างมีเหตุผลและมโนธรรม และควรปฏิบัติต่อกันด้วยเจตนารมณ์แห่งภราดรภาพ",
    "Chinese": "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。",
    "Japanese": "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。人間は、理性と良心とを授けられており、互いに同胞の精神をもって行動しなければならない。",
    "Korean": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. 인간은 천부적으로 이성과 양심을 부여받았으며 서로 형제애의 정신으로 행동하여야 한다.",
}


def prose(language, size, seed):
    """About `size` bytes in a language: its words, and parts of them, in any order, with what stands between words; a fifth of it decomposed."""
    rng = random.Random(f"{language}/{seed}")
    words, out, length = PROSE[language].split(), [], 0
    while length < size:
        word = rng.choice(words)
        kind = rng.random()
        if kind < 0.2:
            cut = rng.randrange(len(word) + 1)
            word = word[cut:] + word[:cut]
        elif kind < 0.3:
            word = word.upper() if kind < 0.25 else word.capitalize()
        elif kind < 0.35:
            word = str(rng.randrange(10 ** rng.randint(1, 9)))
        if rng.random() < 0.2:
            word = unicodedata.normalize("NFD", word)
        word += rng.choice([" "] * 12 + ["  ", ", ", ". ", ".\n", "\n\n", " — ", " («", "»", "'s ", "\u00a0", "\t"])
        out.append(word)
        length += len(word.encode())
    return "".join(out)


EMOJI = ["🥳", "👍🏽", "👩\u200d👩\u200d👧\u200d👦", "🏳️\u200d🌈", "🇫🇷", "1️⃣", "❤️", "❤", "☺︎", "🧑🏿\u200d💻", "\U0001FAE8", "\u200d", "\ufe0f", "\U000E0067"]


def oddities(kind, size, seed):
    """About `size` bytes of emoji, control characters or lone combining marks, with a little text between them."""
    rng = random.Random(f"{kind}/{seed}")
    marks = [c for c in scalars() if unicodedata.category(chr(c)) in ("Mn", "Mc", "Me")]
    controls = [*range(0x20), *range(0x7F, 0xA0), *range(0x200B, 0x2010), *range(0x2028, 0x202F), 0x2060, 0xFEFF, 0xFFF9, 0xFFFD, 0xFFFE]
    draw = {"emoji": lambda: rng.choice(EMOJI) if rng.random() < 0.5 else chr(rng.randint(0x1F300, 0x1FAFF)), "control": lambda: chr(rng.choice(controls)),
            "marks": lambda: chr(rng.choice(marks))}[kind]
    out, length = [], 0
    while length < size:
        part = "".join(draw() for _ in range(rng.randint(1, 6))) + rng.choice(["", "", " ", "a", "\n", " the ", "é", "가", "12"])
        out.append(part)
        length += len(part.encode())
    return "".join(out)
