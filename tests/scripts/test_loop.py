"""`faultgym loop`: what it says of a loop, how it goes back, and what it refuses."""

import orjson
import pytest

from faultgym.cli.main import main
from faultgym.training.loop.config import LoopConfig


@pytest.fixture
def loop(tmp_path):
    """A loop of one promoted and one refused round, as it lies on the disk."""
    folder = tmp_path / "loop"
    for number, promoted in ((1, True), (2, False)):
        place = folder / "rounds" / f"{number:02d}"
        place.mkdir(parents=True)
        made = {"trained": f"rounds/{number:02d}/pref", "served": f"rounds/{number:02d}/model/m", "sha256": "f" * 64}
        decision = {"round": number, "promoted": promoted, "from": number - 1, "to": 1, "why": "it was so"}
        (place / "decision.json").write_bytes(orjson.dumps({**decision, "candidate": made}))
    asked = LoopConfig.of({"model": "smollm2", "rounds": 3}).to_record()
    (folder / "loop.json").write_bytes(orjson.dumps({"config": asked, "base": {"name": "smollm2", "version": 1}}))
    return folder


def test_status_says_what_is_in_use_and_why(loop, capsys):
    assert main(["loop", "status", str(loop)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "in use: version 1 (rounds/01/model/m)",
        "made from: 1 <- 0",
        "round 1: version 1 promoted: it was so",
        "round 2: version 1 kept: it was so",
    ]


def test_a_rollback_is_said_and_kept(loop, capsys):
    assert main(["loop", "rollback", str(loop), "0"]) == 0
    assert capsys.readouterr().out == "in use: version 0 (smollm2)\n"
    main(["loop", "status", str(loop)])
    assert "after round 2: rolled back to version 0" in capsys.readouterr().out
    assert orjson.loads((loop / "registry.json").read_bytes())["current"] == 0


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["status", "nowhere"], "there is no loop in nowhere"),
        (["rollback", "LOOP", "7"], "there is no version 7: this loop has the versions 0, 1"),
        (["run", "--out", "NEW"], "--model is missing"),
        (["run", "--out", "NEW", "--resume"], "there is no loop in"),
        (["run", "--out", "LOOP", "--model", "smollm2"], "holds a loop already: go on with --resume"),
        (["run", "--out", "LOOP", "--resume", "--episodes", "7"], "episodes was 400, and is now 7"),
        (["run", "--out", "NEW", "--model", "m", "--set", "sft.epoch=2"], "sft: unknown setting 'epoch'"),
        (["run", "--out", "NEW", "--model", "m", "--set", "dpo.beta=2"], "the sections are sft and pref"),
        (["run", "--out", "NEW", "--model", "./nothing"], "there is no model folder ./nothing"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(loop, tmp_path, capsys, args, said):
    places = {"LOOP": str(loop), "NEW": str(tmp_path / "new")}
    before = sorted(path.name for path in loop.rglob("*"))
    assert main(["loop", *(places.get(arg, arg) for arg in args)]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert set(before) >= {path.name for path in loop.rglob("*")} - {"lock"}
