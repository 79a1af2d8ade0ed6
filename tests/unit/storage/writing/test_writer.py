"""What the writer tries again."""

import sqlite3
from typing import Any

import pytest
from psycopg import errors
from sqlalchemy.exc import DBAPIError

from storage.errors import DatabaseLostError, DatabaseOwnedError, DatabaseTakenError, DatabaseUnavailableError
from storage.writing.writer import can_pass


def raised(original: Exception, base: Any) -> DBAPIError:
    error = DBAPIError.instance(None, None, original, base)
    assert isinstance(error, DBAPIError)
    return error


@pytest.mark.parametrize(
    ("original", "passes"),
    [
        (errors.LockNotAvailable(), True),
        (errors.ReadOnlySqlTransaction(), True),
        (errors.QueryCanceled(), True),
        (errors.DeadlockDetected(), True),
        (errors.SerializationFailure(), True),
        (errors.AdminShutdown(), True),
        (errors.CannotConnectNow(), True),
        (errors.DiskFull(), True),
        (errors.IoError(), True),
        (errors.IdleInTransactionSessionTimeout(), True),
        (errors.InvalidPassword(), True),
        (errors.InvalidCatalogName(), True),
        (errors.OperationalError("connection refused"), True),
        (errors.CheckViolation(), False),
        (errors.ForeignKeyViolation(), False),
        (errors.UndefinedTable(), False),
        (errors.InsufficientPrivilege(), False),
        (errors.NumericValueOutOfRange(), False),
        (errors.DataCorrupted(), False),
    ],
)
def test_errors_of_postgresql_that_can_pass(original: Exception, passes: bool) -> None:
    assert can_pass(raised(original, errors.Error)) is passes


@pytest.mark.parametrize(
    ("original", "passes"),
    [
        (sqlite3.OperationalError("database is locked"), True),
        (sqlite3.OperationalError("attempt to write a readonly database"), True),
        (sqlite3.IntegrityError("CHECK constraint failed"), False),
        (sqlite3.DatabaseError("database disk image is malformed"), False),
    ],
)
def test_errors_of_sqlite_that_can_pass(original: Exception, passes: bool) -> None:
    assert can_pass(raised(original, sqlite3.Error)) is passes


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (DatabaseUnavailableError("moved away"), True),
        (DatabaseOwnedError("our lost session has the lock"), True),
        (DatabaseTakenError("another service wrote"), False),
        (DatabaseLostError("deleted"), False),
        (ValueError("an error of our own"), False),
    ],
)
def test_errors_of_our_own_that_can_pass(error: Exception, passes: bool) -> None:
    assert can_pass(error) is passes
