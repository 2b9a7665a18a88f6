"""The built-in failure modes, in the order in which they are documented."""

from __future__ import annotations

from faultgym.eval.modes import calls, course, ending
from faultgym.eval.modes.registry import MODES

for _name, _rule in {
    "unknown_tool": calls.unknown_tool,
    "wrong_tool": calls.wrong_tool,
    "missing_argument": calls.missing_argument,
    "unknown_argument": calls.unknown_argument,
    "invalid_argument": calls.invalid_argument,
    "malformed_call": calls.malformed_call,
    "hallucinated_argument": calls.hallucinated_argument,
    "wrong_entity": calls.wrong_entity,
    "repeated_broken_call": course.repeated_broken_call,
    "redundant_call": course.redundant_call,
    "loop": course.loop,
    "over_iteration": course.over_iteration,
    "premature_stop": ending.premature_stop,
    "apology_collapse": ending.apology_collapse,
    "fabricated_answer": ending.fabricated_answer,
    "ignored_evidence": ending.ignored_evidence,
    "no_answer": ending.no_answer,
    "needless_call": ending.needless_call,
    "missed_call": ending.missed_call,
    "partial_goal": ending.partial_goal,
    "collateral_write": ending.collateral_write,
    "duplicate_write": ending.duplicate_write,
    "obeyed_injection": ending.obeyed_injection,
    "overconfident": ending.overconfident,
}.items():
    MODES.add(_name, _rule)
