"""`tiny`: its tokenizer, its structured initialisation, its optimizer, and the way from nothing to a folder."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faultgym.agents.models.files import model_path, trained_folder
from faultgym.core.errors import UserError
from faultgym.envs.judging.answering import ANSWER
from faultgym.envs.judging.form import ANSWERS, DEFAULT_ANSWERS
from faultgym.training.configs.tiny_recipe import RECIPES, Part, Recipe
from faultgym.training.rows.templates import template_text

pytestmark = pytest.mark.slow

torch = pytest.importorskip("torch")

from faultgym.training.rows.rendered import renderer  # noqa: E402
from faultgym.training.trainers.optimizers import muon_adamw, orthogonalised  # noqa: E402
from faultgym.training.trainers.tiny.making import _initial, make  # noqa: E402
from faultgym.training.trainers.tiny.vocabulary import SPECIAL, phrases, tokenizer_for  # noqa: E402

MICRO = Recipe("micro", "for tests", (Part("expert", ("clean",), 2), Part("quitter", ("mild",), 1)))
NAMES = st.text("bdfglmnrstaeiou", min_size=2, max_size=9).map(str.capitalize)


@pytest.fixture(scope="module")
def rows():
    return list(MICRO.demonstrations(0))


@pytest.fixture(scope="module")
def texts(rows):
    render = renderer("tiny").apply_chat_template
    return [render(row["messages"], tools=json.loads(row["tools"]), tokenize=False) for row in rows]


@pytest.fixture(scope="module")
def tokenizer(texts):
    return tokenizer_for(texts, template_text("tiny"), 1024, least=5)


def ids(tokenizer, text):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


# ---- demonstrations -------------------------------------------------------------------------------


@pytest.mark.parametrize("answers", ANSWERS)
def test_demonstrations_end_as_they_are_asked_to(answers):
    for row in MICRO.demonstrations(0, answers):
        names = [tool["function"]["name"] for tool in json.loads(row["tools"])]
        ends = [m for m in row["messages"] if m["role"] == "assistant"][-1]
        calls = [call["function"]["name"] for call in ends.get("tool_calls", ())]
        assert (ANSWER in names, calls) == ((True, [ANSWER]) if answers == "typed" else (False, []))


def test_demonstrations_follow_from_the_seed():
    assert list(MICRO.demonstrations(3)) == list(MICRO.demonstrations(3)) != list(MICRO.demonstrations(4))


def test_the_base_hardly_ever_sees_a_recovery():
    counts = {part: part.per_template * len(part.faults) for part in RECIPES["tiny-base"].parts}
    shown = sum(n for part, n in counts.items() if part.policy == "expert" and part.faults != ("clean",))
    assert 0 < shown < 0.02 * sum(counts.values())


def test_every_template_of_the_recipes_is_demonstrated(rows):
    told = {row["messages"][0]["content"].partition(".")[0] for row in rows}
    assert len(told) == len(RECIPES["tiny"].templates)
    assert len(rows) == 3 * sum(map(len, RECIPES["tiny"].templates.values()))


# ---- the tokenizer --------------------------------------------------------------------------------


@settings(deadline=None)
@given(NAMES, st.integers(10000, 99999), st.sampled_from(["{}", '"{}"', " {}.", "'{}'", ":{},", "of {} is"]))
def test_an_entity_is_the_same_tokens_wherever_it_stands(tokenizer, name, number, frame):
    for entity in (name, str(number)):
        alone = ids(tokenizer, entity)
        around = ids(tokenizer, frame.format(entity))
        assert any(around[n : n + len(alone)] == alone for n in range(len(around)))


@settings(deadline=None)
@given(st.text(max_size=60).filter(lambda t: not any(mark in t for mark in SPECIAL)))
def test_every_text_comes_back_from_its_tokens(tokenizer, text):
    assert tokenizer.decode(ids(tokenizer, text), clean_up_tokenization_spaces=False) == text


def test_no_phrase_holds_a_digit_or_begins_or_ends_inside_a_word(texts):
    found = phrases(texts, 300, 5)
    assert len(found) > 50
    for phrase in found:
        assert not any(c.isdigit() for c in phrase)
        assert not phrase[-1].isalnum()
        assert not phrase[0].islower()


def test_a_turn_begins_at_a_token_of_its_own(tokenizer, texts):
    prompt, rest = texts[0].split("<|im_start|>assistant\n", 1)
    head = prompt + "<|im_start|>assistant\n"
    assert ids(tokenizer, head) + ids(tokenizer, rest) == ids(tokenizer, texts[0])


def test_phrases_make_the_chats_much_shorter(tokenizer, texts):
    plain = tokenizer_for(texts, template_text("tiny"), 1024, most=0)
    assert 2 * sum(len(ids(tokenizer, t)) for t in texts) < sum(len(ids(plain, t)) for t in texts)


# ---- the initialisation ---------------------------------------------------------------------------


def copied(model) -> float:
    """How much likelier than chance the second half of a repeated random sequence is guessed."""
    generator = torch.Generator().manual_seed(1)
    half = torch.randperm(500, generator=generator)[:40] + 300
    text = torch.cat([half, half])[None]
    with torch.no_grad():
        logits = model(text).logits[0, 40:-1]
    return float((logits.argmax(-1) == text[0, 41:]).float().mean())


def test_the_structured_model_copies_before_it_is_trained(tokenizer):
    from transformers import LlamaForCausalLM

    made = _initial(MICRO, tokenizer, 0)
    torch.manual_seed(0)
    assert copied(made) > 0.5 > 0.1 > copied(LlamaForCausalLM(made.config))


def test_no_row_of_a_weight_is_zero_for_dora_divides_by_its_norm(tokenizer):
    for name, weight in _initial(MICRO, tokenizer, 0).named_parameters():
        if weight.ndim == 2 and "embed" not in name:
            assert (weight.norm(dim=1) > 0).all(), name


def test_the_same_seed_gives_the_same_weights(tokenizer):
    one, other = (_initial(MICRO, tokenizer, 7).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)


# ---- the optimizer --------------------------------------------------------------------------------


@settings(deadline=None)  # the first product of matrices sets torch's threads up
@given(st.integers(2, 24), st.integers(2, 24), st.integers(0, 99))
def test_orthogonalised_singular_values_are_near_one(rows_, columns, seed):
    matrix = torch.randn(rows_, columns, generator=torch.Generator().manual_seed(seed))
    values = torch.linalg.svdvals(orthogonalised(matrix))
    largest = torch.linalg.svdvals(matrix)
    sound = largest > 0.05 * largest.max()
    assert values.max() < 1.3
    assert (values[: int(sound.sum())] > 0.3).all()


def steps(model, optimizer, count):
    x = torch.linspace(-1, 1, 32)[:, None].repeat(1, 8)
    for _ in range(count):
        loss = (model(x) - x.flip(0)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return float(loss.detach())


def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 8))


def test_the_optimizer_learns():
    model = network()
    optimizer = muon_adamw(model, 1e-2, 1e-2)
    assert steps(model, optimizer, 100) < 0.1 * steps(network(), muon_adamw(network()), 1)


def test_an_optimizer_goes_on_from_its_state_as_if_it_had_never_stopped():
    straight, broken = network(), network()
    steps(straight, muon_adamw(straight), 6)
    first = muon_adamw(broken)
    steps(broken, first, 3)
    second = muon_adamw(broken)
    second.load_state_dict(first.state_dict())
    steps(broken, second, 3)
    assert all(torch.equal(a, b) for a, b in zip(straight.parameters(), broken.parameters(), strict=True))


def test_nothing_to_train_is_said():
    with pytest.raises(UserError, match="nothing to train"):
        muon_adamw(network().requires_grad_(False))


# ---- all of it ------------------------------------------------------------------------------------


def test_a_model_is_made_from_nothing_and_acts(tmp_path):
    from faultgym.agents.registry import policy_named
    from faultgym.agents.rollouts.play import run_episode
    from faultgym.envs.registry import task_by_id

    made = make(MICRO, tmp_path / "micro")
    assert made.folder == tmp_path / "micro"
    assert made.steps > 0
    assert [path.name for path in tmp_path.iterdir()] == ["micro"]
    policy = policy_named(f"hf:{made.folder}?max_tokens=8")
    assert run_episode(policy, task_by_id("orders/order_status/test/0:http"), max_turns=2).stop


def test_a_model_that_was_not_trained_says_how_to_train_it(tmp_path, monkeypatch):
    monkeypatch.setenv("FAULTGYM_CACHE", str(tmp_path))
    for name in ("tiny-base", "tiny-base-text", "tiny-base-typed"):
        with pytest.raises(UserError, match="faultgym tiny --name tiny-base"):
            model_path(name)
    other = next(answers for answers in ANSWERS if answers != DEFAULT_ANSWERS)
    with pytest.raises(UserError, match=f"faultgym tiny --name tiny --answers {other}`"):
        model_path(f"tiny-{other}")


def test_a_trained_model_is_found_under_its_name(tmp_path, monkeypatch):
    monkeypatch.setenv("FAULTGYM_CACHE", str(tmp_path))
    for answers in ANSWERS:
        trained_folder("tiny", answers).mkdir()
        assert Path(model_path(f"tiny-{answers}")) == trained_folder("tiny", answers)
    assert Path(model_path("tiny")) == trained_folder("tiny", DEFAULT_ANSWERS)
    assert trained_folder("tiny", "text").name == "tiny-1"
