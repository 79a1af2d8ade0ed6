"""How deep a body is nested is found in short steps, and brackets in strings do not count."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InvalidError
from service.web.body_text import MAX_NESTING, check_nesting
from tests.work import n_calls

TEXTS = st.text(alphabet='"\\[]{}a\n\u00e4', max_size=80)


@given(before=TEXTS, name=TEXTS)
def test_brackets_in_strings_do_not_count(before: str, name: str) -> None:
    deepest = json.dumps({"text": before, name + "!": 1})
    check_nesting(f"{'[' * (MAX_NESTING - 1)}{deepest}{']' * (MAX_NESTING - 1)}".encode())
    with pytest.raises(InvalidError, match="deeper than"):
        check_nesting(f"{'[' * MAX_NESTING}{deepest}{']' * MAX_NESTING}".encode())


def test_arrays_side_by_side_are_not_nested() -> None:
    check_nesting(json.dumps([[[]] * 100] * 100).encode())


def test_each_string_and_bracket_is_a_step() -> None:
    body = json.dumps([{"a": "b"}] * 1000).encode()
    assert n_calls(lambda: check_nesting(body)) > 4000
