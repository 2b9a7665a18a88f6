"""`hf:`, the policy that samples with transformers: for small models and tests.

A turn is a function of its prompt and its seed: each token's randomness follows from the seed and its position. On a
CPU turns are sampled one at a time, so that this holds to the last bit. In a batch, which is the default on a
GPU, the kernels add in another order, so that a row's logits differ in their last bits from those it has alone, and the
choice between two tokens that are nearly equally good may fall otherwise.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faultgym.agents.models.cpu import has_bfloat16
from faultgym.agents.models.files import model_path
from faultgym.agents.models.local import LoadOptions, LocalPolicy, SampledTokens, local_policy
from faultgym.agents.models.sampling import Sampling
from faultgym.agents.models.token_choice import Floats, next_token
from faultgym.core.errors import HarnessError, UserError
from faultgym.core.json import JSON

DEFAULT_LENGTH = 8192
"""Tokens where a model's configuration does not say how many it takes."""
GPU_BATCH = 16
"""Turns that are sampled at a time on a GPU where nobody said how many."""
ALIKE = 1.5
FEW = 64
"""Prompts share a batch when the longer one has at most `ALIKE` times the other's tokens, and `FEW` more."""
SHRINK = 0.7
"""A batch goes on without its finished rows when no more than this part of it is left."""


def policy_from(text: str) -> LocalPolicy:
    """The policy for what stands after `hf:`.

    Raises:
        UserError: No model is named, or an option is unknown or cannot have its value.
    """
    return local_policy("hf", text, TransformersModel)


class ChatTokenizer:
    """A transformers tokenizer with its chat template; that of an adapter comes first, where it brings one.

    Args:
        path: The model's folder or hub id.
        adapter: The folder of an adapter; empty for none.

    Raises:
        UserError: There is no model, or its tokenizer has no chat template.
    """

    def __init__(self, path: str, adapter: str = ""):
        from transformers import AutoTokenizer

        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(path)
        except (OSError, ValueError) as error:
            raise UserError(f"there is no model at {path}: {error}") from error
        own = Path(adapter) / "chat_template.jinja"
        if adapter and own.is_file():
            self.tokenizer.chat_template = own.read_text(encoding="utf-8")
        if not self.tokenizer.chat_template:
            raise UserError(f"the tokenizer of {path} has no chat template: this is no chat model")

    def render(self, messages: list[JSON], tools: list[JSON], prompt: bool) -> str:
        """See `LoadedModel`."""
        template = self.tokenizer.apply_chat_template
        text: str = template(messages, tools=tools or None, add_generation_prompt=prompt, tokenize=False)
        return text

    def encode(self, text: str) -> list[int]:
        """See `LoadedModel`."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def decode(self, ids: tuple[int, ...]) -> str:
        """See `LoadedModel`."""
        text: str = self.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return text

    def ends(self, generation: Any) -> frozenset[int]:
        """The tokens that end a turn: the tokenizer's, and those of the model's generation settings.

        Args:
            generation: The model's `GenerationConfig`, or None.
        """
        more = getattr(generation, "eos_token_id", None)
        more = [more] if isinstance(more, int) else more or []
        return frozenset(end for end in (self.tokenizer.eos_token_id, *more) if end is not None)


@contextmanager
def _no_loading_bar() -> Iterator[None]:
    """Silence transformers' bar over the weights that it reads, which would run into ours; not those of downloads."""
    from huggingface_hub.utils import are_progress_bars_disabled, enable_progress_bars
    from transformers.utils import logging

    bars, downloads = logging.is_progress_bar_enabled(), not are_progress_bars_disabled()
    logging.disable_progress_bar()
    if downloads:
        enable_progress_bars()
    try:
        yield
    finally:
        if bars:
            logging.enable_progress_bar()


@dataclass(slots=True, eq=False)
class _Asked:
    """A turn that waits to be sampled."""

    ids: list[int]
    sampling: Sampling
    most: int
    seed: int
    answer: asyncio.Future[SampledTokens]


