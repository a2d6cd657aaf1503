#!/usr/bin/env python3
"""Compares our chat templates with Jinja2 as Hugging Face transformers sets it up: rendered text, what the generation block marks, and whether there is an error.

    pip install transformers==5.23.0 trl==1.16.0 jinja2==3.1.6
    scripts/oracles/template_parity.py [--random 5000] [--seed 1]

Compared: every template in the trl wheel over a grid of conversations (with and without system prompt, tools, tool calls, reasoning, several turns, parts of
content, the generation prompt), and random small templates of template_generator.py. The program under test is template_renderer, built on the way.
Exit code 1, and the first differences, if anything differs.
"""
import argparse
import importlib.util
import itertools
import json
import multiprocessing
import pathlib
import subprocess
import sys
import warnings

from transformers.utils.chat_template_utils import _compile_jinja_template, _render_with_assistant_indices, render_jinja_template

import template_generator

warnings.filterwarnings("ignore", category=SyntaxWarning)
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--random", type=int, default=5000)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--wheel", action=argparse.BooleanOptionalAction, default=True, help="compare the templates of the trl wheel")
parser.add_argument("--renderer", help="a template_renderer that is built already")
parser.add_argument("--show", type=int, default=5, help="how many differences to print of each kind")
arguments = parser.parse_args()
root = pathlib.Path(__file__).resolve().parents[2]
failures = 0


def build():
    options = ["swift", "build", "-c", "release", "--package-path", str(root / "scripts/oracles/template_renderer"), "--scratch-path", str(root / ".build-oracles/template_renderer")]
    subprocess.run(options, check=True, stdout=sys.stderr)
    return subprocess.run(options + ["--show-bin-path"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip() + "/template_renderer"


def ours(renderer, rows):
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    result = subprocess.run([renderer], input=text.encode(), stdout=subprocess.PIPE)
    answers = [json.loads(line) for line in result.stdout.decode().splitlines()]
    assert result.returncode == 0 and len(answers) == len(rows), f"the renderer ended with {result.returncode} at row {len(answers)}: {rows[len(answers)]}"
    return answers


def in_bytes(text, ranges):
    return [[len(text[:start].encode()), len(text[:end].encode())] for start, end in ranges]


def theirs(row):
    try:
        if "messages" not in row:
            ranges = []
            template = _compile_jinja_template(row["template"])
            text, ranges = _render_with_assistant_indices(template, None, None, None, None, **row["variables"])
            return {"text": text, "generations": in_bytes(text, ranges)}
        has_generation = "generation" in row["template"]
        texts, ranges = render_jinja_template(
            [row["messages"]], tools=row["tools"], documents=row["documents"], chat_template=row["template"], return_assistant_tokens_mask=has_generation,
            add_generation_prompt=row["add_generation_prompt"], **row["variables"])
        return {"text": texts[0], "generations": in_bytes(texts[0], ranges[0]) if has_generation else []}
    except RecursionError:
        raise
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


def compare(what, rows, renderer):
    global failures
    with multiprocessing.get_context("fork").Pool() as pool:
        expected = pool.map(theirs, rows, chunksize=50)
    found = ours(renderer, rows)
    errors, differing = 0, []
    for row, mine, other in zip(rows, found, expected):
        # Addresses differ from run to run, in Python too.
        if " at 0x" in other.get("text", ""):
            continue
        errors += "error" in other
        if ("error" in mine) != ("error" in other) or mine.get("text") != other.get("text") or mine.get("generations") != other.get("generations"):
            differing.append((row, mine, other))
    failures += len(differing)
    print(f"{'ok  ' if not differing else 'FAIL'} {what}: {len(rows)} compared, {errors} of them errors on both sides, {len(differing)} differ", flush=True)
    for row, mine, other in differing[:arguments.show]:
        print("    template:", row["template"] if len(row["template"]) < 2000 else row.get("name"))
        print("    with:    ", ascii({key: row[key] for key in ("messages", "tools", "add_generation_prompt") if key in row})[:800])
        print("    ours:    ", ascii(mine)[:1500])
        print("    theirs:  ", ascii(other)[:1500], flush=True)


def call(name, given, identifier="call00001"):
    return {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "id": identifier, "function": {"name": name, "arguments": given}}]}


