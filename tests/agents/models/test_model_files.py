"""The embedded models, and the policy that samples with transformers."""

import asyncio
from pathlib import Path

import pytest

from faultgym.agents.models.files import cache_folder, keep, made_by, model_path
from faultgym.agents.models.tiny_random import make_tiny_random
from faultgym.agents.registry import policy_named

pytest.importorskip("transformers")
pytest.importorskip("torch")

pytestmark = pytest.mark.slow

TOOL = {
    "type": "function",
    "function": {
        "name": "sql",
        "description": "Run SQL.",
        "parameters": {"type": "object", "properties": {"query": {}, "limit": {}}, "required": ["query"]},
    },
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    make_tiny_random(folder)
    return folder


@pytest.fixture(scope="module")
def model(tiny):
    """The loaded model, as a policy holds it."""

    async def load():
        return policy_named(f"hf:{tiny}").loaded()

    return asyncio.run(load())


def sampled(tiny: Path, prompts: list[str], options: str, *most: int):
    """What the model writes after the prompts, all asked for at once: at most so many tokens, by turns."""
    policy = policy_named(f"hf:{tiny}?{options}")

    async def ask():
        model = policy.loaded()
        return await asyncio.gather(
            *(
                model.sample(model.encode(p), policy.sampling, (most or (40,))[seed % max(1, len(most))], seed)
                for seed, p in enumerate(prompts)
            )
        )

    return asyncio.run(ask())


def chat(model, *messages: tuple[str, str], prompt: bool = True) -> str:
    return model.render([{"role": role, "content": content} for role, content in messages], [TOOL], prompt)


def test_it_is_the_same_each_time_it_is_made(tiny, tmp_path):
    make_tiny_random(tmp_path / "again")
    for path in tiny.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes(), path.name


def test_the_template_lists_tools_in_a_line_each(model):
    text = chat(model, ("system", "You are a clerk."), ("user", "Hello."))
    assert text.startswith("<|im_start|>system\nYou are a clerk.\n\nTools (a ? marks what may be left out):\n")
    assert "\n- sql(query, limit?): Run SQL.\n" in text
    assert text.endswith("<|im_start|>user\nHello.<|im_end|>\n<|im_start|>assistant\n")


def test_a_longer_chat_begins_with_the_shorter_one(model):
    said = ("user", "Hello."), ("assistant", "Hm.")
    assert chat(model, *said, ("tool", "[]")).startswith(chat(model, *said, prompt=False))


def test_every_text_comes_back_from_its_tokens(model):
    text = 'Ünïcode 日本 <tool_call>\n{"name": "sql"}\n</tool_call>\t\x00 ORD-1042'
    assert model.decode(tuple(model.encode(text))) == text


def test_it_calls_tools(tiny, model):
    prompt = chat(model, ("user", "Hello."))
    written = [model.decode(one.ids) for one in sampled(tiny, [prompt] * 8, "temperature=1")]
    assert sum(text.startswith('<tool_call>\n{"name": "') for text in written) >= 3
    assert len(set(written)) > 3


def test_on_a_cpu_a_turn_is_the_same_to_the_last_bit_whatever_else_is_asked_for(tiny, model):
    prompts = [chat(model, ("user", "Hello " * n)) for n in (1, 30, 2, 31, 3)]
    assert model.batch == 1
    alone = sampled(tiny, prompts[:1], "temperature=1")
    assert sampled(tiny, prompts, "temperature=1")[:1] == alone


def test_rows_of_a_batch_read_their_own_prompts_whatever_the_others_lengths_and_ends(tiny, model):
    prompts = [chat(model, ("user", "Hello " * n)) for n in (1, 300, 2, 310, 3, 90, 4, 95, 5, 6)]
    together = sampled(tiny, prompts, "temperature=1&batch=10", 1, 24, 2)
    assert len(together[0].ids) == 1
    for prompt, one in zip(prompts, together, strict=True):
        assert one.logprobs == pytest.approx(logprobs_of(model, prompt, one.ids), abs=1e-3)


def logprobs_of(model, prompt: str, ids: tuple[int, ...]) -> list[float]:
    """What the model thinks of the tokens after the prompt, read in one pass."""
    import torch

    read = torch.tensor([[*model.encode(prompt), *ids]])
    with torch.inference_mode():
        logits = model.model(input_ids=read).logits[0, -len(ids) - 1 : -1].double()
    return logits.log_softmax(-1)[range(len(ids)), list(ids)].tolist()


def test_a_cut_takes_all_but_the_likeliest_away(tiny, model):
    prompts = [chat(model, ("user", "Hello."))] * 4
    greedy = sampled(tiny, prompts, "temperature=0")[0].ids
    for cut in ("top_k=1", "top_p=0.000001", "min_p=1"):
        assert {one.ids for one in sampled(tiny, prompts, f"temperature=1&{cut}")} == {greedy}


def test_a_turn_ends_at_its_end_or_at_the_limit(tiny, model):
    end = model.encode("<|im_end|>")[0]
    for one in sampled(tiny, [chat(model, ("user", "Hello."))] * 8, "temperature=1", 6):
        assert one.ended == (one.ids[-1] == end)
        assert one.ended or len(one.ids) == 6
        assert end not in one.ids[:-1]


def test_an_embedded_model_is_made_once_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FAULTGYM_CACHE", str(tmp_path))
    folder = Path(model_path("tiny-random"))
    assert folder.parent == cache_folder() == tmp_path
    made = (folder / "model.safetensors").stat().st_mtime_ns
    assert made_by("/nowhere/python", "tiny-random") == model_path("tiny-random") == str(folder)
    assert (folder / "model.safetensors").stat().st_mtime_ns == made
    assert model_path("some/hub-id") == "some/hub-id"


def test_an_empty_folder_is_filled_where_it_is(tmp_path):
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "model.safetensors").write_text("new")
    (tmp_path / "out").mkdir()
    before = (tmp_path / "out").stat().st_ino
    keep(tmp_path / "made", tmp_path / "out")
    assert (tmp_path / "out").stat().st_ino == before
    assert (tmp_path / "out" / "model.safetensors").read_text() == "new"
