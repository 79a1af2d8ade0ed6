"""Column types that SQLite and PostgreSQL share: aware UTC times, and JSON that keeps nan and infinities."""

import json
import math
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, Dialect, Table, Text
from sqlalchemy.types import TypeDecorator

from storage.batch import Row

NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


class UtcDateTime(TypeDecorator[datetime]):
    """Aware times, kept as UTC; SQLite has no time zones, so they are put back on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class JsonText(TypeDecorator[Any]):
    """JSON in a text column, which both databases keep to the letter: key order, numbers, all of Unicode.

    PostgreSQL refuses the character U+0000 in text; the JSON encoding escapes it, so it is safe here.
    """

    impl = Text
    cache_ok = True

    def to_text(self, value: Any) -> str | None:
        return None if value is None else json.dumps(value, allow_nan=False)

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return self.to_text(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else json.loads(value)


class Floats(JsonText):
    """A list or an object of floats; nan and infinities become strings, as JSON has no numbers for them."""

    cache_ok = True

    def to_text(self, value: Any) -> str | None:
        return super().to_text(_map(value, _to_json))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return _map(super().process_result_value(value, dialect), _from_json)


def row_of(table: Table, record: object) -> Row:
    """A record's values in the order of a table's columns, JSON as text."""
    return tuple(_raw(column.type, getattr(record, column.name)) for column in table.c)


def _raw(kind: object, value: Any) -> Any:
    return kind.to_text(value) if isinstance(kind, JsonText) else value


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
    return NON_FINITE[value] if isinstance(value, str) else float(value)
