"""What a loop writes down: stages that are whole or not there, a registry that follows from decisions, settings."""

import orjson
import pytest
import torch

from faultgym.agents.storage.store import exclusive
from faultgym.core.errors import UserError
from faultgym.training.loop.config import LoopConfig
from faultgym.training.loop.models import check_model
from faultgym.training.loop.registry import decided_after, note_rollback, read_registry, write_registry
from faultgym.training.loop.run import opened, rollback, run_loop, status
from faultgym.training.loop.stage import SEAL, RoundStage, damage, digest, weights_digest

INPUTS = {"model": {"name": "m"}, "seed": 1}


def make(work):
    """A stage of two files."""
    out = work / "out"
    (out / "deep").mkdir(parents=True, exist_ok=True)
    (out / "a.json").write_text("{}")
    (out / "deep" / "b").write_bytes(b"x" * 100)
    return out


def refuse(work):
    raise AssertionError("made again")


@pytest.fixture
def said():
    return []


@pytest.fixture
def stage(tmp_path, said):
    return RoundStage(tmp_path, "rollout", INPUTS, said.append)


# ---- stages ---------------------------------------------------------------------------------------


def test_a_finished_stage_is_skipped_and_its_work_folder_is_gone(stage):
    folder = stage.run(make)
    before = digest(folder)
    assert stage.run(refuse) == folder
    assert digest(folder) == before
    assert not stage.work.exists()


def test_a_stage_of_other_inputs_is_refused_with_the_difference_and_left_as_it_is(stage, tmp_path):
    before = digest(stage.run(make))
    other = RoundStage(tmp_path, "rollout", {**INPUTS, "seed": 2}, print)
    with pytest.raises(UserError, match="seed was 1, and is now 2"):
        other.run(refuse)
    assert digest(stage.folder) == before


def test_what_a_killed_process_left_half_written_is_no_part_of_a_stage(stage):
    def left_behind(work):
        out = make(work)
        (out / f".{SEAL}.tmp").write_text('{"stage"')
        return out

    stage.run(left_behind)
    assert not damage(stage.folder)
    assert stage.run(refuse) == stage.folder


@pytest.mark.parametrize("harm", ["missing", "short", "changed", "no seal", "torn seal", "a file"])
def test_a_damaged_stage_is_set_aside_and_made_again(stage, said, tmp_path, harm):
    folder = stage.run(make)
    whole = digest(folder)
    b = folder / "deep" / "b"
    if harm == "missing":
        b.unlink()
    elif harm == "short":
        b.write_bytes(b"x" * 99)
    elif harm == "changed":
        b.write_bytes(b"y" * 100)
    elif harm == "no seal":
        (folder / SEAL).unlink()
    elif harm == "torn seal":
        (folder / SEAL).write_bytes((folder / SEAL).read_bytes()[:30])
    else:
        folder.rename(tmp_path / "moved")
        folder.write_text("?")
    assert damage(folder)
    stage.run(make)
    assert digest(folder) == whole
    assert (tmp_path / "rollout.damaged-1").exists()
    assert any("is damaged" in line for line in said)


def test_work_that_was_stopped_is_gone_on_with_and_work_of_other_inputs_is_not(stage, tmp_path):
    def stopped(work):
        (work / "half").write_text("half")
        raise KeyboardInterrupt

    def seen(work):
        kept.append((work / "half").exists())
        return make(work)

    kept = []
    with pytest.raises(KeyboardInterrupt):
        stage.run(stopped)
    assert not stage.folder.exists()
    with pytest.raises(KeyboardInterrupt):
        RoundStage(tmp_path, "rollout", {"other": 1}, print).run(stopped)
    stage.run(seen)
    assert kept == [False]
    other = RoundStage(tmp_path, "score", INPUTS, print)
    with pytest.raises(KeyboardInterrupt):
        other.run(stopped)
    other.run(seen)
    assert kept == [False, True]


