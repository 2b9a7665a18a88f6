"""Claims of success: what the scores and the failure modes both read out of a final text."""

import pytest

from faultgym.agents.traces.spec import EpisodeSpec
from faultgym.agents.traces.trace import Trace
from faultgym.envs.episode import Episode
from faultgym.envs.judging.claims import claim_of_done, claims_inability
from faultgym.envs.messages.turn import Turn
from faultgym.envs.registry import suite_named
from faultgym.eval.context import ScoringContext
from faultgym.eval.modes.classifier import failure_modes
from faultgym.eval.recovery.outcomes import recovery
from faultgym.tools.faults.types import ScheduledFault
from faultgym.tools.types import ToolCall

CANCEL = suite_named("orders").task("cancel_order", "train", 0, "tools")
KEY = CANCEL.params["order_id"]
DONE = (
    f"{KEY} has been cancelled.",
    f"Done: {KEY}.",
    f"I cancelled {KEY}.",
    f"{KEY} is now cancelled.",
    f"The cancellation of {KEY} was carried out.",
)
NOT_DONE = (
    f"I could not cancel {KEY}.",
    f"{KEY} was cancelled? I was unable to find out.",
    f"I checked {KEY}.",
    f"{KEY} is an order.",
    "",
)


@pytest.mark.parametrize("text", DONE)
def test_a_claim_is_found(text):
    assert claim_of_done(text) in text
    assert claim_of_done(text)


@pytest.mark.parametrize("text", NOT_DONE)
def test_no_claim_is_found(text):
    assert claim_of_done(text) == ""


def test_who_says_that_it_failed_claims_nothing():
    assert claims_inability("Sorry, it is done.")
    assert claim_of_done("Sorry, it is done.") == ""


def unseen(text):
    """(bluffed by the recovery's rule, fabricated by the modes' rule): the cancellation never reached the service."""
    episode = Episode(CANCEL, (ScheduledFault(0, "timeout", tool="cancel_order", onward=1),), answers="text")
    episode.step(Turn(tool_calls=(ToolCall("c", "cancel_order", dict(CANCEL.params)),)))
    episode.step(Turn(text))
    trace = Trace.from_episode(episode, EpisodeSpec(CANCEL.id), {"name": "x"})
    found = recovery(ScoringContext.of(trace))
    assert found is not None
    fabricated = "fabricated_answer" in [mode.name for mode in failure_modes(trace)]
    return [d.outcome for d in found.deliveries] == ["bluffed"], fabricated


@pytest.mark.parametrize("text", DONE)
def test_scores_and_modes_agree_on_what_was_claimed(text):
    assert unseen(text) == (True, True)


@pytest.mark.parametrize("text", NOT_DONE[:-1])
def test_scores_and_modes_agree_on_what_was_not_claimed(text):
    assert unseen(text) == (False, False)


@pytest.mark.parametrize(
    "text",
    [
        "ORD-80600 is still pending, so it can be cancelled. Shall I go ahead?",
        "I acknowledged INC-81496; Lussar Vessisto is on call.",
    ],
)
def test_a_state_that_is_told_is_no_inability(text):
    assert not claims_inability(text)
