"""One round, stage by stage. Each stage says what it is made of; the last one says which model is in use after it.

    plan -> rollout -> score -> collect -> data -> sft
         -> sft-model -> sft-rollout -> preferences -> pref -> model -> eval -> decision

The second line begins with what SFT came to: pairs are forked from what that model does, not from what its predecessor
did (`LoopConfig.pair_episodes`).

Seeds are hashes of (the loop's seed, the round, the stage), so that a stage that is made again is made the same.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faultgym.agents.registry import policy_named
from faultgym.agents.rollouts.progress import OnProgress
from faultgym.agents.rollouts.stop import Stop
from faultgym.agents.traces.spec import EpisodeSpec
from faultgym.core.errors import UserError
from faultgym.core.hashing import stable_hash
from faultgym.core.json import JSON
from faultgym.eval.comparison.compare import read_run
from faultgym.eval.comparison.report import markdown
from faultgym.eval.scoring.score import Score
from faultgym.training.builds.inputs import OnProgress as OnBuild
from faultgym.training.forks.positives import Sources
from faultgym.training.loop.collect import collect
from faultgym.training.loop.config import LoopConfig
from faultgym.training.loop.curriculum import (
    HALF,
    PracticeShare,
    SuccessCounts,
    episodes_of,
    preset_cells,
    seen_in,
    shares,
)
from faultgym.training.loop.data import COUNTS, Material, examples, learned_from, preferences
from faultgym.training.loop.judge import Judgement, judge
from faultgym.training.loop.models import ModelRef, policy_name, publish_model, published_hash, serving
from faultgym.training.loop.registry import DECISION, Version
from faultgym.training.loop.rollouts import (
    LEFT,
    SEEN,
    check_valid,
    failures_of,
    plan_print,
    read_json,
    roll_out,
    score_run,
    seen_of,
    seen_record,
    write_json,
)
from faultgym.training.loop.stage import RoundStage, digest, weights_digest
from faultgym.training.preferences.pairs import stored_at
from faultgym.training.trainers import quiet
from faultgym.training.trainers.general_text import text_losses
from faultgym.training.trainers.run import train

VERDICT = "verdict.json"
VERSION = "version.json"
PLAN = "plan.json"
TEXTS = "texts.json"


def _nothing(*_: object) -> None:
    return None


@dataclass(frozen=True)
class LoopCallbacks:
    """Who hears how far a loop is; nobody by default."""

    say: Callable[[str], None] = _nothing
    rollouts: Callable[[], AbstractContextManager[OnProgress]] = lambda: nullcontext(_nothing)
    builds: Callable[[], AbstractContextManager[OnBuild]] = lambda: nullcontext(_nothing)
    steps: Callable[[], AbstractContextManager[Any]] = lambda: nullcontext(_nothing)
    stop: Stop = field(default_factory=Stop)


@dataclass(frozen=True)
class Round:
    """One round of a loop, from the version that is in use when it begins."""

    loop: Path
    number: int
    config: LoopConfig
    start: Version
    base: JSON
    """What identifies the model that the loop began with."""
    watching: LoopCallbacks

    @property
    def folder(self) -> Path:
        """The folder of the round's stages."""
        return folder_of(self.loop, self.number)

    def run(self) -> JSON:
        """Do what is still to be done.

        Returns:
            The decision, which is written down.

        Raises:
            UserError: Something is wrong that a person can put right.
            KeyboardInterrupt: The round was stopped.
        """
        self._check_start()
        self.folder.mkdir(parents=True, exist_ok=True)
        specs = self._plan()
        rollout = self._rollout(specs)
        self._stage("score", {"rollout": digest(rollout)}, lambda work: score_run(rollout, work))
        data = self._examples(rollout, self._collect(rollout))
        trained = self._trained("sft", "sft", data, "sft", None)
        if self.config.preference != "none":
            pairs = self._preferences(rollout, trained)
            trained = self._trained("pref", self.config.preference, pairs, "pairs", trained) or trained
        if trained is None:
            return self._decide(None, None)
        model = self._model("model", trained)
        return self._decide(self._evaluate(model, trained), trained)

    def _check_start(self) -> None:
        """Raise UserError when the model in use is not the one that was promoted."""
        if not self.start.number:
            return
        place = self.loop / self.start.served
        if not place.is_dir() or published_hash(place) != self.start.sha256:
            raise UserError(
                f"the weights of version {self.start.number} in {place} are not those that were promoted: put them back"
                f" from a copy, or use an earlier version with `faultgym loop rollback {self.loop} VERSION`"
            )

    def seed(self, stage: str) -> int:
        """The seed of one stage, 32 bits."""
        return stable_hash("loop", self.config.seed, self.number, stage) % 2**32

    def _stage(self, name: str, inputs: JSON, make: Callable[[Path], Path]) -> Path:
        return RoundStage(self.folder, name, inputs, self.watching.say).run(make)

    # ---- what is practised ----

    def _plan(self) -> list[EpisodeSpec]:
        """The episodes, from the last round's scores; the plan is written down for people."""
        config = self.config
        parts, specs = self._planned(config.episodes)
        expected = sum(p.expected * p.episodes for p in parts) / config.episodes
        record = {"expected": round(expected, 4), "cells": [part.to_record() for part in parts]}
        write_json(self.folder / PLAN, record)
        return specs

    def _planned(self, episodes: int, first: int = 0) -> tuple[list[PracticeShare], list[EpisodeSpec]]:
        config = self.config
        cells = preset_cells(config.suites, config.templates, config.faults, "train")
        seen = self._seen()
        parts = shares(cells, seen, episodes, config.target)
        specs = episodes_of(parts, seen.plans, "train", config.seed, self.number, config.api, config.answers, first)
        return parts, specs

    def _seen(self) -> SuccessCounts:
        """How the model in use did when it was last rolled out: after a rollback that is not the last round's."""
        for number in range(self.number - 1, 0, -1):
            before = folder_of(self.loop, number)
            decision = read_json(before / DECISION)
            if decision["from"] == self.start.number:
                return seen_of(read_json(before / "score" / SEEN))
            if decision["promoted"] and number == self.start.number:
                return seen_of(read_json(before / "score" / SEEN), read_json(before / "eval" / SEEN))
        return seen_of({"counts": [], "plans": []})

    def _rollout(self, specs: list[EpisodeSpec]) -> Path:
        return self._rolled("rollout", specs, self._policy(self.config.sampling), self._served())

    def _rolled(self, stage: str, specs: list[EpisodeSpec], policy: JSON, model: ModelRef) -> Path:
        inputs = {**policy, "plan": plan_print(specs), "turns": self.config.turns}
        return self._stage(stage, inputs, lambda work: self._roll(specs, model, work / stage))

    def _roll(self, specs: list[EpisodeSpec], model: ModelRef, folder: Path, *, dev: bool = False) -> Path:
        config, watching = self.config, self.watching
        name = policy_name(model, config, config.dev_sampling if dev else config.sampling)
        with serving(model, config, watching.say), watching.rollouts() as on_progress:
            return roll_out(specs, name, folder, config, watching.stop, on_progress)

    def _policy(self, sampling: str) -> JSON:
        """What identifies the policy that is in use."""
        start = {"base": self.base, "version": self.start.number, "sha256": self.start.sha256}
        return {"model": start, "sampling": sampling, "engine": self.config.engine}

    def _served(self) -> ModelRef:
        """The model in use, as a policy takes it."""
        return ModelRef.of(self.config.model, self.loop / self.start.served if self.start.number else None)

    # ---- what is learned ----

    def _collect(self, rollout: Path) -> Path:
        config = self.config
        asked = {"samples": config.samples, "checks": config.checks}
        inputs = {**self._policy(config.sampling), "rollout": digest(rollout), **asked}

        def make(work: Path) -> Path:
            policy = policy_named(policy_name(self._served(), config, config.sampling))
            with self._asked(self._served()):
                return collect(rollout, work, Sources(policy, config.samples, config.checks))

        return self._stage("collect", inputs, make)

    def _asked(self, model: ModelRef) -> AbstractContextManager[None]:
        """A model is served while continuations are sampled from it."""
        asks = self.config.samples + self.config.checks > 0
        return serving(model, self.config, self.watching.say) if asks else nullcontext()

    def _examples(self, rollout: Path, corrections: Path) -> Path:
        config = self.config
        earlier = self._earlier("data", "sft", config.replay_sft)
        inputs: JSON = {
            "rollout": digest(rollout),
            "collect": digest(corrections),
            "mix": config.mix,
            "replay": config.replay,
            "earlier": [self._print(folder) for folder in earlier],
        }
        material = Material((rollout, corrections), "", earlier, self.seed("data") >> 1)

        def make(work: Path) -> Path:
            with self.watching.builds() as on_progress:
                return examples(material, config, work, on_progress)

        return self._stage("data", inputs, make)

    def _preferences(self, rollout: Path, trained: Path | None) -> Path:
        """Pairs, forked from what the model does that they are for; where that is not rolled out, from the round's."""
        config = self.config
        model, policy = self._served(), self._policy(config.sampling)
        if trained is not None and config.pair_episodes:
            place = self._model("sft-model", trained)
            model, policy = self._candidate(place), {**policy, "model": read_json(place / VERSION)}
            rollout = self._rolled("sft-rollout", self._planned(config.pair_episodes, HALF)[1], policy, model)
        earlier = self._earlier("preferences", "pairs", config.replay_pairs)
        inputs: JSON = {
            **policy,
            "rollout": digest(rollout),
            "samples": config.samples,
            "checks": config.checks,
            "at": stored_at(config.at),
            "preference": config.preference,
            "replay": config.replay,
            "earlier": [self._print(folder) for folder in earlier],
        }
        name = policy_name(model, config, config.sampling)
        material = Material((rollout,), name, earlier, self.seed("preferences") >> 1)

        def make(work: Path) -> Path:
            left = failures_of(rollout)
            with self._asked(model), self.watching.builds() as on_progress:
                place = preferences(material, config, work, on_progress)
            write_json(place / LEFT, left)
            return place

        return self._stage("preferences", inputs, make)

    def _earlier(self, stage: str, name: str, given: tuple[str, ...]) -> tuple[Path, ...]:
        """What earlier rounds collected, whatever became of their candidates, and what was there before."""
        before = [folder_of(self.loop, number) / stage / name for number in range(1, self.number)]
        return (*map(Path, given), *(folder for folder in before if folder.is_dir() and self._sound(folder.parent)))

    def _sound(self, data: Path) -> bool:
        """Whether a round's data may be learned from: pairs that failed their audit may not, later either."""
        return self.config.unaudited or read_json(data / COUNTS).get("passed", True)

    def _print(self, folder: Path) -> str:
        return digest(folder.parent) if self.loop in folder.parents else str(folder)

    def _trained(self, stage: str, method: str, data: Path, name: str, start: Path | None) -> Path | None:
        """One training stage, from `start` or the model in use; None where there is nothing to learn from."""
        config = self.config
        sets = learned_from(data, name, read_json(data / COUNTS), config)
        if not sets:
            return None
        model = self._model_in_use if start is None else str(start)
        settings = dict(config.sft if stage == "sft" else config.pref)
        before = self._policy("") if start is None else weights_digest(start)
        inputs = {"method": method, "settings": settings, "data": digest(data), "model": before}

        def make(work: Path) -> Path:
            out = work / f"round-{self.number:02d}-{stage}"
            with quiet(), self.watching.steps() as on_step:
                result = train(config.training(method, model, sets, str(out), self.seed(stage)), on_step)
            for warning in result.warnings:
                self.watching.say(f"warning: {warning}")
            return out

        return self._stage(stage, inputs, make)

    def _model(self, stage: str, trained: Path) -> Path:
        """What policies load of it."""

        def make(work: Path) -> Path:
            out = work / stage
            out.mkdir(exist_ok=True)
            named, sha256 = publish_model(trained, out, f"round-{self.number:02d}")
            write_json(out / VERSION, {"name": named.name, "sha256": sha256, "trained": trained.name})
            return out

        return self._stage(stage, {"trained": weights_digest(trained)}, make)

    # ---- what came of it ----

    def _evaluate(self, model: Path, trained: Path) -> Path:
        config = self.config
        presets = tuple(dict.fromkeys(("clean", *config.dev_faults)))
        cells = preset_cells(config.suites, config.templates, presets, "dev")
        parts = [PracticeShare(cell, config.target, config.dev_each) for cell in cells]
        specs = episodes_of(parts, {}, "dev", config.seed, self.number, config.api, config.answers)
        margins = {name: getattr(config, name) for name in ("alpha", "clean_margin", "text_margin", "turns")}
        inputs = {
            **self._policy(config.dev_sampling),
            "candidate": read_json(model / VERSION)["sha256"],
            "plan": plan_print(specs),
            **margins,
        }
        return self._stage("eval", inputs, lambda work: self._compared(specs, model, trained, work))

    def _compared(self, specs: list[EpisodeSpec], model: Path, trained: Path, work: Path) -> Path:
        out = work / "eval"
        out.mkdir(exist_ok=True)
        models = {"current": self._served(), "candidate": self._candidate(model)}
        for name, one in models.items():
            self._roll(specs, one, out / name, dev=True)
        texts = self._texts(trained, out / TEXTS)
        runs = [read_run(out / name, name) for name in models]
        for run in runs:
            check_valid([one.score for one in run.episodes], out / run.name)
        found = judge(runs[0], runs[1], (texts["current"], texts["candidate"]), self.config)
        self._write(found, [one.score for one in runs[1].episodes], out)
        return out

    def _texts(self, trained: Path, path: Path) -> JSON:
        """How well both predict general text, by paragraph."""
        if not path.is_file():
            with quiet():
                losses = {"current": text_losses(self._model_in_use), "candidate": text_losses(str(trained))}
            write_json(path, losses)
        return read_json(path)

    @property
    def _model_in_use(self) -> str:
        """What training goes on from."""
        return str(self.loop / self.start.trained) if self.start.number else self.config.model

    def _candidate(self, model: Path) -> ModelRef:
        return ModelRef.of(self.config.model, model / read_json(model / VERSION)["name"])

    def _write(self, found: Judgement, candidate: list[Score], out: Path) -> None:
        write_json(out / "comparison.json", found.comparison.to_json())
        (out / "comparison.md").write_text(markdown(found.comparison), encoding="utf-8")
        write_json(out / SEEN, seen_record(seen_in(candidate)))
        write_json(out / VERDICT, found.to_record())

    def _decide(self, compared: Path | None, trained: Path | None) -> JSON:
        """Write down what follows."""
        found: JSON = {"promoted": False, "why": self._nothing_learned()}
        candidate: JSON | None = None
        if compared is not None and trained is not None:
            found = read_json(compared / VERDICT)
            version = read_json(self.folder / "model" / VERSION)
            place = self.folder.relative_to(self.loop)
            candidate = {
                "trained": str(place / trained.name),
                "served": str(place / "model" / version["name"]),
                "sha256": version["sha256"],
            }
        decision = {
            "round": self.number,
            "from": self.start.number,
            "to": self.number if found["promoted"] else self.start.number,
            **found,
            "candidate": candidate,
        }
        write_json(self.folder / DECISION, decision)
        return decision

    def _nothing_learned(self) -> str:
        what = "nothing was learned: the rollouts gave no examples"
        if self.config.preference == "none":
            return what
        pairs = read_json(self.folder / "preferences" / COUNTS)
        failed = pairs["rows"] and not pairs["passed"]
        return what + (f", and the pairs failed their audit ({pairs['problems'][0]})" if failed else " and no pairs")


def folder_of(loop: Path, number: int) -> Path:
    """The folder of a round."""
    return loop / "rounds" / f"{number:02d}"
