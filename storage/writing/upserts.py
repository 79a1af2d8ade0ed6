"""Multi-row upserts and removals as SQL text, for SQLite and PostgreSQL.

Rows hold raw values, so that values are not converted one by one on the way to the driver: an enum is its name, a time
of Optuna's tables is a naive UTC time, and JSON is its text.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Connection, DateTime, Enum, String, Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

from storage.optuna_seam.tables import OPTUNA_TABLES, STUDY_CHILD_TABLES, TRIAL_CHILD_TABLES
from storage.tables import schema as tables


@dataclass(frozen=True)
class Upsert:
    """The upsert of one table. `columns` is the order of a row's values, and `times` has the indexes of its times."""

    table: str
    keys: tuple[str, ...]
    columns: tuple[str, ...]
    kinds: tuple[str, ...]
    times: tuple[int, ...]

    def postgresql(self) -> str:
        """The statement for all rows, passed as one JSON array of arrays: its text does not depend on their number."""
        values = ", ".join(f"(row ->> {index})::{kind}" for index, kind in enumerate(self.kinds))
        rows = "json_array_elements(%s::json) AS row"
        return f"INSERT INTO {self.table} ({self._names()}) SELECT {values} FROM {rows} {self._conflict()}"

    def postgresql_row(self) -> str:
        """The statement for one row."""
        marks = ", ".join(f"%s::{kind}" for kind in self.kinds)
        return f"INSERT INTO {self.table} ({self._names()}) VALUES ({marks}) {self._conflict()}"

    def sqlite(self) -> str:
        """The statement for one row."""
        marks = ", ".join("?" for _ in self.columns)
        return f"INSERT INTO {self.table} ({self._names()}) VALUES ({marks}) {self._conflict()}"

    def _names(self) -> str:
        return ", ".join(f'"{column}"' for column in self.columns)

    def _conflict(self) -> str:
        keys = ", ".join(f'"{key}"' for key in self.keys)
        others = [column for column in self.columns if column not in self.keys]
        changes = ", ".join(f'"{column}" = excluded."{column}"' for column in others)
        return f"ON CONFLICT ({keys}) DO UPDATE SET {changes}"


def _upsert(table: Table, keys: tuple[str, ...], columns: tuple[str, ...]) -> Upsert:
    kinds = [getattr(column.type, "impl_instance", column.type) for column in (table.c[name] for name in columns)]
    times = tuple(index for index, kind in enumerate(kinds) if isinstance(kind, DateTime))
    return Upsert(table.name, keys, columns, tuple(_cast(kind) for kind in kinds), times)


def _cast(kind: TypeEngine[Any]) -> str:
    if isinstance(kind, Enum):
        return str(kind.name)
    if isinstance(kind, String):
        return "TEXT"  # a cast to VARCHAR(n) would truncate long text, which the insert must refuse
    return str(kind.compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]


UPSERTS: dict[str, Upsert] = {
    name: _upsert(table, keys, keys + others) for name, (table, keys, others) in OPTUNA_TABLES.items()
} | {
    table.name: _upsert(table, tuple(table.primary_key.c.keys()), tuple(table.c.keys()))
    for table in tables.metadata.sorted_tables
}


MAY_BE_LARGE = (tables.studies.name, tables.imports.name)
"""Tables whose rows may have megabytes. No foreign key refers to them."""


@cache
def postgresql_statement(names: tuple[str, ...]) -> str:
    """One statement that upserts into several tables. Foreign keys are checked at its end."""
    *first, last = (UPSERTS[name].postgresql() for name in names)
    parts = ", ".join(f"put_{number} AS ({statement})" for number, statement in enumerate(first))
    return f"WITH {parts} {last}" if parts else last


def removal(table: str, column: str, mark: str, *, after_step: bool = False) -> str:
    """Remove the rows with a value in a column, or only those after a step. `mark` is the driver's placeholder."""
    return f'DELETE FROM {table} WHERE "{column}" = {mark}' + (f" AND step > {mark}" if after_step else "")


def study_removals(mark: str) -> Iterator[str]:
    """Statements that remove a study from every table, children first. Each takes the study's id at `mark`."""
    for table in reversed(tables.metadata.sorted_tables):
        if "study_id" in table.c:
            yield removal(table.name, "study_id", mark)
    for name in TRIAL_CHILD_TABLES:
        yield f"DELETE FROM {name} WHERE trial_id IN (SELECT trial_id FROM trials WHERE study_id = {mark})"
    for name in (*STUDY_CHILD_TABLES, "studies"):
        yield removal(name, "study_id", mark)


def set_sequences(connection: Connection) -> None:
    """Continue PostgreSQL's id sequences after our ids, so that stock Optuna can write. SQLite needs nothing."""
    if connection.dialect.name != "postgresql":
        return
    for table, column, kind in (("studies", "study_id", "study"), ("trials", "trial_id", "trial")):
        connection.exec_driver_sql(
            f"SELECT setval(pg_get_serial_sequence('{table}', '{column}'), next_id, false) "
            f"FROM narrows_ids WHERE kind = '{kind}'"
        )
