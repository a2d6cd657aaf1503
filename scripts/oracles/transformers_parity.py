"""Compares grpo-cli with transformers, live, in float32 on a real checkpoint: transformers_parity.py MODEL_DIR [GRPO_CLI]

Greedy ids (64 at most) of the 8 chats, and log-probs of the 3 texts, that the golden of the real checkpoint names; transformers answers for
MODEL_DIR here and now, so any Qwen2 checkpoint will do. Ids must be equal (until transformers' own choice was closer than 0.001), log-probs
within 1e-3. Exit code 1 when not. Run it with the python of scripts/oracles/venv.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIMIT, CLOSE = 1e-3, 1e-3
directory = sys.argv[1]
cli = sys.argv[2] if len(sys.argv) > 2 else str(ROOT / ".build/release/grpo-cli")
golden = json.loads((ROOT / "Tests/Qwen2Tests/Goldens/qwen2.5-coder-0.5b-instruct.json").read_text(encoding="utf-8"))


def ours(command, rows):
    """The JSON Lines that grpo-cli prints for JSON Lines."""
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as file:
        file.write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        file.flush()
        arguments = [cli, command[0], directory, "--input", file.name, "--dtype", "float32", "--json", *command[1:]]
        output = subprocess.run(arguments, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout
    lines = [json.loads(line) for line in output.splitlines()]
    assert len(lines) == len(rows), f"{len(lines)} lines for {len(rows)} rows"
    return lines


tokenizer = AutoTokenizer.from_pretrained(directory)
model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
plain = GenerationConfig(do_sample=False, max_new_tokens=64, eos_token_id=model.generation_config.eos_token_id,
                         pad_token_id=model.generation_config.pad_token_id, output_scores=True, return_dict_in_generate=True)
model.generation_config = plain
failed = 0

answers = ours(["generate", "--temperature", "0", "--repetition-penalty", "1", "--max-new-tokens", "64"],
               [{"prompt": chat["messages"]} for chat in golden["greedy"]])
with torch.no_grad():
    for chat, answer in zip(golden["greedy"], answers):
        text = tokenizer.apply_chat_template(chat["messages"], tokenize=False, add_generation_prompt=True)
        prompt = tokenizer(text, add_special_tokens=False, return_tensors="pt").input_ids
        out = model.generate(prompt, attention_mask=torch.ones_like(prompt), generation_config=plain)
        ids = out.sequences[0, prompt.shape[1]:].tolist()
        best = [s[0].topk(2).values for s in out.scores]
        close = next((i for i, b in enumerate(best) if b[0] - b[1] < CLOSE), None)
        word = "equal"
        if answer["prompt_ids"] != prompt[0].tolist():
            word = f"DIFFERENT PROMPT: ours {answer['prompt_ids']}, transformers' {prompt[0].tolist()}"
        elif answer["ids"] != ids:
            at = next((i for i, (a, b) in enumerate(zip(answer["ids"], ids)) if a != b), min(len(ids), len(answer["ids"])))
            word = f"equal until a tie at {at}" if close is not None and at >= close else f"DIFFERENT from id {at}: {answer['ids'][at:at + 3]}, not {ids[at:at + 3]}"
        failed += "DIFFERENT" in word
        print(f"greedy {len(ids):3} ids {word}  {text[-60:-23]!r}")

    for score, ids in zip(ours(["score"], [{"ids": s["ids"]} for s in golden["scores"]]), [s["ids"] for s in golden["scores"]]):
        ids = torch.tensor(ids)
        expected = torch.log_softmax(model(ids[None]).logits[0, :-1].double(), -1).gather(1, ids[1:, None])[:, 0]
        worst = (torch.tensor(score["logprobs"], dtype=torch.float64) - expected).abs().max().item()
        failed += not worst <= LIMIT
        print(f"score  {len(expected):3} log-probs, largest difference {worst:.2g} (limit {LIMIT})")
sys.exit(1 if failed else 0)
