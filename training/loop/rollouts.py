"""Rolling out within a loop, and reading what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

import orjson

from faultgym.agents.registry import policy_named
from faultgym.agents.rollouts.engine import rollout
from faultgym.agents.rollouts.plan import RolloutPlan
from faultgym.agents.rollouts.progress import OnProgress
from faultgym.agents.rollouts.stop import Stop
from faultgym.agents.storage.store import RunDirectory
from faultgym.agents.traces.spec import EpisodeSpec
from faultgym.core.errors import UserError
from faultgym.core.files import atomic_file
from faultgym.core.json import JSON
from faultgym.eval.critical import critical_step
from faultgym.eval.scoring.metrics import summarize
from faultgym.eval.scoring.runs import located_traces
from faultgym.eval.scoring.score import Score, score
from faultgym.tools.faults.plan import FaultPlan
from faultgym.training.forks.waiting import wait_for
from faultgym.training.loop.config import LoopConfig
from faultgym.training.loop.curriculum import PracticeCell, SuccessCounts, seen_in

SCORES = "scores.jsonl"
SEEN = "seen.json"
SUMMARY = "summary.json"
LEFT = "left.json"
"""What the result of SFT still failed at, beside the pairs that are to mend it."""


def plan_print(specs: Sequence[EpisodeSpec]) -> str:
    """A hash of episodes in their order, 16 hexadecimal digits."""
    parts: list[tuple[object, ...]] = [
        # of episodes with texts as it was before answers could be typed
        (s.task, s.faults_data, s.fault_seed, s.policy_seed, s.trial, *((s.answers,) if s.answers != "text" else ()))
        for s in specs
    ]
    return blake2b(orjson.dumps(parts), digest_size=8).hexdigest()


def roll_out(
    specs: Sequence[EpisodeSpec], policy: str, folder: Path, config: LoopConfig, stop: Stop, on_progress: OnProgress
) -> Path:
    """Roll out into a run folder; a run that was stopped is resumed, and what the harness broke is retried.

    Args:
        specs: The episodes.
        policy: The policy's name, as `policy_named` takes it.
        folder: The run folder.
        config: Gives the limits and the episodes at a time.
        stop: Lets the rollout be ended early.
        on_progress: Told how far the rollout is.

    Returns:
        The run folder.

    Raises:
        KeyboardInterrupt: The rollout was stopped.
        UserError: There is no such policy, or the folder cannot be used.
    """
    plan = RolloutPlan(tuple(specs), config.limits)
    begun = (folder / "plan.json").exists()
    progress = wait_for(
        rollout(
            plan,
            policy_named(policy),
            folder,
            in_flight=config.in_flight,
            resume=begun,
            retry_errors=begun,
            stop=stop,
            on_progress=on_progress,
        )
    )
    if progress.pending:
        raise KeyboardInterrupt
    return folder


def score_run(run: Path, work: Path) -> Path:
    """Write scores with first critical steps, what failed most, and what the next curriculum needs to know.

    Args:
        run: The run folder.
        work: Where the folder is made.

    Returns:
        The folder, `work/score`.

    Raises:
        UserError: Our own side broke too much of the run.
    """
    out = work / "score"
    out.mkdir(exist_ok=True)
    scores: list[Score] = []
    traces = [trace for _, trace in located_traces(RunDirectory.open(run))]
    for trace in traces:
        found = score(trace)
        scores.append(found.with_critical(critical_step(trace).step) if found.success is False else found)
    scores.sort(key=lambda s: s.episode_id)
    check_valid(scores, run)
    with atomic_file(out / SCORES) as file:
        for one in scores:
            file.write(orjson.dumps(one.to_record(), option=orjson.OPT_APPEND_NEWLINE))
    write_json(out / SUMMARY, failures(scores))
    write_json(out / SEEN, seen_record(seen_in(scores, traces)))
    return out


def check_valid(scores: Sequence[Score], run: Path) -> None:
    """Refuse a run of which our own side broke too much for it to say anything.

    Args:
        scores: The run's scores.
        run: Its folder, for the message.

    Raises:
        UserError: The share of harness errors is too large.
    """
    summary = summarize(scores)
    if not summary.valid:
        last = next(s.harness_error for s in scores if s.harness_error)
        total = summary.episodes + summary.harness_errors
        raise UserError(
            f"{summary.harness_errors} of {total} episodes in {run} ended in harness errors ({last}): put right what"
            f" broke, delete {run}, and go on"
        )


def failures_of(run: Path) -> JSON:
    """What failed in a run, and how often; see `failures`.

    Raises:
        UserError: Our own side broke too much of the run.
    """
    scores = [score(trace) for _, trace in located_traces(RunDirectory.open(run))]
    check_valid(scores, run)
    return failures(scores)


def failures(scores: Sequence[Score]) -> JSON:
    """What failed, and how often: by mode, template, setting, kind and contract.

    Args:
        scores: The run's scores.

    Returns:
        JSON: counts of episodes, modes with counts, and by name (how many, how many of them good), what failed most
        first.
    """
    valid = [s for s in scores if s.valid]
    failed = [s for s in valid if not s.success]
    deliveries = [d for s in valid if s.recovery is not None for d in s.recovery.deliveries if d.counts]
    critical = sorted(s.critical for s in failed if s.critical is not None)
    return {
        "episodes": len(valid),
        "harness_errors": len(scores) - len(valid),
        "success": len(valid) - len(failed),
        "modes": _most([mode for s in valid for mode in s.mode_names]),
        "templates": _rates([(f"{s.suite}/{s.template}", bool(s.success)) for s in valid]),
        "settings": _rates([(s.faults, bool(s.success)) for s in valid if "@" not in s.faults]),
        "kinds": _rates([(d.kind, d.recovered) for d in deliveries]),
        "contracts": _rates([(d.contract, d.recovered) for d in deliveries]),
        "critical": {"found": len(critical), "median": critical[len(critical) // 2] if critical else None},
    }


def _most(names: Sequence[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def _rates(pairs: Sequence[tuple[str, bool]]) -> dict[str, list[int]]:
    """name -> [all, good ones], what failed most first."""
    counts: dict[str, list[int]] = {}
    for name, good in pairs:
        both = counts.setdefault(name, [0, 0])
        both[0] += 1
        both[1] += good
    return dict(sorted(counts.items(), key=lambda pair: (pair[1][1] - pair[1][0], pair[0])))


# ---- what a curriculum goes by, as JSON -----------------------------------------------------------


def seen_record(seen: SuccessCounts) -> JSON:
    """The successes of a round as JSON."""
    return {
        "counts": [[c.suite, c.template, c.setting, n, k] for c, (n, k) in seen.counts.items()],
        "plans": [[c.suite, c.template, c.setting, plan.to_json()] for c, plan in seen.plans.items()],
    }


def seen_of(record: JSON, newer: JSON | None = None) -> SuccessCounts:
    """The successes that `seen_record` made a record of.

    Args:
        record: The older record.
        newer: A newer record, whose counts take the place of the same cells' counts.
    """
    counts = {PracticeCell(*row[:3]): (row[3], row[4]) for row in record["counts"]}
    counts |= {PracticeCell(*row[:3]): (row[3], row[4]) for row in (newer or {"counts": ()})["counts"]}
    plans = {PracticeCell(*row[:3]): FaultPlan.from_json(row[3]) for row in record["plans"]}
    return SuccessCounts(dict(sorted(counts.items())), dict(sorted(plans.items())))


def write_json(path: Path, value: JSON) -> None:
    """Write a JSON file that is whole or not there."""
    with atomic_file(path) as file:
        file.write(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def read_json(path: Path) -> JSON:
    """The value in a JSON file.

    Raises:
        UserError: The file cannot be read.
    """
    try:
        found: JSON = orjson.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read ({error}): put it back from a copy; or delete its folder, and the round's"
            " decision.json if there is one, to make it again"
        ) from error
    return found
