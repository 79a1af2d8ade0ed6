"""Records as rows of our tables."""

from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple

from sqlalchemy import Table

from storage.batch import Batch, Row
from storage.tables.columns import JsonText


class _Layout(NamedTuple):
    """How to read a record: its key, its values in column order, and the conversion of the values kept as JSON text."""

    key: Callable[[object], Any]
    values: Callable[[object], Row]
    json_columns: tuple[tuple[int, Callable[[Any], str | None]], ...]


@cache
def _layout(table: Table) -> _Layout:
    json_columns = tuple(
        (index, column.type.to_text) for index, column in enumerate(table.c) if isinstance(column.type, JsonText)
    )
    return _Layout(attrgetter(*table.primary_key.c.keys()), attrgetter(*table.c.keys()), json_columns)


def put_record(batch: Batch, table: Table, record: object) -> None:
    """Insert a record, or replace the row with its primary key. Raises ValueError for JSON that holds nan."""
    layout = _layout(table)
    row = layout.values(record)
    if layout.json_columns:
        values = list(row)
        for index, to_text in layout.json_columns:
            values[index] = to_text(values[index])
        row = tuple(values)
    batch.put(table.name, layout.key(record), row)
