"""A module that is missing is told as the extra that brings it, whole, whichever verb missed it."""

import sys

import pytest

from faultgym.cli.main import main
from faultgym.cli.support.extras import missing_module


@pytest.fixture
def without(monkeypatch):
    """Makes modules missing: importing one fails as where it was never installed."""

    class Refuse:
        def __init__(self, names):
            self.names = names

        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] in self.names:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    def hide(*names):
        for module in [m for m in sys.modules if m.partition(".")[0] in names]:
            monkeypatch.delitem(sys.modules, module)
        monkeypatch.setattr(sys, "meta_path", [Refuse(names), *sys.meta_path])

    return hide


@pytest.mark.parametrize(
    ("module", "verb", "says"),
    [
        ("torch.nn", "train", "the extras 'data' and 'train'"),
        ("sklearn", "loop", "the extras 'data' and 'train'"),
        ("datasets", "train", "the extras 'data' and 'train'"),
        ("pyarrow.parquet", "build", "the extra 'data'"),
        ("torch", "rollout", "the extra 'train'"),
        ("tokenizers", "rollout", "the extra 'train'"),
        ("huggingface_hub", "train", "the extras 'data' and 'train'"),
        ("scipy.sparse", "build", "the extra 'data'"),
    ],
)
def test_all_that_a_verb_needs_is_named_at_once(module, verb, says):
    said = missing_module(module, verb)
    assert said.startswith(f"faultgym {verb} needs {says}: ")
    assert said.count("faultgym[") == 1


def test_a_model_policy_without_its_libraries_names_the_extra(without, tmp_path, capsys):
    without("torch", "transformers")
    assert main(["rollout", "--policy", "hf:smollm2", "--out", str(tmp_path / "run")]) == 2
    assert "faultgym rollout needs the extra 'train': " in capsys.readouterr().err


def test_a_cluster_without_ray_names_the_extra(without, tmp_path, capsys):
    without("ray")
    assert main(["rollout", "--engine", "ray", "--per-template", "1", "--out", str(tmp_path / "run")]) == 2
    assert "faultgym rollout needs the extra 'ray': " in capsys.readouterr().err
