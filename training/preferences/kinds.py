"""What a preference pair is about: told from the two decisions and from what stands before them."""

from __future__ import annotations

from faultgym.envs.judging.answering import answer_in
from faultgym.envs.judging.claims import claims_absence, claims_inability
from faultgym.envs.judging.form import EMPTY_HANDED
from faultgym.envs.messages.turn import Turn
from faultgym.training.examples import PairKind
from faultgym.training.forks.branch_point import ASIDE, BranchPoint

MIRRORS: dict[PairKind, PairKind] = {
    "recover_vs_repeat": "retry_vs_abandon",
    "stop_vs_overiterate": "continue_vs_stop",
    "abstain_vs_bluff": "answer_vs_abstain",
    "no_tool_vs_needless": "call_vs_no_call",
}
"""Each kind with the one in which the same move is wrong. `right_vs_wrong_arguments` and `answer_vs_fabricate` are
their own mirror images: what is right in one task is, word for word, what is wrong in another. `answer_vs_text` has
none: where answers are typed, plain text is never right."""

LONE: frozenset[PairKind] = frozenset({"answer_vs_text"})
"""Kinds that have no mirror image at all."""


def mirror(kind: PairKind) -> PairKind:
    """The kind in which the same move is wrong.

    Example:
        >>> mirror("recover_vs_repeat"), mirror("retry_vs_abandon"), mirror("answer_vs_fabricate")
        ('retry_vs_abandon', 'recover_vs_repeat', 'answer_vs_fabricate')
    """
    both = {**MIRRORS, **{there: here for here, there in MIRRORS.items()}}
    return both.get(kind, kind)


def kind_of(at: BranchPoint, wrong: Turn) -> PairKind | None:
    """The kind of the pair of the right decision at a fork and a wrong one.

    Args:
        at: The fork, with the right way on.
        wrong: The other decision.

    Returns:
        None for two decisions that are no pair of any kind.
    """
    right = at.turn
    if at.ends(right) and at.ends(wrong):
        return _of_answers(at, wrong) if at.typed else _of_texts(at, wrong)
    if at.ends(right):
        if not at.task.needs_tools:
            return "no_tool_vs_needless"
        return "recover_vs_repeat" if at.trouble and at.again(wrong) else "stop_vs_overiterate"
    if at.ends(wrong):
        if at.trouble and at.again(right):
            return "retry_vs_abandon"
        return "continue_vs_stop" if at.records else "call_vs_no_call"
    return _of_calls(at, wrong)


def _of_texts(at: BranchPoint, wrong: Turn) -> PairKind | None:
    gives_up = claims_absence(wrong.text) or claims_inability(wrong.text)
    verdict = at.right.trace.verdict
    if verdict is not None and verdict.reported:
        return None if gives_up else "abstain_vs_bluff"
    return "answer_vs_abstain" if gives_up else "answer_vs_fabricate"


def _of_answers(at: BranchPoint, wrong: Turn) -> PairKind | None:
    if answer_in(at.turn, at.task.answer) is None:
        return None  # plain text, or a call that does not fit: it came right in spite of it
    if wrong.final:
        return "answer_vs_text"
    given = answer_in(wrong, at.task.answer)
    if given is None:
        return "recover_vs_repeat" if at.trouble and at.again(wrong) else "right_vs_wrong_arguments"
    verdict = at.right.trace.verdict
    gives_up = given.outcome in EMPTY_HANDED
    if verdict is not None and verdict.reported:
        return "answer_vs_fabricate" if gives_up else "abstain_vs_bluff"
    return "answer_vs_abstain" if gives_up else "answer_vs_fabricate"


def _of_calls(at: BranchPoint, wrong: Turn) -> PairKind | None:
    right = at.turn
    if at.trouble and at.again(wrong):
        return "recover_vs_repeat"
    if at.trouble and at.again(right) and _aside(at, wrong):
        return "retry_vs_abandon"
    if at.again(wrong) or _aside(at, wrong) != _aside(at, right):
        return None
    return "right_vs_wrong_arguments"


def _aside(at: BranchPoint, turn: Turn) -> bool:
    return any(at.aim(call).target in ASIDE for call in turn.tool_calls)
