"""JSON that is parsed in steps has the value and the errors that `json.loads` gives."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.web.json_steps import load_in_steps
from tests.work import n_calls

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)
BROKEN = [
    "", " ", "{", "}", "[1, 2", '{"a": [1,]}', '{"a": 1,}', '{"a" 1}', '{"a": }', '{1: 2}', '{"a": 1} 2',
    '{"a": [1 2]}',
    '{"a": {"b": 1,}}', '{"a": {"b" 1}}', '{"a": {1: 1}}', '{"a": [}', '{"a": nul}', '{"a": "', "\0", '{"a": 1\u00a0}',
    '{"a": ' + "9" * 5000 + "}",
]  # fmt: skip
ODD = [
    '{"a": 1, "a": 2}',
    '{"a": {"b": 1, "b": [2]}}',
    ' { "a" : [ ] , "b" : { } } ',
    "[1]",
    "1",
    '"a"',
    '{"a": NaN}',
    "{}",
]


def outcome(load: Any, body: bytes) -> str:
    """The value with the order of its fields, or the error."""
    try:
        return repr(load(body))
    except ValueError as error:
        return f"{type(error).__name__}: {error}"


@given(value=st.dictionaries(st.text(max_size=3), VALUES, max_size=5) | VALUES, indent=st.sampled_from([None, 0, 1]))
def test_the_value_is_the_same(value: Any, indent: int | None) -> None:
    body = json.dumps(value, indent=indent).encode()
    assert outcome(load_in_steps, body) == outcome(json.loads, body)


@given(value=st.dictionaries(st.text(max_size=3), VALUES, max_size=3), at=st.integers(0, 60), put=st.text(max_size=1))
def test_a_changed_text_is_read_or_refused_in_the_same_way(value: Any, at: int, put: str) -> None:
    text = json.dumps(value, ensure_ascii=False)
    body = (text[:at] + put + text[at + 1 :]).encode()
    assert outcome(load_in_steps, body) == outcome(json.loads, body)


@pytest.mark.parametrize("text", BROKEN + ODD)
def test_odd_and_broken_texts(text: str) -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        body = text.encode(encoding)
        assert outcome(load_in_steps, body) == outcome(json.loads, body)


@pytest.mark.parametrize("entries", [list(range(5000)), {str(number): number for number in range(5000)}])
def test_each_entry_is_a_step(entries: Any) -> None:
    body = json.dumps({"entries": entries}).encode()
    assert n_calls(lambda: json.loads(body)) < 20
    assert n_calls(lambda: load_in_steps(body)) > 5000


def test_equal_names_are_one_string() -> None:
    """Thousands of trials with the same parameters take little memory."""
    first, second = load_in_steps(b'{"trials": [{"a_b": 1}, {"a_b": 2}]}')["trials"]
    assert next(iter(first)) is next(iter(second))
