"""Arguments of a command, with the placeholders filled in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from service.schemas.study.placeholders import (
    Placeholder,
    command_errors,
    escaped,
    fill,
    leading_words,
    literal,
    parameter_placeholder,
    parse,
)

VALUES: dict[str, JsonValue] = {
    "lr": 0.01,
    "hidden": [64, 32],
    "fast": True,
    "name": "it's\n$(rm -rf /) --help",
    "none": None,
}
FACTS = {"seed": "7", "device": "cpu", "params_json": "/tmp/params.json"}


@pytest.mark.parametrize(
    ("argument", "filled"),
    [
        ("plain", ["plain"]),
        ("--lr={lr}", ["--lr=0.01"]),
        ("{lr}/{hidden}", ["0.01/[64, 32]"]),
        ("{name}", ["it's\n$(rm -rf /) --help"]),
        ("{{lr}}", ["{lr}"]),
        ('{{"lr": {lr}}}', ['{"lr": 0.01}']),
        ("{fast} {none}", ["true null"]),
        ("{flag:fast}", ["--fast"]),
        ("{seed}:{device}", ["7:cpu"]),
        ("{params_json}", ["/tmp/params.json"]),
        ("{gone}", []),
        ("--gone={gone}", []),
        ("", [""]),
    ],
)
def test_an_argument_is_filled_in(argument: str, filled: list[str]) -> None:
    assert fill([argument], VALUES, FACTS) == filled


def test_all_parameters_are_passed_on_in_two_ways() -> None:
    values = {"lr": 0.5, "flag": False}

    assert fill(["a", "{args}", "b"], values, {}) == ["a", "--lr=0.5", "--flag=false", "b"]
    assert fill(["{args_spaced}"], values, {}) == ["--lr", "0.5", "--flag", "false"]


@pytest.mark.parametrize(
    ("value", "is_set"),
    [(True, True), (False, False), ("true", True), ("True", True), ("no", False), (1, True), (0, False), (None, False)],
)
def test_a_flag_is_there_or_not(value: object, is_set: bool) -> None:
    assert fill(["{flag:nesterov}"], {"nesterov": value}, {}) == (["--nesterov"] if is_set else [])  # type: ignore[dict-item]


def test_a_parameter_may_be_called_like_a_placeholder() -> None:
    assert fill(["{seed}", "{param:seed}"], {"seed": 3}, {"seed": "7"}) == ["7", "3"]
    assert list(command_errors(["{seed}", "{param:seed}"], ["seed"])) == []
    assert [index for index, _ in command_errors(["{seed}"], ["seed"])] == [None]


@pytest.mark.parametrize("word", ["{args}", "{args_spaced}", "{params_json}", "{lr}", "{flag:lr}", "{param:lr}"])
def test_each_of_these_passes_a_parameter_on(word: str) -> None:
    assert list(command_errors(["python", word], ["lr"])) == []


@pytest.mark.parametrize("argument", ["{", "}", "a{b", "{a}}", "{a{b}}"])
def test_a_single_brace_is_refused(argument: str) -> None:
    with pytest.raises(ValueError, match="written twice"):
        parse(argument)


@given(st.text())
def test_any_text_can_be_written(text: str) -> None:
    written = text.replace("{", "{{").replace("}", "}}")

    assert literal(written) == text
    assert fill([written], {}, {}) == [text]
    assert not any(isinstance(piece, Placeholder) for piece in parse(written))


@given(st.text(alphabet=st.characters(exclude_characters="{}"), min_size=1), st.text())
def test_any_value_arrives_as_one_argument(name: str, value: str) -> None:
    assert fill(["{param:" + name + "}"], {name: value}, {}) == [value]
    assert fill(["{args}"], {name: value}, {}) == [f"--{name}={value}"]


@pytest.mark.parametrize("name", ["lr", "seed", "args", "flag:x", "param:x", "param:flag:x", "opt.lr", "a b"])
def test_a_parameter_of_any_name_has_a_placeholder(name: str) -> None:
    command = [f"x={parameter_placeholder(name)}"]
    assert list(command_errors(command, [name])) == []
    assert fill(command, {name: "value"}, {"seed": "7"}) == ["x=value"]


def test_no_placeholder_is_proposed_for_a_name_that_has_none() -> None:
    ((_, message),) = command_errors(["sh"], ["{x}"])
    assert message.endswith("use {args} or {params_json}")


@given(st.text())
def test_escaped_text_reaches_the_program_as_it_is(text: str) -> None:
    assert literal(escaped(text)) == text


def test_leading_words_end_at_the_first_placeholder() -> None:
    assert leading_words(["python", "{{x}}", "--lr={lr}", "y"]) == ("python", "{x}")
    assert leading_words(["sh"]) == ("sh",)
