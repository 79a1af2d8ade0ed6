import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError

from storage.batch import Batch
from storage.database.opening import create_tables, open_engine
from storage.database.owned_database import OwnedDatabase
from storage.writing.transactions import LARGE_TEXT, write
from storage.writing.upserts import postgresql_statement
from tests.databases import postgres_database


@pytest.fixture
def database(database_url: str) -> Iterator[OwnedDatabase]:
    engine = open_engine(database_url)
    create_tables(engine)
    engine.dispose()
    owned = OwnedDatabase(database_url)
    yield owned
    owned.connection.close()
    owned.close()


def rows(database: OwnedDatabase, statement: str) -> list[tuple[Any, ...]]:
    with database.engine.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(statement)]


def a_study(study_id: int = 1) -> Batch:
    batch = Batch()
    batch.put("studies", study_id, (study_id, f"study {study_id}"))
    return batch


def with_trial(batch: Batch, trial_id: int, study_id: int = 1) -> Batch:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678)
    batch.put("trials", trial_id, (trial_id, 0, study_id, "RUNNING", moment, None))
    return batch


def test_parents_and_children_of_several_tables_are_written_at_once(database: OwnedDatabase) -> None:
    batch = with_trial(a_study(), 1)
    batch.put("trial_values", (1, 0), (1, 0, 0.25, "FINITE"))

    write(database.connection, batch)

    assert rows(database, "SELECT trial_id, state, value FROM trials NATURAL JOIN trial_values") == [
        (1, "RUNNING", 0.25)
    ]


@pytest.mark.parametrize("value", [math.inf, -math.inf, 0.1, 5e-324, 1.7976931348623157e308, 1 / 3])
def test_a_number_comes_back_as_it_went(database: OwnedDatabase, value: float) -> None:
    batch = with_trial(a_study(), 1)
    batch.put("trial_params", (1, "x"), (1, "x", value, "{}"))

    write(database.connection, batch)

    assert rows(database, "SELECT param_value FROM trial_params") == [(value,)]


@pytest.mark.parametrize(
    "text", ["", "plain", "\"quoted\" {'and'} \\ braced", "größer 東京 🚀", "two\nlines\t", "null", "%s ?"]
)
def test_a_text_comes_back_as_it_went(database: OwnedDatabase, text: str) -> None:
    batch = with_trial(a_study(), 1)
    batch.put("trial_user_attributes", (1, "key"), (1, "key", text))

    write(database.connection, batch)

    assert rows(database, "SELECT value_json FROM trial_user_attributes") == [(text,)]


def test_a_row_that_is_there_is_replaced(database: OwnedDatabase) -> None:
    write(database.connection, with_trial(a_study(), 1))
    batch = Batch()
    batch.put("trials", 1, (1, 0, 1, "COMPLETE", None, None))

    write(database.connection, batch)

    assert rows(database, "SELECT state, datetime_start FROM trials") == [("COMPLETE", None)]


def test_all_steps_are_undone_when_a_later_one_fails(database: OwnedDatabase) -> None:
    write(database.connection, with_trial(a_study(), 1))
    batch = Batch()
    batch.remove("trials", "trial_id", 1)
    with_trial(batch, 2, study_id=99)  # no such study

    with pytest.raises(IntegrityError):
        write(database.connection, batch)

    assert rows(database, "SELECT trial_id FROM trials") == [(1,)]
    write(database.connection, with_trial(Batch(), 3))  # the connection is as good as before
    assert rows(database, "SELECT trial_id FROM trials ORDER BY trial_id") == [(1,), (3,)]


def test_all_tables_are_undone_when_one_of_them_fails(database: OwnedDatabase) -> None:
    batch = with_trial(a_study(), 1)
    batch.put("trial_values", (99, 0), (99, 0, 0.5, "FINITE"))

    with pytest.raises(DBAPIError):
        write(database.connection, batch)

    assert rows(database, "SELECT study_id FROM studies") == []


def test_large_rows_and_small_ones_of_several_tables_are_written_at_once(database: OwnedDatabase) -> None:
    text = json.dumps(["é\0", "x" * LARGE_TEXT])
    moment = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
    for source in ("first", "second"):
        batch = with_trial(a_study(), 1)
        batch.put("narrows_imports", (1, 0), (1, 0, source, "", moment, "me", "{}", "{}", text))
        batch.put("narrows_imports", (1, 1), (1, 1, source, "", moment, "me", "{}", "{}", "[]"))
        write(database.connection, batch)

    assert rows(database, "SELECT trial_id FROM trials") == [(1,)]
    found = rows(database, "SELECT source, trials FROM narrows_imports ORDER BY number")
    assert found == [("second", text), ("second", "[]")]
    (imported_at,) = rows(database, "SELECT imported_at FROM narrows_imports WHERE number = 0")[0]
    assert str(imported_at).startswith("2026-01-02 03:04:05.000678")


def test_large_rows_are_undone_with_the_others(database: OwnedDatabase) -> None:
    batch = a_study()
    text = "x" * (LARGE_TEXT + 1)
    batch.put("narrows_imports", (1, 0), (1, 0, None, "", datetime(2026, 1, 1, tzinfo=UTC), "me", "{}", "{}", text))

    with pytest.raises(IntegrityError):
        write(database.connection, batch)

    assert rows(database, "SELECT study_id FROM studies") == []


class RecordingCursor(psycopg.Cursor[Any]):
    """Keeps the length of the longest parameter of a statement for all rows."""

    longest = 0

    def execute(self, query: Any, params: Any = None, **settings: Any) -> Any:
        RecordingCursor.longest = max([RecordingCursor.longest, *(len(str(one)) for one in params or ())])
        return super().execute(query, params, **settings)


def test_postgresql_does_not_parse_a_large_row_for_each_column() -> None:
    with postgres_database() as url:
        engine = open_engine(url)
        create_tables(engine)
        with engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            driver.autocommit = True
            driver.cursor_factory = RecordingCursor
            batch = a_study()
            text = "x" * (LARGE_TEXT + 1)
            batch.put(
                "narrows_imports", (1, 0), (1, 0, "a", "", datetime(2026, 1, 1, tzinfo=UTC), "me", "{}", "{}", text)
            )
            write(connection, batch)
        engine.dispose()

    assert 0 < RecordingCursor.longest < LARGE_TEXT


def test_the_same_tables_are_the_same_statement_whatever_the_number_of_rows() -> None:
    assert postgresql_statement(("studies", "trials")) is postgresql_statement(("studies", "trials"))
    assert postgresql_statement(("studies", "trials")).count("%s") == 2
