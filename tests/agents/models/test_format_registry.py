"""Text formats that other packages add."""

import pytest

from faultgym.agents.models.formats import FORMATS, Format, check_format
from faultgym.agents.models.sampling import PromptOptions, filled
from faultgym.core.errors import UserError
from faultgym.envs.messages.hermes import format_hermes, parse_hermes
from faultgym.envs.messages.turn import Turn


@pytest.mark.parametrize("name", FORMATS)
def test_the_built_in_formats_conform(name):
    check_format(name, FORMATS[name])


def test_a_format_that_is_registered_can_be_asked_for():
    FORMATS.register("mine", Format("mine", parse_hermes, format_hermes))
    try:
        assert filled(PromptOptions, {"format": "mine"}).format == "mine"
    finally:
        FORMATS.unregister("mine")
    with pytest.raises(UserError, match="format"):
        filled(PromptOptions, {"format": "mine"})


def strict(text):
    if not text:
        raise ValueError("nothing there")
    return parse_hermes(text)


def whole_or_nothing(text):
    return None if "<tool_call>\n" in text and "</tool_call>" not in text else parse_hermes(text)


@pytest.mark.parametrize(
    ("format", "words"),
    [
        (parse_hermes, "is a function, not a Format"),
        (Format("f", parse_hermes, lambda turn: turn.text), "is written as .* and read as"),
        (Format("f", parse_hermes, lambda turn: None), "write gave a NoneType, not a str"),
        (Format("f", strict, format_hermes), r"parse raised ValueError \(nothing there\) for ''; it must not raise"),
        (Format("f", lambda text: parse_hermes(text) if text.strip() else None, format_hermes), "has to give a turn"),
        (Format("f", whole_or_nothing, format_hermes), r"parse\('<tool_call>\\n'\) has to give a turn, not None"),
        (Format("f", lambda text: Turn(text), format_hermes), "is written as"),
    ],
)
def test_one_that_does_not_conform_is_refused_with_what_is_wrong(format, words):
    with pytest.raises(UserError, match=words):
        check_format("f", format)
