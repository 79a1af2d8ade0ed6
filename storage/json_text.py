"""JSON text of the database as values."""

import json
import re
from collections.abc import Callable
from typing import Any

HALF_PAIR = re.compile("[\ud800-\udfff]")
"""Half of a surrogate pair. JSON can escape one, but it is no character, and UTF-8 cannot hold it."""


def load_json(text: str, decode: Callable[[str], Any] = json.loads) -> Any:
    """The value of a JSON text. Halves of surrogate pairs, which other programs may have written, become U+FFFD."""
    value = decode(text)
    return _whole(value) if r"\ud" in text or r"\uD" in text else value


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return HALF_PAIR.sub("\ufffd", value)
    if isinstance(value, list):
        return [_whole(item) for item in value]
    if isinstance(value, dict):
        return {_whole(name): _whole(item) for name, item in value.items()}
    return value