def conversations():
    user = {"role": "user", "content": "What is 12 + 7?  <b>\"é🥳\"</b>\n"}
    answer = {"role": "assistant", "content": "It is 19."}
    again = {"role": "user", "content": "And doubled?"}
    thought = {"role": "assistant", "content": "38", "reasoning_content": "Twice 19.\n"}
    inline = {"role": "assistant", "content": "<think>\nhm\n</think>\n\nThirty-eight"}
    weather = call("get_weather", {"city": "Köln", "days": 3, "units": ["C", "F"], "nested": {"a": None, "b": True, "c": 1.5}})
    result = {"role": "tool", "name": "get_weather", "content": "{\"temperature\": 21}", "tool_call_id": "call00001"}
    two = call("get_weather", {"city": "Rome"})
    two["tool_calls"].append({"type": "function", "id": "call00002", "function": {"name": "add", "arguments": {"a": 1, "b": 2}}})
    two["content"] = "Let me see."
    thinking_call = dict(call("add", {"a": 1, "b": 2}), reasoning_content="I should add.", content=None)
    parts = {"role": "user", "content": [{"type": "text", "text": "Look:"}, {"type": "image", "image": "i"}, {"type": "text", "text": "what?"}]}
    ends = [
        [user], [user, answer], [user, answer, again], [user, thought], [user, answer, again, thought, user], [user, inline, again], [user, weather, result], [user, weather, result, answer],
        [user, weather, result, thought, again], [user, two, result, dict(result, tool_call_id="call00002", name="add", content="3"), answer, again],
        [user, thinking_call, result, thought], [parts], [parts, answer, again], [answer, user], [user, user], [], [user, dict(answer, content=[{"type": "text", "text": "parts"}]), again],
        [user, dict(weather, tool_calls=[{"function": {"name": "f", "arguments": "{\"a\": 1}"}}]), result], [user, dict(answer, content=None)], [{"role": "user", "content": ""}],
        [user, dict(thought, thinking="other"), again], [user, dict(answer, reasoning="short")], [{"role": "nobody", "content": "?"}], [{"role": "user"}],
    ]
    for end in ends:
        yield end
        yield [{"role": "system", "content": "Be terse & kind."}] + end
    yield [{"role": "developer", "content": "Be terse."}, user]
    yield [{"role": "system", "content": [{"type": "text", "text": "As parts."}]}, user, answer]
    yield [user, {"role": "system", "content": "late"}, again]


TOOLS = [
    {"type": "function", "function": {"name": "get_weather", "description": "The weather of a city.", "parameters": {"type": "object", "properties": {
        "city": {"type": "string", "description": "Where <é>"}, "days": {"type": "integer", "enum": [1, 2, 3], "default": 1}, "units": {"type": "array", "items": {"type": "string"}},
        "nested": {"type": "object", "properties": {"a": {"type": ["string", "null"], "nullable": True}}, "required": ["a"]}}, "required": ["city"]}, "return": {"type": "object"}}},
    {"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": {"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "number"}}}}},
]
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}


def grid():
    folder = pathlib.Path(importlib.util.find_spec("trl").origin).parent / "chat_templates"
    settings = [SPECIAL, dict(SPECIAL, enable_thinking=True), dict(SPECIAL, enable_thinking=False, date_string="1 Jan 2026", keep_past_thinking=True)]
    documents = [{"title": "T", "text": "D"}]
    for path in sorted(folder.glob("*.jinja")):
        text = path.read_text()
        for messages, prompt, tools, variables in itertools.product(conversations(), (False, True), (None, TOOLS), settings):
            yield {"name": path.name, "template": text, "messages": messages, "tools": tools, "documents": documents if variables is settings[2] else None,
                   "add_generation_prompt": prompt, "variables": variables}


renderer = arguments.renderer or build()
if arguments.wheel:
    rows = list(grid())
    compare(f"the {len({row['name'] for row in rows})} templates of the trl wheel", rows, renderer)
rows = [{"template": template_generator.Generator(f"{arguments.seed}/{i}").template(), "variables": template_generator.VARIABLES} for i in range(arguments.random)]
compare("random templates", rows, renderer)
sys.exit(failures > 0)
