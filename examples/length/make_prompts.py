"""Makes the prompts: make_prompts.py [DIRECTORY], by default the directory of this file.

train.jsonl (240) and held_out.jsonl (48, on things that train.jsonl does not name): requests for one or two sentences. Python's standard library only.
"""
import itertools
import json
import pathlib
import sys

THINGS = (
    "a bridge, a candle, a harbour, a library, a market, a mountain, a piano, a river, a shadow, a spoon, a storm, a train, an apple, an island, an owl, bread, chess, clay, "
    "coffee, dust, fire, glass, gold, honey, ice, ink, iron, jazz, lightning, maps, moss, paper, rain, rice, salt, silk, silver, sleep, smoke, snow, soap, stone, sugar, tea, "
    "the moon, the wind, thread, wool"
).split(", ")
REQUESTS = [
    "Describe {}.", "Tell me something about {}.", "What is special about {}?", "Write a line about {}.", "Explain {} to a child.", "Why do people like {}?",
]
HELD_OUT_THINGS = 8


def main():
    directory = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent
    directory.mkdir(parents=True, exist_ok=True)
    # Every sixth thing is held out.
    held_out = THINGS[::6][:HELD_OUT_THINGS]
    for name, things in (("train", [thing for thing in THINGS if thing not in held_out]), ("held_out", held_out)):
        rows = [{"prompt": [{"role": "user", "content": request.format(thing)}]} for thing, request in itertools.product(things, REQUESTS)]
        partial = directory / f"{name}.jsonl.partial"
        partial.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        partial.rename(directory / f"{name}.jsonl")


main()
