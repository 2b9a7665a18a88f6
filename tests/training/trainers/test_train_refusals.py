"""What cannot be trained is said in one message, and what was there stays as it was."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import lessons
from helpers.levels import rest

from faultgym.core.errors import UserError
from faultgym.training.builds.shards import write_shards
from faultgym.training.builds.work import work_folder
from faultgym.training.trainers import quiet
from faultgym.training.trainers.run import job_of, train

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A model, another one, and a data set of each form."""
    folder = tmp_path_factory.mktemp("place")
    lessons.write_model(folder / "model")
    lessons.write_model(folder / "other", hidden=32)
    for form in ("messages", "turns", "pairs", "labels"):
        lessons.write_set(folder / form, form)
    with quiet():
        yield folder


def refused(said, asked):
    """The run is refused in these words, and leaves nothing beside what was there."""
    out = Path(asked.out)
    before = sorted(out.parent.iterdir())
    with pytest.raises(UserError) as error:
        train(asked)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert sorted(out.parent.iterdir()) == before


@pytest.mark.parametrize(
    ("method", "form", "said"),
    [
        ("dpo", "messages", "holds messages, which is for sft: dpo learns from pairs (`faultgym build pairs`)"),
        ("sft", "pairs", "holds pairs, which is for dpo and orpo: sft learns from messages or turns"),
        ("kto", "pairs", "kto learns from labels (`faultgym build kto`)"),
        ("orpo", "labels", "holds labels, which is for kto: orpo learns from pairs"),
    ],
)
def test_data_of_another_form(method, form, said, place, tmp_path):
    refused(said, lessons.config(place, tmp_path / "out", method, data=[place / form]))


def test_rendered_text_is_refused_because_nobody_knows_who_wrote_what(place, tmp_path):
    (tmp_path / "texts").mkdir()
    (row,) = lessons.rows("messages", 1)
    del row["messages"], row["tools"]
    write_shards([{"text": "x", **row}], "text", tmp_path / "texts")
    refused("do not say who wrote what", lessons.config(place, tmp_path / "out", data=[tmp_path / "texts"]))
    (tmp_path / "rendered").mkdir()
    (pair,) = lessons.rows("pairs", 1)
    del pair["tools"]
    write_shards([pair | dict.fromkeys(("prompt", "chosen", "rejected"), "x")], "rendered", tmp_path / "rendered")
    refused("holds rendered", lessons.config(place, tmp_path / "out", "orpo", data=[tmp_path / "rendered"]))


def test_data_from_elsewhere_needs_no_tools(place, tmp_path):
    from datasets import Dataset, Features, Json, List

    messages = [{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}] * 2
    (tmp_path / "set").mkdir()
    rows = Dataset.from_list(messages, features=Features({"messages": List(Json())}))
    rows.to_parquet(tmp_path / "set" / "rows.parquet")
    assert job_of(lessons.config(place, tmp_path / "out", data=[tmp_path / "set"])).prepared.learned


def test_no_data(place, tmp_path):
    refused("is no folder", lessons.config(place, tmp_path / "out", data=[tmp_path / "nowhere"]))
    (tmp_path / "empty").mkdir()
    refused("holds no data/*.parquet", lessons.config(place, tmp_path / "out", data=[tmp_path / "empty"]))
    lessons.write_set(tmp_path / "none", "messages", 0)
    refused("there are no rows", lessons.config(place, tmp_path / "out", data=[tmp_path / "none"]))
    refused(
        "one run takes one form", lessons.config(place, tmp_path / "out", data=[place / "messages", place / "turns"])
    )


def audited(folder, passed):
    """What `faultgym build pairs` writes beside the files."""
    from hashlib import sha256

    files = [
        {"name": path.relative_to(folder).as_posix(), "sha256": sha256(path.read_bytes()).hexdigest()}
        for path in folder.glob("data/*.parquet")
    ]
    problems = [] if passed else ["length pairwise new tasks: AUC 0.90 [0.85, 0.95] is above 0.6"]
    report = {"audit": {"passed": passed, "problems": problems}}
    (folder / "build.json").write_text(json.dumps({"files": files, "report": report}))
    return folder


def test_data_that_failed_its_audit_unless_told_otherwise(place, tmp_path):
    folder = audited(lessons.write_set(tmp_path / "set", "pairs"), passed=False)
    refused("failed its balance audit: length pairwise", lessons.config(place, tmp_path / "out", "dpo", data=[folder]))
    assert len(job_of(lessons.config(place, tmp_path / "out", "dpo", data=[folder], unaudited=True)).prepared.rows) == 6
    audited(folder, passed=True)
    assert len(job_of(lessons.config(place, tmp_path / "out", "dpo", data=[folder])).prepared.rows) == 6


def test_data_that_is_not_what_was_built(place, tmp_path):
    folder = audited(lessons.write_set(tmp_path / "set", "messages"), passed=True)
    (file,) = folder.glob("data/*.parquet")
    file.write_bytes(file.read_bytes()[:-7])
    refused("is not what was built", lessons.config(place, tmp_path / "out", data=[folder]))
    (folder / "build.json").unlink()
    refused("cannot be read", lessons.config(place, tmp_path / "out", data=[folder]))


