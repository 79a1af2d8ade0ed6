"""Read a definition from YAML or JSON text.

Plain values are those of YAML 1.2's core schema, unlike PyYAML's own loaders: 1e-6 is a number, `no` and 12:30 are
strings. What a definition has no use for is refused: anchors and aliases, tags, keys that are no strings or stand
twice, several documents.
"""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
    StreamStartEvent,
)

PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml reads 1 MiB in 1.1 s, Python alone in 7 s

MAX_DEPTH = 64
MAX_DIGITS = 400

NULL = re.compile(r"(?:null|Null|NULL|~|)")
TRUE = re.compile(r"(?:true|True|TRUE)")
FALSE = re.compile(r"(?:false|False|FALSE)")
INTEGER = re.compile(r"[-+]?[0-9]+")
OCTAL = re.compile(r"0o[0-7]+")
HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
INFINITY = re.compile(r"([-+]?)\.(?:inf|Inf|INF)")
NAN = re.compile(r"\.(?:nan|NaN|NAN)")


class YamlError(ValueError):
    """The text is no YAML that is read here; the message is one line and names the line of the text."""


def load(text: str | bytes) -> object:
    """The value that a text holds: dictionaries, lists, strings, numbers, booleans and None. Raises YamlError."""
    try:
        text = text.decode() if isinstance(text, bytes) else text
        if text.lstrip().startswith("{"):
            with suppress(json.JSONDecodeError):  # JSON that is no YAML: tabs, surrogate pairs
                return json.loads(text, object_pairs_hook=_distinct, parse_int=_integer)
        return _document(_refusing(yaml.parse(text, Loader=PARSER)))
    except RecursionError as error:
        raise YamlError("nested too deep") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _error(mark, error.problem or error.context or "not valid") from error
    except (yaml.YAMLError, UnicodeError) as error:
        raise YamlError(f"not a text in UTF-8: {str(error).splitlines()[0]}") from error


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    mapping: dict[str, object] = {}
    for key, value in pairs:
        if key in mapping:
            raise YamlError(f"a key must not be listed twice: {key!r}")
        mapping[key] = value
    return mapping


def _refusing(events: Iterator[Event]) -> Iterator[Event]:
    """The same events, without those that only frame the document; an error at what a definition has no use for."""
    for event in events:
        if isinstance(event, AliasEvent) or getattr(event, "anchor", None) is not None:
            raise _error(event.start_mark, "anchors and aliases are not read")
        tag = getattr(event, "tag", None)
        if tag not in (None, "!"):
            raise _error(event.start_mark, f"tags are not read: {tag}")
        if not isinstance(event, StreamStartEvent):
            yield event


def _document(events: Iterator[Event]) -> object:
    if not isinstance(next(events), DocumentStartEvent):
        return None
    value = _value(next(events), events, depth=0)
    next(events)  # the document's end
    following = next(events)
    if not isinstance(following, StreamEndEvent):
        raise _error(following.start_mark, "there must be one document only")
    return value


def _value(event: Event, events: Iterator[Event], depth: int) -> object:
    if depth > MAX_DEPTH:
        raise _error(event.start_mark, f"nested more than {MAX_DEPTH} levels deep")
    if isinstance(event, MappingStartEvent):
        return _mapping(events, depth)
    if isinstance(event, SequenceStartEvent):
        return _sequence(events, depth)
    return _scalar(event)


def _mapping(events: Iterator[Event], depth: int) -> dict[str, object]:
    mapping: dict[str, object] = {}
    while not isinstance(event := next(events), MappingEndEvent):
        key = _value(event, events, depth + 1)
        if not isinstance(key, str):
            raise _error(event.start_mark, f"keys must be strings: {key!r}")
        if key in mapping:
            raise _error(event.start_mark, f"a key must not be listed twice: {key!r}")
        mapping[key] = _value(next(events), events, depth + 1)
    return mapping


def _sequence(events: Iterator[Event], depth: int) -> list[object]:
    sequence: list[object] = []
    while not isinstance(event := next(events), SequenceEndEvent):
        sequence.append(_value(event, events, depth + 1))
    return sequence


def _scalar(event: Event) -> object:
    assert isinstance(event, ScalarEvent), f"no value: {event}"
    text: str = event.value
    if event.style or event.tag == "!":
        return text
    return _plain(text)


def _plain(text: str) -> object:
    if NULL.fullmatch(text):
        return None
    if TRUE.fullmatch(text):
        return True
    if FALSE.fullmatch(text):
        return False
    if INTEGER.fullmatch(text):
        return _integer(text)
    if OCTAL.fullmatch(text):
        return int(text[2:], 8)
    if HEXADECIMAL.fullmatch(text):
        return int(text[2:], 16)
    if FLOAT.fullmatch(text):
        return float(text)
    if match := INFINITY.fullmatch(text):
        return float(f"{match.group(1)}inf")
    return float("nan") if NAN.fullmatch(text) else text


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise YamlError(f"a number of more than {MAX_DIGITS} digits: {text[:20]}…")
    return int(text)


def _error(mark: Any, message: str) -> YamlError:
    return YamlError(message if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: {message}")
