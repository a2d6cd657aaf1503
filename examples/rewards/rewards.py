"""Reward functions as TRL takes them, for `reward_funcs: [examples/rewards/rewards.py:near_twenty, ...]`.

A function gets everything by keyword: prompts, completions, completion_ids, every other column of the dataset, trainer_state, log_extra and
log_metric; **kwargs takes what it does not name. It returns a number, or None for "nothing to say", for each completion. A completion is text, or
[{"role": "assistant", "content": text}] where the prompt is a conversation. What is printed goes to the terminal.
"""
import asyncio
import re


def text(completion):
    return completion if isinstance(completion, str) else completion[0]["content"]


def near_twenty(completions, **kwargs):
    """The nearer to twenty characters, the better."""
    return [-abs(20 - len(text(completion))) for completion in completions]


def last_number(completions, answer, log_metric, **kwargs):
    """1 when the last number is the one in the dataset's column `answer`; rows without an answer are left out."""
    rewards = []
    for completion, right in zip(completions, answer):
        numbers = re.findall(r"-?\d+", text(completion))
        rewards.append(None if right is None else float(bool(numbers) and int(numbers[-1]) == int(right)))
    log_metric("numbers_found", sum(bool(re.search(r"\d", text(c))) for c in completions) / len(completions))
    return rewards


def shorter_later(completion_ids, trainer_state, **kwargs):
    """A penalty for long completions that grows from nothing over the run."""
    progress = trainer_state.global_step / max(trainer_state.max_steps, 1)
    return [-0.01 * progress * len(ids) for ids in completion_ids]


async def judged(prompts, completions, log_extra, **kwargs):
    """Where a judge must be asked over the network, all completions are asked about at once."""
    async def ask(prompt, completion):
        await asyncio.sleep(0)  # in place of a request
        return "polite" if "please" in text(completion).lower() else "curt"

    verdicts = await asyncio.gather(*(ask(prompt, completion) for prompt, completion in zip(prompts, completions)))
    log_extra("verdict", verdicts)
    return [1.0 if verdict == "polite" else 0.0 for verdict in verdicts]
