"""A readable transcript of an episode, safe to print: no text of a model or a tool reaches the terminal raw."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import orjson

from faultgym.envs.judging.answering import ANSWERED
from faultgym.tools.faults.types import FaultEvent
from faultgym.tools.toolbox import parse_arguments
from faultgym.tools.types import ToolCall

if TYPE_CHECKING:
    from faultgym.envs.episode import Episode, StepRecord
    from faultgym.envs.judging.goal import Verdict

SYSTEM_SHOWN = 300
"""Characters of the system message that a transcript shows."""
TEXT_SHOWN = 1_500
"""Characters of every other text that a transcript shows."""
ARGUMENTS_SHOWN = 40
"""Arguments of a call that a transcript shows."""

OUTCOMES = {True: "success", False: "failure", None: "undecided"}
"""What a verdict is called."""

_DANGEROUS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 and C1 controls, among them ESC and CSI; newline and tab stay
    "\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb"  # invisible or reordering
    "\ud800-\udfff\U000e0000-\U000e007f]"  # half surrogate pairs, invisible tags
)


def neutralised(text: str) -> str:
    """The text with everything that could steer a terminal or hide text made visible: ESC becomes `\\x1b`.

    Newlines and tabs stay.

    Example:
        >>> print(neutralised(chr(27) + "[2J gone"))
        \\x1b[2J gone
    """
    return _DANGEROUS.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def shortened(text: str, limit: int = TEXT_SHOWN) -> str:
    """The beginning of the text, with a marker that says how much is left out.

    Args:
        text: The text; returned as it is when it is short enough.
        limit: Characters that are kept; the marker comes on top.

    Example:
        >>> shortened("ORD-10422", 3)
        'ORD [... 6 more characters]'
    """
    if len(text) <= limit:
        return text
    return f"{text[:limit]} [... {len(text) - limit:,} more characters]"


def shown_call(call: ToolCall) -> str:
    """A call as `name(argument="value")`; what did not parse is shown as it was written.

    Example:
        >>> shown_call(ToolCall("a", "sql", {"query": "SELECT 1"}))
        'sql(query="SELECT 1")'
    """
    if call.arguments is None:
        return f"{call.name}({call.raw})"
    shown = [
        f"{name if isinstance(name, str) else _shown(name)}={_shown(value)}"
        for name, value in islice(call.arguments.items(), ARGUMENTS_SHOWN)
    ]
    if len(call.arguments) > ARGUMENTS_SHOWN:
        shown.append(f"[... {len(call.arguments) - ARGUMENTS_SHOWN:,} more]")
    return f"{call.name}({', '.join(shown)})"


def _shown(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:  # half surrogate pairs, more than 64 bits, too deep: no argument is excluded
        return ascii(value) if isinstance(value, str) else f"<{type(value).__name__} that is not JSON>"


@dataclass(frozen=True, slots=True)
class Shown:
    """What a transcript is made of: of a running episode, or of a stored trace."""

    task: str
    """The task's id."""
    system: str
    instruction: str
    turns: Sequence[StepRecord]
    events: Sequence[FaultEvent]
    verdict: Verdict | None
    stop: str


def transcript(episode: Episode, *, faults: bool = False) -> str:
    """The episode so far as plain text, in the order in which it happened: what the policy saw and did.

    Args:
        episode: A running or an ended episode.
        faults: Whether each fault that fired gets a line, which the policy did not see.

    Example:
        >>> from faultgym.envs.episode import Episode
        >>> from faultgym.envs.registry import task_by_id
        >>> episode = Episode(task_by_id("orders/order_status/train/0"))
        >>> transcript(episode).splitlines()[0]
        'task      orders/order_status/train/0'
        >>> episode.close()
    """
    task, system = episode.task, episode.task.system_for(episode.answers)
    shown = Shown(task.id, system, task.instruction, episode.turns, episode.events, episode.verdict, episode.stop)
    return transcript_of(shown, faults=faults)


def transcript_of(shown: Shown, *, faults: bool = False) -> str:
    """The transcript of anything that has the parts of an episode, such as a stored trace.

    Args:
        shown: The parts.
        faults: Whether each fault that fired gets a line.
    """
    lines = [f"task      {neutralised(shown.task)}", *_block("system", shown.system, SYSTEM_SHOWN)]
    lines += _block("user", shown.instruction)
    fired = _by_call(shown.events) if faults else {}
    call, now = 0, 0.0
    for number, step in enumerate(shown.turns, 1):
        lines += ["", f"turn {number}"]
        if step.turn.reasoning:
            lines += _block("thinks", step.turn.reasoning)
        if step.turn.text:
            lines += _block("says", step.turn.text)
        for line, at in _calls(step, call, fired):
            lines.append(line)
            if at is not None and at > now:
                lines.append(f"{'time':10}{at:g} s")
                now = at
        call += len(step.calls)
    if shown.verdict is not None:
        word = OUTCOMES[shown.verdict.success]
        lines += ["", *_block("verdict", f"{word}: {shown.verdict.reason} (ended by: {shown.stop})")]
    return "\n".join(lines)


def _calls(step: StepRecord, first: int, fired: Mapping[int, list[str]]) -> Iterator[tuple[str, float | None]]:
    """The lines of a turn's calls; the last line of each comes with the virtual time."""
    for number, record in enumerate(step.calls, first):
        if record.result.code == ANSWERED:
            yield from ((line, None) for line in _answered(record.call))
            continue
        for line in _block("calls", shown_call(record.call)):
            yield line, None
        for text in fired.get(number, ()):
            yield from ((line, None) for line in _block("fault", text))
        lines = _block("gets", record.result.content)
        for line in lines[:-1]:
            yield line, None
        yield lines[-1], record.at


def _answered(call: ToolCall) -> Iterator[str]:
    """The lines of the call that ended the episode: the outcome, the fields and the message."""
    given = parse_arguments(call)
    yield from _block("outcome", str(given["outcome"]))
    for name, value in (given.get("fields") or {}).items():
        yield from _block("field", f"{name}: {value if isinstance(value, str) else _shown(value)}")
    if given.get("message"):
        yield from _block("message", str(given["message"]))


def _by_call(events: Sequence[FaultEvent]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for event in events:
        where = event.route or event.tool
        found.setdefault(event.call, []).append(f"{event.kind} on {where}: {event.contract}")
    return found


def _block(label: str, text: str, limit: int = TEXT_SHOWN) -> list[str]:
    """The text under a label, every line indented, so that no text can pass for a label."""
    body = neutralised(shortened(text, limit)) or "(nothing)"
    return textwrap.indent(body, " " * 10, lambda line: True).replace(" " * 10, f"{label:10}", 1).split("\n")
