"""A base in 4 bits on a processor for which bitsandbytes repacks its weights: trained and read as on any other."""

import pytest
from helpers import lessons

from faultgym.training.trainers import quiet
from faultgym.training.trainers.models import base_model


@pytest.fixture
def place(tmp_path):
    lessons.write_model(tmp_path / "model", hidden=16)
    lessons.write_set(tmp_path / "messages", "messages")
    with quiet():
        yield tmp_path


def loaded(place):
    return base_model(str(place / "model"), lessons.config(place, place / "out", adapter="qlora"), quantised=True)


def test_layers_of_any_size_say_the_same_on_a_processor_with_avx512_bf16(place, monkeypatch):
    from bitsandbytes.nn import modules
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(place / "model")
    expected = lessons.logits(loaded(place), tokenizer)
    monkeypatch.setattr(modules, "has_avx512bf16", lambda: True)
    assert lessons.logits(loaded(place), tokenizer).equal(expected)
