"""A page for each round, in Markdown: what was practised, what failed most, what was added, what changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from faultgym.core.files import atomic_file
from faultgym.core.json import JSON
from faultgym.eval.comparison.result import ComparisonCell
from faultgym.training.builds.card import table
from faultgym.training.loop.collect import EXPERT, ITSELF, OWN
from faultgym.training.loop.collect import SUMMARY as COLLECTED
from faultgym.training.loop.data import COUNTS
from faultgym.training.loop.judge import knows_no_english
from faultgym.training.loop.registry import DECISION
from faultgym.training.loop.rollouts import LEFT, SUMMARY, read_json
from faultgym.training.trainers.plain_text import blind_bits

PAGE = "README.md"
MAX_ROWS = 8
"""Rows of a table."""
SLICES = ("contract", "kind", "template", "mode")
"""Slices of the comparison of which the page shows what was shown to have changed."""


def write_page(loop: Path, number: int) -> Path:
    """Write the page of a round that has been decided; the page follows from what the round's stages hold.

    Args:
        loop: The loop's folder.
        number: The round, from 1.

    Returns:
        The page's path.

    Raises:
        UserError: A file that the page is made from cannot be read.
    """
    folder = loop / "rounds" / f"{number:02d}"
    text = "\n\n".join(_page(folder)) + "\n"
    path = folder / PAGE
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        with atomic_file(path) as file:
            file.write(text.encode())
    return path


def _page(folder: Path) -> Iterator[str]:
    decision = read_json(folder / DECISION)
    what = f"version {decision['to']} promoted" if decision["promoted"] else f"version {decision['from']} kept"
    yield f"# Round {decision['round']}: {what}"
    yield f"{decision['why'][:1].upper()}{decision['why'][1:]}."
    yield from _practised(read_json(folder / "plan.json"), read_json(folder / "score" / SUMMARY))
    yield from _failed(read_json(folder / "score" / SUMMARY))
    yield from _added(folder)
    if decision["candidate"] is not None:
        yield from _changed(decision, read_json(folder / "eval" / "comparison.json"))


# ---- what was practised, and what failed ----------------------------------------------------------


def _practised(plan: JSON, summary: JSON) -> Iterator[str]:
    yield "## What was practised"
    rate = summary["success"] / summary["episodes"] if summary["episodes"] else 0.0
    yield (
        f"{summary['episodes']} episodes on train tasks; {plan['expected']:.0%} of them were expected to succeed, and"
        f" {rate:.0%} did."
    )
    rows = [[name, n, k / n] for name, (n, k) in summary["settings"].items()]
    if rows:
        yield table(["faults", "episodes", "success"], rows)
    single = [cell for cell in plan["cells"] if "@" in cell["cell"]]
    if single:
        most = sorted(single, key=lambda cell: (-cell["episodes"], cell["cell"]))[:MAX_ROWS]
        total = sum(cell["episodes"] for cell in single)
        yield f"{total} episodes had a single kind of fault each, mostly:"
        yield table(["where", "episodes", "expected"], [[c["cell"], c["episodes"], c["expected"]] for c in most])


def _failed(summary: JSON) -> Iterator[str]:
    yield "## What failed most"
    if summary["modes"]:
        rows = [[name, count] for name, count in list(summary["modes"].items())[:MAX_ROWS]]
        yield table(["failure mode", "episodes"], rows)
    for name, title in (("contracts", "recovery contract"), ("kinds", "kind of fault"), ("templates", "template")):
        rows = [[key, n, (k / n)] for key, (n, k) in list(summary[name].items())[:MAX_ROWS] if n > k]
        if rows:
            good = "success" if name == "templates" else "recovered"
            yield table([title, "episodes" if name == "templates" else "met", good], rows)
    critical = summary["critical"]
    if critical["found"]:
        yield (
            f"A first critical step was found in {critical['found']} failures; the median one is turn"
            f" {critical['median'] + 1}."
        )


# ---- what was added -------------------------------------------------------------------------------


def _added(folder: Path) -> Iterator[str]:
    yield "## What was added"
    collected: Mapping[str, int] = read_json(folder / "collect" / COLLECTED)
    other = {name: n for name, n in collected.items() if name not in (ITSELF, OWN, EXPERT)}
    as_is, own, expert = (collected.get(name, 0) for name in (ITSELF, OWN, EXPERT))
    yield (
        f"{as_is} episodes were worth imitating as they were. At the first error {own} were put right by a sample of"
        f" the policy's own and {expert} by the expert."
        + (f" Of no use: {', '.join(f'{n} {name}' for name, n in sorted(other.items()))}." if other else "")
    )
    yield from _set("examples", read_json(folder / "data" / COUNTS))
    if (folder / "preferences").is_dir():
        whose = "the result of SFT" if (folder / "sft-rollout").is_dir() else "the round's own episodes"
        yield f"Pairs were forked from {whose}."
        yield from _left(read_json(folder / "preferences" / LEFT)) if (folder / "sft-rollout").is_dir() else ()
        yield from _set("pairs", read_json(folder / "preferences" / COUNTS))


def _left(summary: JSON) -> Iterator[str]:
    """What SFT had left to be mended."""
    rate = summary["success"] / summary["episodes"] if summary["episodes"] else 0.0
    yield f"It did {rate:.0%} of {summary['episodes']} further episodes, and showed these failure modes:"
    yield table(["failure mode", "episodes"], [[name, n] for name, n in list(summary["modes"].items())[:MAX_ROWS]])


def _set(what: str, found: JSON) -> Iterator[str]:
    share = found["replayed"] / (found["rows"] + found["replayed"]) if found["rows"] + found["replayed"] else 0.0
    yield f"{found['rows']} new {what}, and {found['replayed']} replayed from before ({share:.0%} of all)."
    if found["kinds"]:
        yield table([f"kind of {what}", "new"], [[name, n] for name, n in found["kinds"].items()])
    if found["contracts"]:
        yield table(["contract", "new"], [[name, n] for name, n in found["contracts"].items()])
    if found.get("sources"):
        chosen = ", ".join(f"{n} by {name}" for name, n in found["sources"].items())
        yield f"Chosen completions: {chosen}. At a first critical step: {found['critical']}."
    if found.get("short"):
        yield f"Short of the stated mix: {', '.join(found['short'])}."
    if not found.get("passed", True):
        yield f"The pairs failed their balance audit: {'; '.join(found['problems'])}."


# ---- what changed ---------------------------------------------------------------------------------


def _changed(decision: JSON, comparison: JSON) -> Iterator[str]:
    yield "## What changed"
    yield (
        f"Version {decision['from']} and the candidate on the same dev tasks, seeds and faults; 95% intervals of the"
        " difference, paired and clustered by task, unless the loop was given another alpha."
    )
    yield table(_NAMES, [_row(f"{c['metric']}, faulted", c) for c in decision["faulted"]])
    for name, title in (("clean", "success without faults"), ("text", _TEXT)):
        if (found := decision[name]) is not None:
            yield _noninferior(title, found)
    cells = [
        ComparisonCell(**{key: cell[key] for key in ComparisonCell.__slots__})
        for cell in comparison["against"][0]["cells"]
    ]
    shown = [c for c in cells if c.by in SLICES and c.verdict in ("better", "worse")]
    if shown:
        yield "Shown to have changed, after Holm's adjustment within each kind of slice:"
        shown.sort(key=lambda c: (SLICES.index(c.by), c.metric, c.name))
        yield table(_NAMES, [_row(f"{c.by} {c.name}: {c.metric}", c.to_record()) for c in shown])
    yield "All slices, and the tasks gained and lost: [eval/comparison.md](eval/comparison.md)."


_TEXT = "general text, bits a byte"
_NAMES = ["what", "before", "after", "difference", "low", "high", "verdict"]


def _row(name: str, cell: JSON) -> list[object]:
    numbers = [f"{cell[key]:.3f}" for key in ("base", "other", "difference", "low", "high")]
    return [name, *numbers, cell["verdict"] or "invalid"]


def _noninferior(title: str, found: JSON) -> str:
    verdict = "not inferior" if found["holds"] else "not shown to be no worse"
    if title == _TEXT and knows_no_english(found["base"]):
        verdict = f"nothing to forget, for letters alone can be guessed at {blind_bits():.3f}"
    return (
        f"- {title}: {found['base']:.3f} before, {found['tuned']:.3f} after; a loss of {max(0.0, found['worst']):.3f}"
        f" is not ruled out, {found['margin']:.3f} is accepted: {verdict} ({found['units']} units)."
    )
