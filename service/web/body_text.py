r"""Whether a JSON body is not nested too deep and every string in it is Unicode text.

JSON can escape half of a surrogate pair, as in "\ud83d", and Python's parser accepts it. No answer that holds it can be
sent.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from service.errors import InvalidError
from service.schemas.locations import MAX_FIELD_CHARACTERS, cut, short

SUSPECT = re.compile(
    rb"\\u[dD][89a-fA-F]"  # an escaped half, of a whole pair or not: that depends on the backslashes before it
    rb"|\xed[\xa0-\xbf]"  # a half in UTF-8, which forbids it
    rb"|\0"  # UTF-16 or UTF-32, which the parser reads too
)
TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[\]{}]')
"""A string, which may have brackets in it, or a bracket."""
MAX_NESTING = 32
HALF_PAIR = re.compile("[\ud800-\udfff]")


def check_body(body: bytes) -> None:
    """Raises InvalidError for JSON that is nested too deeply or has a string that is not Unicode text."""
    check_nesting(body)
    check_text(body)


def check_nesting(body: bytes) -> None:
    """Raises InvalidError when arrays and objects are nested too deep, before a parser recurses into them."""
    if body.count(b"[") + body.count(b"{") <= MAX_NESTING:
        return
    depth = 0
    for token in TOKEN.finditer(body):  # each match is a short step, between which other threads go on
        if token.group() in (b"[", b"{"):
            depth += 1
        elif token.group() in (b"]", b"}"):
            depth -= 1
        if depth > MAX_NESTING:
            raise InvalidError([("body", f"body must not be nested deeper than {MAX_NESTING} levels")])


def check_text(body: bytes) -> None:
    """Raises InvalidError with the field of a string that holds half of a surrogate pair. What is no JSON passes."""
    if SUSPECT.search(body) is None:
        return
    try:
        value = json.loads(body)
    except ValueError:  # the route answers that it is no JSON
        return
    for location, subject, text in _texts(value, ()):
        if HALF_PAIR.search(text):
            field = cut(".".join(location), MAX_FIELD_CHARACTERS) or "body"
            raise InvalidError([(field, f"{subject} must be Unicode text: {short(text)}")])


def _texts(value: Any, location: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Yield every string and every name of a field: where it stands, what it is, and its text."""
    if isinstance(value, str):
        yield location, _subject(location), value
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, (*location, str(index)))
    elif isinstance(value, dict):
        for name, item in value.items():
            yield location, "the name of a field", name
            yield from _texts(item, (*location, name))


def _subject(location: tuple[str, ...]) -> str:
    """The last name of a field, with the indexes after it: choices.1. A whole body has no name."""
    start = next((index for index in reversed(range(len(location))) if not location[index].isdecimal()), 0)
    return ".".join(location[start:]) or "body"
