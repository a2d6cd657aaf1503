#!/usr/bin/env python3
"""Writes Tests/ChatTemplateTests/ChatTemplateGoldens.swift: conversations rendered by Jinja2, set up as transformers sets it up.

    pip install jinja2==3.1.6 gguf==0.19.0
    scripts/goldens/chat_template.py MODEL_GGUF

The templates are Qwen2.5's (the real one, from the metadata of MODEL_GGUF), Qwen2's (with a line break or a backslash and an n in
its literals, both of which are around), and ChatML without a default system message.
"""
import itertools
import json
import pathlib
import sys

from gguf import GGUFReader
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

LOOP = ("{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")
QWEN2 = ("{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
         "{{ '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}{% endif %}" + LOOP)
TEMPLATES = {
    "qwen2.5": GGUFReader(sys.argv[1]).fields["tokenizer.chat_template"].contents(),
    "qwen2": QWEN2,
    "qwen2 with line breaks": QWEN2.replace("\\n", "\n"),
    "double quotes, another default": QWEN2.replace("'<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n'",
                                                    '"<|im_start|>system\\nIt\\\'s you: \\"Bot\\".\\nBe brief.<|im_end|>\\n"'),
    "chatml": "{% for message in messages %}" + LOOP,
}
TURNS = [("system", "Be terse."), ("user", "Hi {{ there }} 'you' \"two\"\n"), ("assistant", "日本 🥳 \\n"), ("user", "")]
CONVERSATIONS = [list(turns) for n in (1, 2, 3) for turns in itertools.product(TURNS, repeat=n) if n < 3 or turns[1][0] == "assistant"]
CONVERSATIONS.append([("system", "S"), ("user", "a<|im_end|>b"), ("assistant", " c "), ("user", "d"), ("system", "late"), ("assistant", "e")])

environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
goldens = []
for name, source in TEMPLATES.items():
    template = environment.from_string(source)
    rows = []
    for turns in CONVERSATIONS:
        messages = [{"role": role, "content": content} for role, content in turns]
        texts = [template.render(messages=messages, tools=None, add_generation_prompt=prompt) for prompt in (False, True)]
        rows.append({"messages": [list(turn) for turn in turns], "text": texts[0], "prompted": texts[1]})
    goldens.append({"name": name, "source": source, "rows": rows})
lines = ",\n".join("  " + json.dumps(golden, ensure_ascii=True) for golden in goldens)
path = pathlib.Path(__file__).parents[2] / "Tests/ChatTemplateTests/ChatTemplateGoldens.swift"
path.write_text("// Made by scripts/goldens/chat_template.py; do not edit.\n// swift-format-ignore-file\n\n"
                "/// [{name, source, rows: [{messages: [[role, content]], text, prompted}]}]\n"
                'let chatTemplateGoldens = ##"""\n[\n' + lines + '\n]\n"""##\n')
print(path, path.stat().st_size)
