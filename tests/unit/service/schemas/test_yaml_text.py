import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.schemas.yaml_text import YamlError, load

SCALARS = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-6", 1e-6),
        ("1.0e-6", 1e-6),
        (".5", 0.5),
        ("-3", -3),
        ("010", 10),
        ("0x1F", 31),
        ("0o17", 15),
        ("-.inf", -math.inf),
        ("true", True),
        ("~", None),
        ("", None),
        ("no", "no"),
        ("12:30", "12:30"),
        ("2026-01-02", "2026-01-02"),
        ("1_000", "1_000"),
        ("'1'", "1"),
        ('"\\u00e9"', "é"),
        ("! 1", "1"),
    ],
)
def test_plain_values_are_those_of_yaml_1_2(text: str, value: object) -> None:
    loaded = load(f"key: {text}")
    assert loaded == {"key": value}
    assert isinstance(loaded, dict)
    assert type(loaded["key"]) is type(value)


def test_nan_is_a_number() -> None:
    loaded = load("key: .nan")
    assert isinstance(loaded, dict)
    assert math.isnan(loaded["key"])


def test_blocks_and_flows_nest() -> None:
    text = "a:\n  - {b: 1, c: [x, y]}\n  - |\n    two\n    lines\n"
    assert load(text) == {"a": [{"b": 1, "c": ["x", "y"]}, "two\nlines\n"]}


@pytest.mark.parametrize("text", ["", "# only a comment\n"])
def test_nothing_is_none(text: str) -> None:
    assert load(text) is None


@pytest.mark.parametrize("text", ['{"a": "\\ud83d\\ude00"}', '{\n\t"a": "😀"\n}', '\ufeff{"a": "😀"}'])
def test_json_is_read_where_yaml_differs(text: str) -> None:
    assert load(text) == {"a": "😀"}
    assert load(text.encode()) == {"a": "😀"}


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text(), SCALARS | st.lists(SCALARS) | st.dictionaries(st.text(), SCALARS)))
def test_every_json_object_is_read_as_json_reads_it(value: dict[str, object]) -> None:
    assert load(json.dumps(value)) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2", "line 2, column 1: a key must not be listed twice: 'a'"),
        ('{"a": 1, "a": 2}', "a key must not be listed twice: 'a'"),
        ("a: &x 1\nb: *x", "line 1, column 4: anchors and aliases are not read"),
        ("a: *x", "line 1, column 4: anchors and aliases are not read"),
        (
            "a: !!python/name:os.system x",
            "line 1, column 4: tags are not read: tag:yaml.org,2002:python/name:os.system",
        ),
        ("\n1: a", "line 2, column 1: keys must be strings: 1"),
        ("a: 1\n--- \nb: 2", "line 2, column 1: there must be one document only"),
        ("a: [1, 2\nb: 3", "line 2, column 2: did not find expected ',' or ']'"),
        ("a: " + "9" * 5000, "a number of more than 400 digits: 99999999999999999999…"),
        ('{"a": ' + "9" * 5000 + "}", "a number of more than 400 digits: 99999999999999999999…"),
        ("[" * 100_000, "line 1, column 66: nested more than 64 levels deep"),
    ],
)
def test_what_is_refused_names_the_line(text: str, message: str) -> None:
    with pytest.raises(YamlError) as caught:
        load(text)
    assert str(caught.value) == message


@pytest.mark.parametrize("text", [b"\xff\xfe", b"a: \x00", "a: \ud800", '{"a":' * 100_000])
def test_what_is_no_text_is_refused_in_one_line(text: str | bytes) -> None:
    with pytest.raises(YamlError) as caught:
        load(text)
    assert "\n" not in str(caught.value)
