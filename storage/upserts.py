"""Multi-row upserts and removals as SQL text, for SQLite and PostgreSQL.

Rows are raw values, so that no per-value conversion stands between a caller and the driver: an enum is its name, a
time of Optuna's a naive UTC time, JSON its text. PostgreSQL gets one statement with an array for each column, whose
text does not depend on the number of rows, so that it is parsed and planned once; SQLite's own executemany does the
same in C.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from optuna.storages._rdb import models
from sqlalchemy import Connection, DateTime, Enum, String, Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

from storage import tables
from storage.batch import Row

OPTUNA_TABLES: dict[str, tuple[Any, tuple[str, ...], tuple[str, ...]]] = {
    # table: (model, key columns, other columns)
    "studies": (models.StudyModel, ("study_id",), ("study_name",)),
    "study_directions": (models.StudyDirectionModel, ("study_id", "objective"), ("direction",)),
    "study_user_attributes": (models.StudyUserAttributeModel, ("study_id", "key"), ("value_json",)),
    "study_system_attributes": (models.StudySystemAttributeModel, ("study_id", "key"), ("value_json",)),
    "trials": (
        models.TrialModel,
        ("trial_id",),
        ("number", "study_id", "state", "datetime_start", "datetime_complete"),
    ),
    "trial_params": (models.TrialParamModel, ("trial_id", "param_name"), ("param_value", "distribution_json")),
    "trial_values": (models.TrialValueModel, ("trial_id", "objective"), ("value", "value_type")),
    "trial_intermediate_values": (
        models.TrialIntermediateValueModel,
        ("trial_id", "step"),
        ("intermediate_value", "intermediate_value_type"),
    ),
    "trial_user_attributes": (models.TrialUserAttributeModel, ("trial_id", "key"), ("value_json",)),
    "trial_system_attributes": (models.TrialSystemAttributeModel, ("trial_id", "key"), ("value_json",)),
}
"""In an order in which a row's parents come before it."""

TRIAL_CHILDREN = (
    "trial_params",
    "trial_values",
    "trial_intermediate_values",
    "trial_user_attributes",
    "trial_system_attributes",
    "trial_heartbeats",
)
STUDY_CHILDREN = ("trials", "study_directions", "study_user_attributes", "study_system_attributes", "studies")


@dataclass(frozen=True)
class Upsert:
    """How rows of one table are written; `columns` is the order of a row's values."""

    table: str
    keys: tuple[str, ...]
    columns: tuple[str, ...]
    array_types: tuple[str, ...]
    times: tuple[int, ...]

    def postgresql(self) -> str:
        arrays = ", ".join(f"%s::{kind}[]" for kind in self.array_types)
        return f"INSERT INTO {self.table} ({self._names()}) SELECT * FROM unnest({arrays}) {self._conflict()}"

    def sqlite(self) -> str:
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
    return Upsert(table.name, keys, columns, tuple(_array_type(kind) for kind in kinds), times)


def _array_type(kind: TypeEngine[Any]) -> str:
    if isinstance(kind, Enum):
        return str(kind.name)
    if isinstance(kind, String):
        return "TEXT"  # a cast to VARCHAR(n) would cut what is too long; the insert itself refuses it
    return str(kind.compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]


UPSERTS: dict[str, Upsert] = {
    name: _upsert(model.__table__, keys, keys + others) for name, (model, keys, others) in OPTUNA_TABLES.items()
} | {
    table.name: _upsert(table, tuple(table.primary_key.c.keys()), tuple(table.c.keys()))
    for table in tables.metadata.sorted_tables
}


def put(connection: Connection, table: str, rows: Collection[Row]) -> None:
    """Insert rows, or update those that are there."""
    upsert = UPSERTS[table]
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(upsert.postgresql(), tuple(list(column) for column in zip(*rows, strict=True)))
    else:
        connection.exec_driver_sql(upsert.sqlite(), [_sqlite_row(row, upsert.times) for row in rows])


def remove(connection: Connection, table: str, column: str, value: int | str) -> None:
    """Remove the rows with this value."""
    mark = "%s" if connection.dialect.name == "postgresql" else "?"
    connection.exec_driver_sql(f'DELETE FROM {table} WHERE "{column}" = {mark}', (value,))


def remove_study(connection: Connection, study_id: int) -> None:
    """Remove a study from every table, children first."""
    mark = "%s" if connection.dialect.name == "postgresql" else "?"
    for table in reversed(tables.metadata.sorted_tables):
        if "study_id" in table.c:
            remove(connection, table.name, "study_id", study_id)
    for name in TRIAL_CHILDREN:
        trials = f"SELECT trial_id FROM trials WHERE study_id = {mark}"
        connection.exec_driver_sql(f"DELETE FROM {name} WHERE trial_id IN ({trials})", (study_id,))
    for name in STUDY_CHILDREN:
        remove(connection, name, "study_id", study_id)


def set_sequences(connection: Connection) -> None:
    """Let PostgreSQL's own ids go on after ours, for stock Optuna to write later. SQLite needs nothing."""
    if connection.dialect.name != "postgresql":
        return
    for table, column, kind in (("studies", "study_id", "study"), ("trials", "trial_id", "trial")):
        connection.exec_driver_sql(
            f"SELECT setval(pg_get_serial_sequence('{table}', '{column}'), next_id, false) "
            f"FROM narrows_ids WHERE kind = '{kind}'"
        )


def _sqlite_row(row: Row, times: Sequence[int]) -> Row:
    """SQLite has no times: they are text, in the form that SQLAlchemy reads."""
    if not times:
        return row
    values = list(row)
    for index in times:
        if values[index] is not None:
            values[index] = _sqlite_time(values[index])
    return tuple(values)


def _sqlite_time(moment: datetime) -> str:
    naive = moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
    return naive.isoformat(" ", timespec="microseconds")
