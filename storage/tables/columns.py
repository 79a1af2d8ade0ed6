"""Column types that SQLite and PostgreSQL share: aware UTC times, and JSON that keeps nan and infinities."""

import json
import math
import re
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, Dialect, Text
from sqlalchemy.types import TypeDecorator

from storage.json_text import load_json

MAX_ITEMS_AT_ONCE = 1000
"""A longer list is written item by item, because no other thread goes on while `json` writes a value."""
NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
DECODE_FLOATS = json.JSONDecoder(parse_int=float).decode
"""Reads each number of a JSON text as a float."""
NAMES_NON_FINITE = re.compile('"(?:nan|-?inf)"').search
"""Finds a number that is stored as a string, or a name like one, in a JSON text."""


class UtcDateTime(TypeDecorator[datetime]):
    """Aware times, stored in UTC. SQLite stores no time zone, so reading adds it."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """The time in UTC."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """The time as an aware UTC time."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class JsonText(TypeDecorator[Any]):
    """JSON in a text column, so that both databases keep key order, numbers and all of Unicode exactly.

    PostgreSQL refuses the character U+0000 in text, but JSON escapes it.
    """

    impl = Text
    cache_ok = True

    def to_text(self, value: Any) -> str | None:
        """The JSON text of a value; None stays None. Raises ValueError for nan and infinities."""
        if isinstance(value, list) and len(value) > MAX_ITEMS_AT_ONCE:
            return f"[{', '.join([json.dumps(item, allow_nan=False) for item in value])}]"
        return None if value is None else json.dumps(value, allow_nan=False)

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """The JSON text of the value."""
        return self.to_text(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """The value of the JSON text."""
        return None if value is None else load_json(value)


class Floats(JsonText):
    """A list or an object of floats. JSON has no nan and no infinities, so they are stored as strings."""

    cache_ok = True

    def to_text(self, value: Any) -> str | None:
        """The JSON text of a list or an object of floats; None stays None."""
        return super().to_text(_map(value, _to_json))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """The floats of the JSON text."""
        if value is None:
            return None
        found = load_json(value, DECODE_FLOATS)
        return _map(found, _from_json) if NAMES_NON_FINITE(value) else found


def _map(tree: Any, convert: Any) -> Any:
    if isinstance(tree, dict):
        return {key: convert(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [convert(value) for value in tree]
    return tree


def _to_json(value: float) -> float | str:
    if math.isnan(value):
        return "nan"
    return value if math.isfinite(value) else ("inf" if value > 0 else "-inf")


def _from_json(value: float | str) -> float:
    return NON_FINITE[value] if isinstance(value, str) else value
