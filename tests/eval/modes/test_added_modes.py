"""Failure modes that others add: what is taken, what is refused and why, and that scores show what was taken."""

from itertools import count

import pytest
from helpers.stored import played

from faultgym.core.errors import UserError
from faultgym.eval.conformance import blaming, probes
from faultgym.eval.context import ScoringContext
from faultgym.eval.modes.classifier import failure_modes, modes_at, modes_of
from faultgym.eval.modes.evidence import Mode
from faultgym.eval.modes.kit import CHECKS, check_mode
from faultgym.eval.modes.registry import MODES


def shouted(context):
    """The final text is in capitals."""
    text = context.scoring.text
    if text.isupper():
        yield context.mode("shouted", None, text, "the text is in capitals")


def babbled(context):
    """It calls a tool that no suite has."""
    for n, record in enumerate(context.scoring.records):
        if record.call.name == "no_such_tool":
            yield context.mode("babbled", n, "", "there is no such tool anywhere")


@pytest.fixture
def added():
    MODES.register("babbled", babbled)
    yield
    MODES.unregister("babbled")


@pytest.mark.parametrize("name", MODES)
def test_every_built_in_mode_conforms(name):
    check_mode(name, MODES[name])


def test_the_episodes_that_rules_are_tried_on_show_every_built_in_mode():
    assert {mode.name for probe in probes() for mode in modes_of(probe.context)} == set(MODES)


def test_an_added_mode_is_among_those_of_a_score_and_stands_last(added):
    noise = [probe for probe in probes() if probe.policy == "noise"]
    found = [mode.name for probe in noise for mode in modes_of(probe.context)]
    assert found.count("babbled") == len(noise)
    assert list(MODES)[-1] == "babbled"


def test_two_modes_of_one_name_are_refused(added):
    with pytest.raises(UserError, match="there is a failure mode named 'babbled' already"):
        MODES.register("babbled", shouted)


def breaks_later(context):
    """It cannot read a cancelled order."""
    if context.scoring.task.template == "cancel_order":
        raise KeyError("status")
    return ()


def test_an_added_mode_that_raises_is_named_with_its_module_and_the_trace():
    trace = played("orders/cancel_order/train/0")
    MODES.register("breaks_later", breaks_later)
    words = f"failure mode 'breaks_later' of {__name__} raised KeyError: 'status', on trace {trace.episode_id}"
    try:
        for judge in (failure_modes, lambda trace: modes_at(ScoringContext.of(trace), 0)):
            with pytest.raises(UserError, match=words):
                judge(trace)
    finally:
        MODES.unregister("breaks_later")


def test_what_a_built_in_mode_raises_passes_as_it_is():
    with pytest.raises(ZeroDivisionError), blaming(MODES, "loop", MODES["loop"], "x"):
        raise ZeroDivisionError


def undescribed(context):
    return ()


def forgot_its_stop(context):
    """The text has no full stop"""
    return ()


def crashes(context):
    """It reads a first call that is not always there."""
    yield context.mode("crashes", 0, context.scoring.records[0].call.name, "always")


def strings(context):
    """It gives names instead of modes."""
    return ["strings"]


COUNTER = count()


def moody(context):
    """It is raised every other time that it is asked."""
    if next(COUNTER) % 2 and not context.clean.records and context.failed:
        yield context.mode("moody", None, "", "it felt like it")


def meddles(context):
    """It writes into the trace that it is to judge."""
    if context.scoring.trace.policy["name"] == "noise":
        context.scoring.trace.policy["seen"] = True
    return ()


SEEN = []


def remembers(context):
    """It is raised where the episode before was of another task."""
    SEEN.append(context.scoring.task.id)
    if SEEN[-2:-1] != SEEN[-1:] and context.failed:
        yield context.mode("remembers", None, "", "the first of its task")


def misnamed(context):
    """Its modes bear another name."""
    if context.failed:
        yield context.mode("something_else", None, "", "it failed")


def lost(context):
    """It points at a turn after the last one."""
    if context.failed:
        yield Mode(name="lost", step=len(context.scoring.trace.steps), call=None, value="", why="it failed")


def elsewhere(context):
    """It names a call of another turn."""
    if context.failed and len(context.scoring.records) > 1:
        yield Mode(
            name="elsewhere", step=context.scoring.steps[0], call=len(context.scoring.records) - 1, value="", why="x"
        )


def silent(context):
    """It gives no reason."""
    if context.failed:
        yield context.mode("silent", None, "", "")


def strict(context):
    """It calls any call a mistake, also those of the expert."""
    for n, record in enumerate(context.scoring.records):
        yield context.mode("strict", n, record.call.name, "it called a tool")


BROKEN = [
    ("Too Loud", shouted, "Its name is"),
    ("undescribed", undescribed, "The first line of its docstring"),
    ("forgot_its_stop", forgot_its_stop, "The first line of its docstring"),
    ("crashes", crashes, "It takes any ended episode.*IndexError"),
    ("strings", strings, "It takes any ended episode.*something else than a Mode"),
    ("moody", moody, "The same episode gives the same modes"),
    ("remembers", remembers, "It leaves the trace as it is.*after other episodes"),
    ("meddles", meddles, "It leaves the trace as it is.*it changed the trace"),
    ("misnamed", misnamed, "Each mode bears the name.*'something_else'"),
    ("lost", lost, "Each mode bears the name.*turn"),
    ("elsewhere", elsewhere, "Each mode bears the name.*call .* is of turn"),
    ("silent", silent, "Each mode bears the name.*no reason"),
    ("strict", strict, "The expert, who makes no mistakes"),
]


@pytest.mark.parametrize(("name", "rule", "why"), BROKEN, ids=[name for name, *_ in BROKEN])
def test_a_mode_that_breaks_a_rule_is_refused_and_told_which(name, rule, why):
    with pytest.raises(UserError, match=f"the failure mode '{name}' cannot be added. {why}"):
        MODES.register(name, rule)
    assert name not in MODES


def test_every_rule_of_the_kit_is_broken_by_one_example():
    sentences = [(check.__doc__ or "").rstrip(".") for check in CHECKS]
    assert all(any(sentence.startswith(why.split(".*")[0]) for _, _, why in BROKEN) for sentence in sentences)
