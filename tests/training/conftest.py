"""Tokenizers: they take seconds to build, so they are kept from run to run. No test reaches for a hub."""

import os

import pytest
from helpers import vocabularies

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"


@pytest.fixture(scope="session", params=sorted(vocabularies.TEMPLATES))
def tokenizer(request):
    """A real tokenizer with its training template."""
    return vocabularies.load(request.param, request.config.cache.mkdir("tokenizers"))
