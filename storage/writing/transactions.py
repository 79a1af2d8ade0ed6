"""Write a batch in one transaction, by the driver itself.

Measured on PostgreSQL with 10 rows in 2 tables: 0.33 ms and 0.06 ms of the interpreter's time, where SQLAlchemy's
Connection and a statement for each table took 0.74 and 0.35. The interpreter's time is what bounds the service, as its
threads share one lock.
"""

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from storage.batch import Batch, Ping, Row, RowRemoval, Step, StudyRemoval, Upserts
from storage.writing.upserts import UPSERTS, postgresql_statement, removal, study_removals


def write(connection: Connection, batch: Batch) -> None:
    """Write a batch, all or nothing. The connection is in the driver's autocommit. Raises DBAPIError."""
    driver = connection.connection.driver_connection
    with _translated(connection):
        if connection.dialect.name == "postgresql":
            _write_postgresql(driver, batch.steps)
        else:
            _write_sqlite(driver, batch.steps)


@contextmanager
def _translated(connection: Connection) -> Iterator[None]:
    """Raise the driver's errors as SQLAlchemy does."""
    driver_error = connection.dialect.loaded_dbapi.Error
    try:
        yield
    except driver_error as error:
        raise DBAPIError.instance(None, None, error, driver_error, dialect=connection.dialect) from error


def _write_postgresql(driver: Any, steps: Sequence[Step]) -> None:
    with driver.cursor() as cursor:
        if len(steps) == 1 and isinstance(steps[0], Upserts):  # one statement is a transaction of its own
            _put_postgresql(cursor, steps[0])
            return
        with driver.transaction():
            for step in steps:
                if isinstance(step, Upserts):
                    _put_postgresql(cursor, step)
                else:
                    _execute(cursor, step, "%s")


def _put_postgresql(cursor: Any, puts: Upserts) -> None:
    names = tuple(sorted(puts.tables))  # in an order of their own, so that the same tables are the same statement
    cursor.execute(postgresql_statement(names), [_json(puts.tables[name].values()) for name in names], prepare=True)


def _json(rows: Collection[Row]) -> str:
    try:
        return json.dumps(list(rows), allow_nan=False, default=datetime.isoformat)
    except ValueError:  # JSON has no nan and no infinity; PostgreSQL reads their names
        return json.dumps([[_finite(value) for value in row] for row in rows], default=datetime.isoformat)


def _finite(value: Any) -> Any:
    return str(value) if isinstance(value, float) else value


def _write_sqlite(driver: Any, steps: Sequence[Step]) -> None:
    cursor = driver.cursor()
    cursor.execute("BEGIN IMMEDIATE")  # a deferred one fails at once when another writes between its first two steps
    try:
        for step in steps:
            if isinstance(step, Upserts):
                _put_sqlite(cursor, step)
            else:
                _execute(cursor, step, "?")
        cursor.execute("COMMIT")
    except BaseException:
        if driver.in_transaction:
            cursor.execute("ROLLBACK")
        raise
    finally:
        cursor.close()


def _put_sqlite(cursor: Any, puts: Upserts) -> None:
    for name, upsert in UPSERTS.items():  # parents before their children
        rows = puts.tables.get(name)
        if rows:
            cursor.executemany(upsert.sqlite(), [_sqlite_row(row, upsert.times) for row in rows.values()])


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


def _execute(cursor: Any, step: RowRemoval | StudyRemoval | Ping, mark: str) -> None:
    if isinstance(step, Ping):
        cursor.execute("SELECT 1")
        return
    if isinstance(step, RowRemoval):
        values = (step.value,) if step.after_step is None else (step.value, step.after_step)
        cursor.execute(removal(step.table, step.column, mark, after_step=len(values) > 1), values)
        return
    for statement in study_removals(mark):
        cursor.execute(statement, (step.study_id,))
