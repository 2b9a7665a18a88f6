"""A suite with one question and one answer, which a very small model can learn in seconds; and such a model."""

import random
import sqlite3
from dataclasses import replace
from pathlib import Path

from typing_extensions import TypedDict

from faultgym.agents.registry import policy_named
from faultgym.agents.rollouts.play import run_episode
from faultgym.agents.traces.chat import chat_messages
from faultgym.envs.judging.answers import Atom
from faultgym.envs.judging.form import ANSWERS, AnswerField
from faultgym.envs.judging.goal import Goal
from faultgym.envs.reference.schedule import schedule_for
from faultgym.envs.registry import register_suite, task_by_id
from faultgym.envs.suite import Drawn, Template
from faultgym.envs.suites.common import service
from faultgym.tools.channels.http.service import operation
from faultgym.tools.context import WorldView
from helpers import bookshelf
from helpers.vocabularies import tiny_model, with_template


class Rule(TypedDict):
    days: int


@operation("GET", "/v1/rule", tables=("documents",))
def get_rule(world: WorldView) -> Rule:
    """Read for how many days a book is lent."""
    return Rule(days=14)


def draw(db: sqlite3.Connection, rng: random.Random) -> Drawn:
    return Drawn({}, Goal(expected=(Atom("number", "14", "days"),)))


def solve(desk):
    yield from desk.operate("get_rule", {}, "Read the rule.")
    return desk.answer("A book is lent for 14 days.", loan=14)


LOAN = (AnswerField("loan", "duration", "For how long a book is lent", unit="days"),)
ASKED = (
    "For how many days is a book lent?",
    "How many days may somebody keep a book?",
    "Tell me the number of days of a loan.",
    "How long is a loan, in days?",
    "The days of a loan, please.",
)
SUITE = register_suite(
    replace(
        bookshelf.SUITE,
        name="onerule",
        title="A library's rule",
        service=service("Library", [get_rule]),
        templates={"loan": Template("loan", "Say for how long a book is lent", ASKED, draw, solve, answer=LOAN)},
    )
)


def texts():
    """What the expert reads and writes, as the model's template renders it."""
    for n in range(6):
        for faults in ("clean", "mild"):
            task = task_by_id(f"onerule/loan/train/{n}:http")
            for answers in ANSWERS:
                episode = run_episode(policy_named("expert"), task, schedule_for(task, faults, n), answers=answers)
                yield chat_messages(episode.opening.messages, episode.turns), [t.openai() for t in episode.tools]


def make_model(folder: Path) -> Path:
    """A Llama that knows nothing, and a tokenizer to which what always stands together is one token."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    from faultgym.training.rows import chat

    def wrapped(core):
        fast = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|im_end|>", pad_token="<|endoftext|>")
        return with_template(fast, "chatml")

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    rendered = [wrapped(core).apply_chat_template(chat(m), tools=t, tokenize=False) for m, t in texts()]
    trainer = trainers.BpeTrainer(
        vocab_size=3000,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator([part for text in rendered for part in text.split("\n")], trainer)
    tokenizer = wrapped(core)
    tiny_model(tokenizer, folder, 64, intermediate_size=128, num_hidden_layers=2, tie_word_embeddings=True)
    tokenizer.save_pretrained(folder)
    return folder