class TransformersModel(ChatTokenizer):
    """A causal language model, on the GPU where there is one. Belongs to one event loop.

    Args:
        name: An embedded model's name, a folder, or a hub id.
        loading: How the model is loaded.

    Raises:
        UserError: There is no such model, or its tokenizer has no chat template.
    """

    def __init__(self, name: str, loading: LoadOptions):
        import torch
        from transformers import AutoModelForCausalLM

        path = model_path(name)
        super().__init__(path, loading.adapter)
        gpu = torch.cuda.is_available()
        dtype = "float32" if loading.dtype == "auto" and not (gpu or has_bfloat16()) else loading.dtype
        with _no_loading_bar():
            self.model: Any = AutoModelForCausalLM.from_pretrained(path, dtype=dtype)
            if loading.adapter:
                from peft import PeftModel

                self.model = PeftModel.from_pretrained(self.model, loading.adapter)
        self.model.eval().to("cuda" if gpu else "cpu")
        self.stops = self.ends(self.model.generation_config)
        most = getattr(self.model.config, "max_position_embeddings", None) or DEFAULT_LENGTH
        self.length = min(most, loading.max_model_len) if loading.max_model_len else most
        self.batch = loading.batch or (GPU_BATCH if gpu else 1)
        self._waiting: list[_Asked] = []
        self._worker: asyncio.Task[None] | None = None

    @property
    def dead(self) -> bool:
        """See `LoadedModel`."""
        return False

    async def sample(self, ids: list[int], sampling: Sampling, most: int, seed: int) -> SampledTokens:
        """See `LoadedModel`."""
        asked = _Asked(ids, sampling, most, seed, asyncio.get_running_loop().create_future())
        self._waiting.append(asked)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.ensure_future(self._work())
        return await asked.answer

    async def _work(self) -> None:
        """Sample all that is waiting, batch by batch; the loop runs on while the model works."""
        await asyncio.sleep(0)
        while self._waiting:
            batch = self._next_batch()
            try:
                answers = await asyncio.to_thread(self._sampled, batch)
            except Exception as error:  # whatever it is: nobody may be left waiting
                for asked in batch:
                    if not asked.answer.done():
                        asked.answer.set_exception(
                            HarnessError(f"transformers failed: {type(error).__name__}: {error}")
                        )
                continue
            for asked, answer in zip(batch, answers, strict=True):
                if not asked.answer.done():
                    asked.answer.set_result(answer)
            await asyncio.sleep(0)

    def _next_batch(self) -> list[_Asked]:
        """The turn that has waited longest and those of about its length: every row is padded to the longest."""
        first = len(self._waiting[0].ids)
        near = [asked for asked in self._waiting if first / ALIKE <= len(asked.ids) <= first * ALIKE + FEW]
        batch = near[: self.batch]
        chosen = set(map(id, batch))
        self._waiting = [asked for asked in self._waiting if id(asked) not in chosen]
        return batch

    def _sampled(self, batch: list[_Asked]) -> list[SampledTokens]:
        import torch

        device = self.model.device
        width = max(len(asked.ids) for asked in batch)
        ids = torch.zeros(len(batch), width, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, asked in enumerate(batch):  # padded on the left: the last column is everybody's last token
            ids[row, width - len(asked.ids) :] = torch.tensor(asked.ids)
            mask[row, width - len(asked.ids) :] = 1
        ids, mask = ids.to(device), mask.to(device)
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        rows = running = [_Row(asked, self.stops) for asked in batch]
        cache = None
        with torch.inference_mode():
            while True:
                out = self.model(
                    input_ids=ids,
                    attention_mask=mask,
                    position_ids=positions,
                    past_key_values=cache,
                    use_cache=True,
                    logits_to_keep=1,
                )
                cache = out.past_key_values
                logits = out.logits[:, -1].double().cpu().numpy()
                chosen = [row.next(logits[number]) for number, row in enumerate(running)]
                left = [number for number, row in enumerate(running) if not row.done]
                if not left:
                    return [row.answer() for row in rows]
                ids = torch.tensor(chosen, device=device)[:, None]
                positions = positions[:, -1:] + 1
                if len(left) <= len(running) * SHRINK:
                    running = [running[number] for number in left]
                    kept = torch.tensor(left, device=device)
                    ids, mask, positions = ids[kept], mask[kept], positions[kept]
                    cache.batch_select_indices(kept)
                mask = torch.cat([mask, mask.new_ones(len(running), 1)], 1)


class _Row:
    """One turn of a batch while it grows."""

    def __init__(self, asked: _Asked, stops: frozenset[int]):
        self.asked = asked
        self.stops = stops
        self.seed = asked.seed if asked.sampling.seeded else secrets.randbits(63)
        self.ids: list[int] = []
        self.logprobs: list[float] = []
        self.done = False

    def next(self, logits: Floats) -> int:
        """The next token; once the row is done, any."""
        if self.done:
            return 0
        token, logprob = next_token(logits, self.asked.sampling, self.seed, len(self.ids))
        self.ids.append(token)
        self.logprobs.append(logprob)
        self.done = token in self.stops or len(self.ids) >= self.asked.most
        return token

    def answer(self) -> SampledTokens:
        """What was sampled."""
        return SampledTokens(tuple(self.ids), tuple(self.logprobs), self.ids[-1] in self.stops)
