"""`faultgym import` and `faultgym export` as a person uses them."""

import json

import pytest

from faultgym.agents.imports.imported import ImportedChat
from faultgym.agents.storage.store import RunDirectory
from faultgym.agents.traces.schema import SCHEMA_VERSION
from faultgym.cli.main import main

CHAT = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]}


@pytest.fixture
def faultgym(capsys):
    """Runs a command line; gives (exit code, stdout, stderr)."""

    def run(*args):
        code = main([str(a) for a in args])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def run(faultgym, tmp_path):
    """A small run's folder."""
    plan = ("--template", "order_status", "--template", "cancel_order", "--per-template", "2", "--faults", "rough")
    assert faultgym("rollout", *plan, "--out", tmp_path / "run")[0] == 0
    return tmp_path / "run"


@pytest.mark.parametrize("format", ["openai", "otel"])
def test_an_exported_run_is_imported_verified_and_replayed(faultgym, run, tmp_path, format):
    log, out = tmp_path / "log.jsonl", tmp_path / "imported"
    assert faultgym("export", run, "--out", log, "--format", format) == (0, f"4 traces in {log}\n", "")
    code, said, _ = faultgym("import", log, "--out", out)
    assert code == 0
    assert said == f"4 chats, 4 verified by re-execution; in {out}\nnext: faultgym score {out / 'verified'}\n"
    assert faultgym("replay", out / "verified") == (0, "4 proven, 0 not\n", "")
    stored = [ImportedChat.from_record(record) for record in RunDirectory.open(out).records()]
    assert {chat.trace for chat in stored} == RunDirectory.open(out / "verified").committed()


def test_importing_again_adds_only_what_is_new(faultgym, run, tmp_path):
    log, out = tmp_path / "log.jsonl", tmp_path / "imported"
    faultgym("export", run, "--out", log, "--format", "openai")
    faultgym("import", log, "--out", out)
    (tmp_path / "more.json").write_text(json.dumps([CHAT, CHAT]))
    code, said, _ = faultgym("import", log, tmp_path / "more.json", "--out", out)
    assert (code, said) == (0, f"1 chats, 0 verified by re-execution, 1 without a task, 5 known already; in {out}\n")
    assert len(list(RunDirectory.open(out).records())) == 5
    assert faultgym("replay", out / "verified")[0] == 0


def test_bad_records_are_named_with_their_lines_and_the_others_are_taken(faultgym, tmp_path):
    logs, out = tmp_path / "logs", tmp_path / "imported"
    logs.mkdir()
    (logs / "a.jsonl").write_text('{"messages": []}\n' + json.dumps(CHAT) + '\n{"a\x1b": 1\n')
    (logs / "b.json").write_bytes(b"\0\1\2")
    (logs / "ignored.txt").write_text("x")
    code, said, err = faultgym("import", logs, "--out", out)
    assert code == 2  # b.json gave nothing
    assert said == f"1 chats, 0 verified by re-execution, 1 without a task, 3 refused; in {out}\n"
    lines = err.splitlines()
    assert [line.split(": ")[1] for line in lines] == [f"{logs / 'a.jsonl'}:{n}" for n in (1, 3)] + [
        f"{logs / 'b.json'}:1"
    ]
    assert all(line.startswith("refused: ") for line in lines)
    assert "\x1b" not in err
    kept = [json.loads(line) for line in (out / "refused.jsonl").read_text().splitlines()]
    assert [(each["line"], bool(each["reason"])) for each in kept] == [(1, True), (3, True), (1, True)]


def test_a_chat_that_came_out_otherwise_is_named_with_the_first_difference(faultgym, run, tmp_path):
    log, out = tmp_path / "log.jsonl", tmp_path / "imported"
    faultgym("export", run, "--out", log, "--format", "openai")
    lines = log.read_text().splitlines()
    chat = json.loads(lines[1])
    result = next(message for message in chat["messages"] if message["role"] == "tool")
    result["content"] = "something else"
    log.write_text("\n".join([lines[0], json.dumps(chat)]))
    code, said, err = faultgym("import", log, "--out", out)
    assert code == 0
    assert said.startswith(f"2 chats, 1 verified by re-execution, 1 came out otherwise; in {out}\n")
    assert err.startswith(f"unproven: {log}:2: ")
    assert "something else" in err


