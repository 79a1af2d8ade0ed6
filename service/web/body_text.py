r"""Whether every string of a JSON body is Unicode text.

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
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"  # the first half of a pair without the second
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F]"  # the second half without the first
    rb"|\xed[\xa0-\xbf]"  # a half in UTF-8, which forbids it
    rb"|\0"  # UTF-16 or UTF-32, which the parser reads too
)
HALF_PAIR = re.compile("[\ud800-\udfff]")


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
        yield location, location[-1] if location else "body", value
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, (*location, str(index)))
    elif isinstance(value, dict):
        for name, item in value.items():
            yield location, "the name of a field", name
            yield from _texts(item, (*location, name))
