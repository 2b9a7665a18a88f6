"""The hashes of files that results, loops and checkpoints store are those that version 0.1 stored."""

from hashlib import sha256

import orjson
import pytest

from faultgym.core.errors import UserError
from faultgym.training.builds.shards import parquet_files
from faultgym.training.loop.models import published_hash
from faultgym.training.trainers import checkpoints
from faultgym.training.trainers.models import weights_hash

PARTS = {"model-00001.safetensors": b"one" * 1000, "model-00002.safetensors": b"two"}


@pytest.fixture
def folder(tmp_path):
    """A model's folder: two files of weights, and one that is none."""
    for name, content in {**PARTS, "config.json": b"{}"}.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def test_a_models_hash_is_over_names_with_newlines_and_contents(folder):
    expected = sha256(b"".join(name.encode() + b"\n" + content for name, content in PARTS.items()))
    assert weights_hash(str(folder)) == expected.hexdigest()


def test_a_published_models_hash_is_over_names_and_contents(folder):
    expected = sha256(b"".join(name.encode() + content for name, content in PARTS.items()))
    assert published_hash(folder) == expected.hexdigest()


def test_a_checkpoints_seal_holds_each_files_hash_and_shows_a_changed_one(folder):
    checkpoints.seal(folder, 1.0)
    record = orjson.loads((folder / checkpoints.SEAL).read_bytes())
    assert record["model-00002.safetensors"] == sha256(b"two").hexdigest()
    checkpoints.check(folder)
    (folder / "model-00002.safetensors").write_bytes(b"three")
    with pytest.raises(UserError, match=r"model-00002\.safetensors is not what was written"):
        checkpoints.check(folder)


def test_the_files_of_a_data_set_are_found_in_its_folder_and_in_data(tmp_path):
    (tmp_path / "data").mkdir()
    for name in ("data/b.parquet", "data/a.parquet", "z.parquet", "notes.txt"):
        (tmp_path / name).touch()
    found = [path.relative_to(tmp_path).as_posix() for path in parquet_files(tmp_path)]
    assert found == ["data/a.parquet", "data/b.parquet", "z.parquet"]