def test_a_full_disk_gives_one_message_and_leaves_what_was_there(stage, tmp_path):
    import resource

    def large(work):
        out = make(work)
        (out / "large").write_bytes(b"x" * 5_000_000)
        return out

    before = digest(stage.run(make))
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, old[1]))
    try:
        with pytest.raises(UserError, match="full"):
            RoundStage(tmp_path, "data", INPUTS, print).run(large)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert digest(stage.folder) == before
    assert not (tmp_path / "data").exists()
    RoundStage(tmp_path, "data", INPUTS, print).run(large)


# ---- registry -------------------------------------------------------------------------------------


def decide(folder, number, start, promoted):
    """A round's decision as it is written down."""
    place = folder / "rounds" / f"{number:02d}"
    place.mkdir(parents=True)
    made = {"trained": f"rounds/{number:02d}/pref", "served": f"rounds/{number:02d}/model/m", "sha256": "f" * 64}
    decision = {
        "round": number,
        "promoted": promoted,
        "from": start,
        "to": number if promoted else start,
        "why": "so",
        "candidate": made,
    }
    (place / "decision.json").write_bytes(orjson.dumps(decision))


def test_the_registry_follows_from_decisions_and_rollbacks(tmp_path):
    decide(tmp_path, 1, 0, True)
    decide(tmp_path, 2, 1, False)
    decide(tmp_path, 3, 1, True)
    found = read_registry(tmp_path, "smollm2")
    assert (found.current, found.lineage(3)) == (3, [3, 1, 0])
    note_rollback(tmp_path, found, 1)
    note_rollback(tmp_path, found, 0)
    note_rollback(tmp_path, found, 1)
    found = read_registry(tmp_path, "smollm2")
    assert (found.current, found.rounds) == (1, 3)
    decide(tmp_path, 4, 1, True)
    found = read_registry(tmp_path, "smollm2")
    assert found.lineage(found.current) == [4, 1, 0]
    assert read_registry(tmp_path, "smollm2", until=2).current == 1
    assert [line.partition(":")[0] for line in found.describe()][2:] == [
        *("round 1", "round 2", "round 3"),
        *["after round 3"] * 3,
        "round 4",
    ]


def test_a_torn_registry_is_made_again(tmp_path):
    decide(tmp_path, 1, 0, True)
    found = read_registry(tmp_path, "smollm2")
    assert write_registry(tmp_path, found)
    whole = (tmp_path / "registry.json").read_bytes()
    assert not write_registry(tmp_path, found)
    for torn in (whole[:40], b"", b"\0" * len(whole)):
        (tmp_path / "registry.json").write_bytes(torn)
        assert write_registry(tmp_path, read_registry(tmp_path, "smollm2"))
        assert (tmp_path / "registry.json").read_bytes() == whole


def test_a_missing_decision_of_an_earlier_round_hides_the_later_ones_until_it_is_made_again(tmp_path):
    for number, start in ((1, 0), (2, 1), (3, 2)):
        decide(tmp_path, number, start, True)
    whole = read_registry(tmp_path, "m")
    path = tmp_path / "rounds" / "01" / "decision.json"
    content = path.read_bytes()
    path.unlink()
    assert (read_registry(tmp_path, "m").current, decided_after(tmp_path, 1)) == (0, 2)
    path.write_bytes(content)
    assert read_registry(tmp_path, "m") == whole


def test_nothing_is_rolled_back_while_a_decision_is_missing(tmp_path):
    loop = tmp_path / "loop"
    begun(loop, rounds=3)
    for number, start in ((1, 0), (2, 1), (3, 2)):
        decide(loop, number, start, True)
    (loop / "rounds" / "02" / "decision.json").unlink()
    with pytest.raises(UserError, match="round 2 has no decision, and round 3 has one"):
        rollback(loop, 0)
    assert (loop / "rounds" / "03" / "decision.json").is_file()


def test_a_version_that_never_was_is_refused_with_those_that_are(tmp_path):
    decide(tmp_path, 1, 0, False)
    with pytest.raises(UserError, match="no version 1: this loop has the versions 0"):
        note_rollback(tmp_path, read_registry(tmp_path, "m"), 1)


# ---- the loop's folder ----------------------------------------------------------------------------


