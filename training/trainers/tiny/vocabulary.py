"""A tokenizer for a very small model: entities read the same everywhere, and what always stands together is one token.

Two levels. Within words: byte-level BPE over units (a lower-case word, a capitalised one, two digits, one other
character), so that a name is the same tokens in a record, in a call and in an answer: copying becomes a matter of
looking up the next token. Across words: phrases that recur in the texts, such as a whole line of a system message,
are tokens of their own, as in SuperBPE (Liu et al., 2025, arXiv 2503.13423); a phrase never holds a digit or a value of
a record, begins at the start of a word and ends where no word goes on.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

END, START, PAD = "<|im_end|>", "<|im_start|>", "<|endoftext|>"
SPECIAL = (PAD, START, END, "<|im_start|>assistant\n")
TAGS = ("<tool_call>", "</tool_call>", "<think>", "</think>")
"""Not special: what is special, servers leave out of the text, and their parsers would not see it."""
UNIT = r"[a-z]+|[A-Z][a-z]+|[A-Z]+|[0-9]{1,2}|[^A-Za-z0-9]"
_UNITS = re.compile(UNIT)
_MARKS = re.compile("|".join(re.escape(mark) for mark in sorted((*SPECIAL, *TAGS), key=len, reverse=True)))
_VALUE = re.compile(r"""(?<=":")[^"\s]+(?=")|(?<=": ")[^"\s/]+(?=")|(?<=')[^'\s]+(?=')""")
_WORD = re.compile(r"[A-Za-z]+")
_STARTS = re.compile(r"[^A-Za-z0-9\-.@_']|[A-Z]")
_RARE = 0.01
"""A word that fewer of the texts hold is an entity's, and no part of a phrase."""
_FIXED = 0.3
"""A word that more of the texts hold as a value (the method GET) is as good as fixed."""


def phrases(texts: Sequence[str], most: int, least: int) -> list[str]:
    """Up to `most` phrases that occur at least `least` times, by byte-pair merging over whole units.

    Args:
        texts: Rendered chats.
        most: How many phrases at most.
        least: How often a pair of units has to occur to be merged.

    Returns:
        The phrases, those that save the most tokens first.
    """
    segments = _segments(texts)
    runs = [(list(units), count) for units, count in segments.items() if len(units) > 1]
    made: set[str] = set()
    while len(made) < 4 * most:
        pairs: Counter[tuple[str, str]] = Counter()
        for units, count in runs:
            for pair in pairwise(units):
                pairs[pair] += count
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        if pairs[best] < least:
            break
        made.add("".join(best))
        for units, _ in runs:
            _merge(units, best)
    used: Counter[str] = Counter()
    for units, count in runs:
        for unit in units:
            trimmed = _trimmed(unit)
            if trimmed and len(_UNITS.findall(trimmed)) > 1:
                used[trimmed] += count
    return sorted(used, key=lambda p: (-used[p] * len(_UNITS.findall(p)), p))[:most]


def _segments(texts: Sequence[str]) -> Counter[tuple[str, ...]]:
    """The stretches in which a phrase may stand -> how often each occurs."""
    spread: Counter[str] = Counter()
    values: Counter[str] = Counter()
    for text in texts:
        spread.update(set(_UNITS.findall(text)))
        values.update({word for value in _VALUE.findall(text) for word in _WORD.findall(value)})
    least, most = _RARE * len(texts), _FIXED * len(texts)
    common = {unit for unit, n in spread.items() if n >= least and not least <= values[unit] < most}
    found: Counter[tuple[str, ...]] = Counter()
    for text in texts:
        for piece in _MARKS.split(text):
            run: list[str] = []
            for unit in _UNITS.findall(piece):
                if unit in common and not unit[0].isdigit():
                    run.append(unit)
                    continue
                found[tuple(run)] += 1
                run = []
            found[tuple(run)] += 1
    return found


def _merge(units: list[str], pair: tuple[str, str]) -> None:
    if pair[0] not in units:
        return
    joined, n = "".join(pair), 0
    while n < len(units) - 1:
        if units[n] == pair[0] and units[n + 1] == pair[1]:
            units[n : n + 2] = [joined]
        n += 1


def _trimmed(phrase: str) -> str:
    units = _UNITS.findall(phrase)
    while units and not _STARTS.match(units[0]):
        units.pop(0)
    while units and units[-1][-1].isalnum():
        units.pop()
    return "".join(units)


def tokenizer_for(texts: Sequence[str], template: str, vocabulary: int = 2048, most: int = 900, least: int = 40) -> Any:
    """A transformers tokenizer with a vocabulary of exactly that size, made from rendered chats.

    Args:
        texts: The chats.
        template: The tokenizer's chat template.
        vocabulary: Tokens in all; what training does not fill is filled with unused ones.
        most: Phrases that are tokens of their own, at most.
        least: How often a phrase has to occur.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    found = phrases(texts, most, least)
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(UNIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(TAGS) - len(found),
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
        min_frequency=2,
    )
    bpe.train_from_iterator((_MARKS.sub("\n", text) for text in texts), trainer)
    bpe.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in (*TAGS, *found)])
    missing = vocabulary - bpe.get_vocab_size()
    bpe.add_tokens([AddedToken(f"<|unused_{n}|>", special=False) for n in range(missing)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token=END, pad_token=PAD, model_max_length=4096)
    tokenizer.chat_template = template
    return tokenizer