def test_a_refusal_beside_a_chat_of_the_same_file_is_exit_code_1(faultgym, tmp_path):
    (tmp_path / "log.jsonl").write_text('{"messages": []}\n' + json.dumps(CHAT))
    assert faultgym("import", tmp_path / "log.jsonl", "--out", tmp_path / "out")[0] == 1


@pytest.mark.parametrize("text", ['{"resourceSpans": []}', '{"resourceLogs": []}', "[]", '{"traces": [{"id": 1}]}'])
def test_a_file_that_gives_no_chat_is_exit_code_2_and_says_what_was_seen(faultgym, tmp_path, text):
    (tmp_path / "log.json").write_text(text)
    (tmp_path / "good.json").write_text(json.dumps(CHAT))
    code, said, err = faultgym("import", tmp_path / "log.json", tmp_path / "good.json", "--out", tmp_path / "out")
    assert (code, said.split(";")[0]) == (2, "1 chats, 0 verified by re-execution, 1 without a task, 1 refused")
    assert err.startswith(f"refused: {tmp_path / 'log.json'}:1: no chat")
    assert next(iter(json.loads(text) or ["an empty list"])) in err


def test_a_refusal_is_kept_once_however_often_its_file_is_imported(faultgym, tmp_path):
    log, out = tmp_path / "log.jsonl", tmp_path / "out"
    for text in ('{"a": 1}\n', '{"a": 1}\n[]\n'):
        log.write_text(text)
        code, said, _ = faultgym("import", log, log, "--out", out)
        assert (code, said.split(", ")[-1]) == (2, f"{2 * len(text.splitlines())} refused; in {out}\n")
    kept = [json.loads(line)["line"] for line in (out / "refused.jsonl").read_text().splitlines()]
    assert kept == [1, 2]


def test_a_refusal_that_a_crash_cut_short_is_written_anew(faultgym, tmp_path):
    log, out = tmp_path / "log.jsonl", tmp_path / "out"
    log.write_text('{"a": 1}\n[]\n')
    faultgym("import", log, "--out", out)
    whole = (out / "refused.jsonl").read_bytes()
    for cut in (1, len(whole) // 2 + 1, len(whole) - 1):
        (out / "refused.jsonl").write_bytes(whole[:cut])
        faultgym("import", log, "--out", out)
        assert (out / "refused.jsonl").read_bytes() == whole


def test_many_refusals_are_counted_not_printed(faultgym, tmp_path):
    (tmp_path / "log.jsonl").write_text('{"a": 1}\n' * 1000)
    code, _, err = faultgym("import", tmp_path / "log.jsonl", "--out", tmp_path / "out")
    assert code == 2
    assert len(err.splitlines()) == 21
    assert f"and 980 more refused: {tmp_path / 'out' / 'refused.jsonl'}" in err


def test_imported_chats_are_no_traces_to_any_verb(faultgym, tmp_path):
    (tmp_path / "log.json").write_text(json.dumps([CHAT]))
    faultgym("import", tmp_path / "log.json", "--out", tmp_path / "out")
    assert faultgym("replay", tmp_path / "out")[0] == 2
    for verb in ("replay", "score"):
        assert "an imported chat, which nothing proves" in faultgym(verb, tmp_path / "out")[2]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("gone.jsonl",), "gone.jsonl does not exist"),
        ((".",), "holds no file that ends in .json, .jsonl, .ndjson"),
        (("log.json", "--format", "xml"), "xml"),
        (("log.json", "--out", "log.json"), "log.json"),
    ],
)
def test_wrong_input_is_exit_code_2_and_says_what_to_do(faultgym, tmp_path, monkeypatch, args, words):
    monkeypatch.chdir(tmp_path)
    if "log.json" in args:
        (tmp_path / "log.json").write_text("[]")
    code, _, err = faultgym("import", *args)
    assert code == 2
    assert words in err
    assert not (tmp_path / "runs").exists()


def test_a_run_of_another_kind_is_not_added_to(faultgym, run, tmp_path):
    (tmp_path / "log.json").write_text(json.dumps(CHAT))
    code, _, err = faultgym("import", tmp_path / "log.json", "--out", run)
    assert code == 2
    assert (
        f"a run of the kind 'rollout', version {SCHEMA_VERSION}, not 'imported', version 1; choose another folder"
        in err
    )