@pytest.mark.parametrize("method", ["sft", "dpo", rest("orpo"), rest("kto")])
def test_rows_that_are_too_long_are_counted_and_never_cut(method, place, tmp_path):
    lengths = sorted(job_of(lessons.config(place, tmp_path / "out", method)).prepared.lengths)
    limit = lengths[-1] - 1
    beyond = sum(length > limit for length in lengths)
    asked = lessons.config(place, tmp_path / "out", method, max_length=limit)
    refused(f"{beyond} of 6 rows have more tokens than max_length={limit} (the longest {lengths[-1]})", asked)
    job = job_of(lessons.config(place, tmp_path / "out", method, max_length=limit, too_long="drop"))
    assert len(job.prepared.rows) <= 6 - beyond
    assert job.warnings()[0] == f"{beyond} rows were left out: they are too long"
    assert max(job.prepared.lengths) <= limit


def test_no_gpu_where_one_is_asked_for(place, tmp_path):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    refused("PyTorch sees no GPU", lessons.config(place, tmp_path / "out", device="cuda"))


def test_more_memory_than_there_is(place, tmp_path):
    asked = lessons.config(place, tmp_path / "out", batch_size=10**8)
    refused("MiB are free: lower batch_size", asked)


def test_no_model(place, tmp_path):
    refused("there is no model folder", lessons.config(place, tmp_path / "out", model=tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    refused("no model can be loaded", lessons.config(place, tmp_path / "out", model=tmp_path / "empty"))
    shutil.copytree(place / "model", tmp_path / "torn")
    file = tmp_path / "torn" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    refused("no model can be loaded", lessons.config(place, tmp_path / "out", model=tmp_path / "torn"))


def test_a_template_that_marks_nothing(place, tmp_path):
    shutil.copytree(place / "model", tmp_path / "model")
    (tmp_path / "model" / "chat_template.jinja").write_text("{% for m in messages %}{{ m.content }}{% endfor %}")
    asked = lessons.config(place, tmp_path / "out", model=tmp_path / "model")
    refused("does not mark what the assistant writes: name one for training with --template", asked)
    named = lessons.config(place, tmp_path / "out", model=tmp_path / "model", template="chatml")
    assert job_of(named).prepared.learned


def test_an_adapter_of_another_base_or_kind(place, tmp_path):
    first = tmp_path / "first"
    train(lessons.config(place, first, adapter="lora"))
    more = {"init_adapter": first, "model": place / "other"}
    refused("is an adapter of", lessons.config(place, tmp_path / "out", **more))
    refused(
        "is trained with --adapter lora or qlora, not dora",
        lessons.config(place, tmp_path / "out", adapter="dora", model=first),
    )
    refused("with adapter='none' train its base", lessons.config(place, tmp_path / "out", adapter="none", model=first))
    (first / "training.json").unlink()  # as from elsewhere: nothing tells but the shapes
    refused("does not fit this model", lessons.config(place, tmp_path / "out", **more))
    assert lessons.weights(first)


def test_a_loss_that_is_no_number(place, tmp_path):
    import torch
    from transformers import AutoModelForCausalLM

    shutil.copytree(place / "model", tmp_path / "model")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    with torch.no_grad():
        model.model.norm.weight[0] = torch.nan  # in every logit, and so in the loss
    model.save_pretrained(tmp_path / "model")
    refused("at step 1 ", lessons.config(place, tmp_path / "out", adapter="none", model=tmp_path / "model"))


def test_dora_on_rows_of_zeros_is_explained(place, tmp_path):
    import torch
    from transformers import AutoModelForCausalLM

    shutil.copytree(place / "model", tmp_path / "model")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    with torch.no_grad():
        model.model.layers[0].self_attn.q_proj.weight[3].zero_()
    model.save_pretrained(tmp_path / "model")
    asked = lessons.config(place, tmp_path / "out", adapter="dora", model=tmp_path / "model")
    refused("q_proj has rows of zeros: use lora", asked)


def test_a_folder_that_holds_something_is_left_alone(place, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    refused("is there already", lessons.config(place, tmp_path / "out"))
    assert (tmp_path / "out" / "thesis.txt").read_text() == "years of work"


def test_a_full_disk_keeps_the_checkpoints_before(place, tmp_path):
    """Files may not grow beyond a limit here, which writers are told in the same ways as of a full disk."""
    from dataclasses import replace

    asked = lessons.config(place, tmp_path / "out", save_steps=1)
    sizes = sorted(file.stat().st_size for file in (place / "model").iterdir())
    child = subprocess.run(
        [sys.executable, "-c", lessons.LIMITED, json.dumps(asked.to_record()), str(sizes[-1] // 4)],
        env=dict(os.environ),
        capture_output=True,
        text=True,
    )
    assert "is full, or a file may not grow so large" in child.stdout, child.stdout + child.stderr[-3000:]
    assert not (tmp_path / "out").exists()
    shutil.rmtree(work_folder(tmp_path / "out"), ignore_errors=True)
    train(replace(asked, max_steps=1))


def test_two_processes_do_not_train_in_one_place(place, tmp_path):
    asked = lessons.config(place, tmp_path / "out")

    def meanwhile(step):
        code = "import fcntl, sys; fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX | fcntl.LOCK_NB)"
        lock = str(work_folder(tmp_path / "out") / "lock")
        taken.append(subprocess.run([sys.executable, "-c", code, lock], capture_output=True).returncode)

    taken: list[int] = []
    train(asked, meanwhile)
    assert taken == [1, 1]
