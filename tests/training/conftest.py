"""Tokenizers: they take seconds to build, so they are kept from run to run. No test reaches for a hub."""

import multiprocessing
import os

import pytest
from helpers import vocabularies

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"


@pytest.fixture(scope="session", params=sorted(vocabularies.TEMPLATES))
def tokenizer(request):
    """A real tokenizer with its training template."""
    return vocabularies.load(request.param, request.config.cache.mkdir("tokenizers"))


@pytest.fixture(scope="session")
def forkserver(child_environment):
    """A process that has loaded the libraries of training once; others are forked from it."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = child_environment["PYTHONPATH"] + os.pathsep + (before or "")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["helpers.loaded"])
    yield context
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


@pytest.fixture
def forked(forkserver):
    """Starts a function of `helpers` in a process with the libraries loaded; none outlives its test."""
    children = []

    def begin(function, *arguments):
        children.append(forkserver.Process(target=function, args=arguments))
        children[-1].start()
        return children[-1]

    yield begin
    for child in children:
        child.kill()
        child.join()
