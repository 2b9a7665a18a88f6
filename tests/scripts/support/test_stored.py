"""Episodes by the beginnings of their ids."""

import pytest

from faultgym.agents.storage.store import RunDirectory
from faultgym.cli.main import main
from faultgym.cli.support.stored import one_trace
from faultgym.core.errors import UserError


@pytest.fixture(scope="module")
def twins(tmp_path_factory):
    """A run in which several ids begin alike, and one is the beginning of another."""
    run = tmp_path_factory.mktemp("runs") / "run"
    asked = ["--template", "order_status", "--per-template", "3", "--faults", "clean", "--out", str(run)]
    assert main(["rollout", *asked]) == 0
    records = list(RunDirectory.open(run).records())
    named = RunDirectory.create(run.parent / "named", {})
    with named.lock(), named.writer("w") as writer:
        for record, name in zip(records, ("7a", "7ab1", "8c"), strict=True):
            writer.append({**record, "episode_id": name})
    return run.parent / "named"


def test_the_beginning_of_one_id_is_enough(twins):
    assert one_trace(twins, "8").episode_id == "8c"


def test_a_whole_id_is_taken_though_others_begin_with_it(twins):
    assert one_trace(twins, "7a").episode_id == "7a"


def test_a_beginning_that_fits_several_is_refused_and_they_are_listed(twins, capsys):
    with pytest.raises(UserError, match=r"2 episodes of .* begin with '7': give more of one's id: 7a, 7ab1"):
        one_trace(twins, "7")
    assert main(["show", str(twins), "7"]) == 2
    assert "7ab1" in capsys.readouterr().err
