"""General text: what ships, how it is scored, and what a harmed model shows; the harness's results as they come."""

import math

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from faultgym.agents.models.files import model_path
from faultgym.core.errors import UserError
from faultgym.eval.comparison.noninferior import noninferior
from faultgym.training.trainers.general_text import text_losses
from faultgym.training.trainers.harness_tasks import check_harness, scores_of
from faultgym.training.trainers.plain_text import blind_bits, paragraphs

pytestmark = pytest.mark.slow

FEW = dict(list(paragraphs().items())[:12])


@pytest.fixture(scope="module")
def base():
    return model_path("tiny-random")


@pytest.fixture(scope="module")
def losses(base):
    return text_losses(base, FEW)


def test_knowing_how_frequent_letters_are_is_between_knowing_nothing_and_knowing_english(losses):
    assert 3 < blind_bits() < 5 < sum(losses.values()) / len(losses)


def test_the_text_is_sixty_different_paragraphs_of_plain_length():
    texts = list(paragraphs().values())
    assert len(set(texts)) == 60
    assert all(40 <= len(text.split()) <= 80 for text in texts)
    assert all(text.isascii() for text in texts)


def test_a_paragraphs_loss_is_that_of_the_model_alone_and_without_padding(base, losses):
    tokenizer, model = AutoTokenizer.from_pretrained(base), AutoModelForCausalLM.from_pretrained(base)
    text = FEW["p03"]
    ids = torch.tensor([[tokenizer.eos_token_id, *tokenizer(text, add_special_tokens=False)["input_ids"]]])
    with torch.no_grad():
        nats = float(model(ids, labels=ids).loss) * (ids.shape[1] - 1)
    assert losses["p03"] == pytest.approx(nats / math.log(2) / len(text.encode()), rel=1e-4)


def test_a_model_whose_weights_were_shaken_is_not_shown_to_be_as_good(base, losses, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(base)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        weight = model.lm_head.weight
        weight += torch.randn(weight.shape, generator=generator) * 3 * weight.std()
    model.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(base).save_pretrained(tmp_path)
    harmed = noninferior(losses, text_losses(str(tmp_path), FEW), 0.02, lower_is_better=True)
    assert not harmed.holds
    assert harmed.change > 0.1
    assert noninferior(losses, losses, 0.02, lower_is_better=True).holds


def test_an_adapters_folder_stands_for_the_adapter_on_its_base(base, losses, tmp_path):
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), LoraConfig(r=2, target_modules=["q_proj"]))
    model.save_pretrained(tmp_path / "fresh")
    assert text_losses(str(tmp_path / "fresh"), FEW) == pytest.approx(losses, rel=1e-4)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight += torch.randn(weight.shape, generator=generator)
    model.save_pretrained(tmp_path / "moved")
    moved = text_losses(str(tmp_path / "moved"), FEW)
    assert any(abs(moved[name] - losses[name]) > 1e-3 for name in FEW)


def test_a_model_that_is_not_there_is_one_message(tmp_path):
    with pytest.raises(UserError, match="no model folder"):
        text_losses(str(tmp_path / "nothing"), FEW)


# ---- the lm-evaluation-harness ------------------------------------------------------------------------


def sample(number, value, answers="none", **more):
    return {"doc_id": number, "filter": answers, "metrics": ["acc"], "acc": value, **more}


def test_the_harness_scores_document_by_document_and_the_first_filter_counts():
    found = {"samples": {"arc": [sample(0, 1.0), sample(1, 0.0), sample(0, 0.0, "strict")]}}
    assert scores_of(found, "arc") == ("acc", {"arc/0": 1.0, "arc/1": 0.0})


def test_a_group_of_harness_tasks_keeps_its_documents_apart():
    found = {"samples": {"one": [sample(0, 1.0, acc_norm=0.0)], "two": [sample(0, 0.0, acc_norm=1.0)]}}
    assert scores_of(found, "group") == ("acc", {"one/0": 1.0, "two/0": 0.0})
    assert scores_of(found, "group", "acc_norm") == ("acc_norm", {"one/0": 0.0, "two/0": 1.0})


@pytest.mark.parametrize("found", [{}, {"samples": {"t": []}}, {"samples": {"t": [{"doc_id": 0, "bleu": 1.0}]}}])
def test_a_harness_task_without_a_known_metric_is_refused(found):
    with pytest.raises(UserError, match="none of the metrics acc, exact_match"):
        scores_of(found, "t")


def test_a_missing_harness_is_named_with_what_installs_it():
    try:
        import lm_eval  # noqa: F401
    except ImportError:
        with pytest.raises(UserError, match="not installed: pip install lm-eval"):
            check_harness()
    else:
        check_harness()
