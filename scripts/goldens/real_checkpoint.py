"""Golden of a real checkpoint, from transformers in FP32: real_checkpoint.py MODEL_DIR

MODEL_DIR is Qwen2.5-Coder-0.5B-Instruct as scripts/get-model leaves it. Writes Tests/Qwen2Tests/Goldens/qwen2.5-coder-0.5b-instruct.json:
greedy continuations of 8 chat prompts (at most 64 ids; no sampling, no repetition penalty; stopping at the checkpoint's end-of-text ids)
and the log-prob of every token of 3 texts. The schema is in the README beside it. Needs torch and transformers, and 3 GB of memory.
"""
import json
import pathlib
import sys

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

OUT = pathlib.Path(__file__).resolve().parents[2] / "Tests/Qwen2Tests/Goldens/qwen2.5-coder-0.5b-instruct.json"
CHATS = [
    [("user", "Write a Python function that returns the n-th Fibonacci number.")],
    [("user", "Explain in two sentences what a hash map is.")],
    [("user", "用一句话介绍一下长城。")],
    [("system", "Answer with the number only."), ("user", "What is 12 + 7 - 3?")],
    [("user", "Fix this C code:\n\n```c\nint main() {\n\tprintf(\"hello\\n\")\n\treturn 0;\n}\n```\n")],
    [("user", "Translate to French: The weather is nice today, isn't it?")],
    [("user", "What is the capital of Japan?"), ("assistant", "Tokyo."), ("user", "And of Thailand? Reply in Thai.")],
    [("system", "You are a database expert."), ("user", "Write a SQL query that counts users by country, most first.")],
]
TEXTS = [
    "def quicksort(values):\n    if len(values) <= 1:\n        return values\n    pivot = values[len(values) // 2]\n"
    "    left = [v for v in values if v < pivot]\n    right = [v for v in values if v > pivot]\n"
    "    return quicksort(left) + [v for v in values if v == pivot] + quicksort(right)\n",
    "The lighthouse keeper climbed the hundred and twelve steps every evening, lit the lamp, and wrote one line in the log: "
    "the wind, the sea, and the ships that had passed. In forty years he missed two nights.",
    "春天来了，山上的桃花开了。孩子们放学以后，沿着小河跑回家，书包里装着 3 本书和一只纸船。🚤\r\n他们说：“明天还要来！”",
]

directory = sys.argv[1]
torch.set_num_threads(2)
tokenizer = AutoTokenizer.from_pretrained(directory)
model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager").eval()
ends = model.generation_config.eos_token_id
plain = GenerationConfig(do_sample=False, max_new_tokens=64, eos_token_id=ends, pad_token_id=model.generation_config.pad_token_id,
                         output_scores=True, return_dict_in_generate=True)
model.generation_config = plain  # the checkpoint's own has a repetition penalty, which would otherwise fill what `plain` leaves open

greedy, scores = [], []
with torch.no_grad():
    for chat in CHATS:
        messages = [{"role": role, "content": content} for role, content in chat]
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        prompt = tokenizer(text, add_special_tokens=False, return_tensors="pt").input_ids
        out = model.generate(prompt, attention_mask=torch.ones_like(prompt), generation_config=plain)
        ids = out.sequences[0, prompt.shape[1]:].tolist()
        best = torch.stack([s[0].topk(2).values for s in out.scores])
        assert all(s[0].argmax() == i for s, i in zip(out.scores, ids)), "not greedy"
        assert (best[:, 0] - best[:, 1]).min() > 2e-3, "a greedy choice is too close to call: change the prompt"
        finished = ids[-1] in ends
        greedy.append({"messages": messages, "prompt": text, "prompt_ids": prompt[0].tolist(), "ids": ids,
                       "text": tokenizer.decode(ids[:-1] if finished else ids), "finish_reason": "stop" if finished else "length",
                       "closest": round((best[:, 0] - best[:, 1]).min().item(), 6)})
        print(len(greedy), len(ids), greedy[-1]["closest"], repr(greedy[-1]["text"][:70]), file=sys.stderr)
    for text in TEXTS:
        ids = tokenizer(text, add_special_tokens=False, return_tensors="pt").input_ids
        log_probs = torch.log_softmax(model(ids).logits[0, :-1].double(), -1).gather(1, ids[0, 1:, None])[:, 0]
        scores.append({"text": text, "ids": ids[0].tolist(), "logprobs": [round(v, 6) for v in log_probs.tolist()]})


def line(row):
    return json.dumps(row, ensure_ascii=False, separators=(",", ":"))


versions = {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__}
OUT.write_text("{\n\"versions\": " + line(versions) + ",\n\"greedy\": [\n" + ",\n".join(map(line, greedy)) + "\n],\n\"scores\": [\n"
               + ",\n".join(map(line, scores)) + "\n]\n}\n", encoding="utf-8")