def begun(folder, **more):
    """A loop that has been asked for, with its settings."""
    asked = LoopConfig.of({"model": "smollm2", **more})
    folder.mkdir()
    (folder / "loop.json").write_bytes(
        orjson.dumps({"config": asked.to_record(), "base": {"name": "smollm2", "version": 1}})
    )
    return asked


def test_what_a_loop_was_asked_for_is_read_back_as_it_was(tmp_path):
    asked = begun(tmp_path / "loop", sft={"learning_rate": "1e-3"}, templates="order_status,cancel_order", rounds="3")
    assert opened(tmp_path / "loop").config == asked
    assert asked.templates == ("order_status", "cancel_order")


def test_a_second_process_gets_a_clear_message(tmp_path):
    asked = begun(tmp_path / "loop")
    with (
        exclusive(tmp_path / "loop"),
        pytest.raises(UserError, match=r"loop is in use by process \d+ on .*; wait until it ends"),
    ):
        run_loop(tmp_path / "loop", asked, resume=True)


def test_a_changed_setting_is_refused_at_resumption_and_named(tmp_path):
    begun(tmp_path / "loop", sft={"max_steps": 5})
    for more, said in (
        ({"episodes": 300, "sft": {"max_steps": 5}}, "episodes was 400, and is now 300"),
        ({"samples": 2, "sft": {"max_steps": 6}}, "samples was 4, and is now 2"),
    ):
        with pytest.raises(UserError, match=said):
            run_loop(tmp_path / "loop", LoopConfig.of({"model": "smollm2", **more}), resume=True)


def test_a_model_that_has_changed_since_is_refused_at_resumption(tmp_path):
    asked = begun(tmp_path / "loop")
    record = orjson.loads((tmp_path / "loop" / "loop.json").read_bytes())
    record["base"]["version"] = 7
    (tmp_path / "loop" / "loop.json").write_bytes(orjson.dumps(record))
    with pytest.raises(UserError, match=r"smollm2 is another one than .* was begun with"):
        run_loop(tmp_path / "loop", asked, resume=True)


def test_a_folder_that_holds_anything_else_is_refused(tmp_path):
    asked = begun(tmp_path / "loop")
    with pytest.raises(UserError, match="holds a loop already: go on with --resume"):
        run_loop(tmp_path / "loop", asked)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("mine")
    with pytest.raises(UserError, match=r"is not empty: it holds thesis\.tex"):
        run_loop(tmp_path / "other", asked)
    with pytest.raises(UserError, match=r"no loop in .* to resume"):
        run_loop(tmp_path / "other", asked, resume=True)
    (tmp_path / "loop" / "loop.json").write_text('{"config"')
    with pytest.raises(UserError, match=r"loop\.json is damaged"):
        status(tmp_path / "loop")


def test_a_rollback_sets_a_round_that_was_under_way_aside(tmp_path):
    loop = tmp_path / "loop"
    begun(loop, rounds=3)
    decide(loop, 1, 0, True)
    (loop / "rounds" / "02" / "rollout").mkdir(parents=True)
    assert rollback(loop, 0).current == 0
    assert [path.name for path in sorted((loop / "rounds").iterdir())] == ["01", "02.abandoned-1"]
    assert orjson.loads((loop / "registry.json").read_bytes())["current"] == 0
    with pytest.raises(UserError, match="version 0 is in use already"):
        rollback(loop, 0)
    assert status(loop).version(1).parent == 0


# ---- settings -------------------------------------------------------------------------------------


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("section", ["sft", "pref"])
def test_a_missing_gpu_is_said_before_anything_is_rolled_out(section):
    with pytest.raises(UserError, match="PyTorch sees no GPU"):
        check_model(LoopConfig.of({"model": "m", section: {"device": "cuda"}}))


def test_how_long_training_took_makes_no_difference_to_what_follows(tmp_path):
    def trained(seconds):
        def make(work):
            (work / "sft").mkdir()
            (work / "sft" / "model.safetensors").write_bytes(b"weights")
            (work / "sft" / "training.json").write_text(str(seconds))
            return work / "sft"

        return RoundStage(tmp_path / str(seconds), "sft", {}, lambda line: None).run(make)

    one, two = trained(1), trained(2)
    assert digest(one) != digest(two)
    assert weights_digest(one) == weights_digest(two)
