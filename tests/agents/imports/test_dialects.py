"""A file's dialect is told by its content; where it is not, the message says what was seen and what to do."""

import json
from types import SimpleNamespace

import pytest

from faultgym.agents.imports.chats import chats, log_files
from faultgym.agents.imports.dialect import Dialect, FileForm, FoundChat, Mark, check_dialect, each_value
from faultgym.agents.imports.imported import ImportedChat
from faultgym.agents.imports.normal import Conversation
from faultgym.agents.imports.reading import BadRecord, LogValue, UnreadableRecord
from faultgym.agents.imports.registry import DIALECTS, dialect_of
from faultgym.core import registry
from faultgym.core.errors import UserError

CHAT = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]}
TOLD = Conversation(tuple(CHAT["messages"]))


def whispered(value):
    if not isinstance(value, dict) or "whisper" not in value:
        raise BadRecord("no whisper")
    return TOLD


WHISPER = Dialect(
    "whispers",
    lambda value: Mark("whisper") if isinstance(value, dict) and "whisper" in value else None,
    each_value(whispered),
)


class AtTheEnd:
    """Keeps what it is given until the file ends."""

    def __init__(self):
        self.lines = []

    def take(self, value):
        self.lines.append(value.line)
        return ()

    def end(self):
        return [FoundChat(line, TOLD) for line in reversed(self.lines)]


def boxes(path):
    yield LogValue(str(path), 1, {"boxed": True})
    yield UnreadableRecord(str(path), 2, "a broken box")


BOX = Dialect(
    "boxes",
    lambda value: None,
    AtTheEnd,
    file=FileForm((".box",), lambda path: path.read_bytes().startswith(b"\0BOX"), boxes),
)


@pytest.fixture
def read(tmp_path):
    def run(*values, format="auto"):
        path = tmp_path / "log.jsonl"
        path.write_text("".join(json.dumps(value) + "\n" for value in values))
        return [
            (f.source.format, f.source.line) if isinstance(f, ImportedChat) else f.reason for f in chats(path, format)
        ]

    return run


def test_the_dialect_of_each_value_is_told_by_its_content(read):
    with DIALECTS.holding("whisper", WHISPER):
        assert read(CHAT, {"whisper": 1}, CHAT) == [("openai", 1), ("whisper", 2), ("openai", 3)]


def test_a_mark_of_its_own_outweighs_one_that_others_have_too(read):
    with DIALECTS.holding("whisper", WHISPER):
        assert read({**CHAT, "whisper": 1}) == [("whisper", 1)]


def test_two_dialects_that_both_fit_are_named_and_a_choice_is_asked_for(read):
    with DIALECTS.holding("whisper", WHISPER), DIALECTS.holding("murmur", WHISPER):
        assert read({"whisper": 1}) == [
            "it may be whisper (by whisper) or murmur (by whisper); say which with --format"
        ]
        assert read({"whisper": 1}, format="murmur") == [("murmur", 1)]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"spans": [], "b": 1}, "no chat of a known dialect: a JSON object with the keys 'spans', 'b'"),
        ({str(n): 1 for n in range(20)}, "'7' and 12 more"),
        ([], "an empty list"),
        ([{"a": 1}, 2], "a list of 2, the first of them a JSON object with the keys 'a'"),
        (7, "no JSON object but 7"),
        ({}, "an empty JSON object"),
    ],
)
def test_what_no_dialect_knows_is_refused_by_what_was_seen(value, words):
    with pytest.raises(BadRecord) as caught:
        dialect_of(value)
    assert words in str(caught.value)


def test_a_reader_may_wait_for_the_end_of_the_file(read):
    with DIALECTS.holding("box", BOX):
        assert read({"a": 1}, {"a": 2}, format="box") == [("box", 2), ("box", 1)]


def test_a_dialect_opens_files_of_its_own_form_and_folders_are_searched_for_them(tmp_path):
    (tmp_path / "a.box").write_bytes(b"\0BOX...")
    (tmp_path / "b.jsonl").write_text(json.dumps(CHAT))
    with DIALECTS.holding("box", BOX):
        files = log_files([tmp_path])
        assert [path.name for path in files] == ["a.box", "b.jsonl"]
        found = list(chats(files[0]))
        assert [str(f) for f in found if isinstance(f, UnreadableRecord)] == [f"{files[0]}:2: a broken box"]
        assert [f.source.format for f in found if isinstance(f, ImportedChat)] == ["box"]


def test_another_package_adds_a_dialect_by_an_entry_point(monkeypatch, read):
    found = SimpleNamespace(load=lambda: WHISPER, name="whisper", value="pkg:WHISPER")
    monkeypatch.setattr(registry, "entry_points", lambda group: [found] if group == "faultgym.dialects" else [])
    monkeypatch.setattr(DIALECTS, "_ready", False)
    monkeypatch.setattr(DIALECTS, "_points", dict(DIALECTS._points))
    try:
        assert read({"whisper": 1}) == [("whisper", 1)]
    finally:
        DIALECTS.unregister("whisper")


@pytest.mark.parametrize(
    ("name", "entry", "words"),
    [
        ("x", 3, "a int is no Dialect"),
        ("auto", WHISPER, "that name means"),
        ("x", Dialect("", lambda value: Mark("all"), each_value(whispered)), "claims a value that says nothing"),
        ("x", Dialect("", lambda value: value["a"], each_value(whispered)), "raises TypeError on None"),
        ("x", Dialect("", lambda value: None, each_value(lambda value: value["a"])), "raises TypeError on None"),
    ],
)
def test_a_dialect_that_does_not_conform_is_refused(name, entry, words):
    with pytest.raises(UserError) as caught:
        check_dialect(name, entry)
    assert words in str(caught.value)


@pytest.mark.parametrize("name", DIALECTS)
def test_every_dialect_conforms_and_says_what_it_reads(name):
    check_dialect(name, DIALECTS[name])
    assert DIALECTS[name].summary


def test_an_unknown_format_is_named_with_the_nearest(read):
    with pytest.raises(UserError, match=r"there is no dialect 'opnai'; did you mean openai\?"):
        read(CHAT, format="opnai")
