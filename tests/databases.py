"""Databases for tests: copies of one that has its tables already, because making the tables takes most of the time.

A PostgreSQL database is emptied after its test and serves the next one, because making one takes half a second.
"""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url

from storage import Store
from tests import migration_scripts
from tests.skipping import skip_or_fail

migration_scripts.keep()

POSTGRES = "postgresql://postgres@127.0.0.1:5432/postgres"


def server_url() -> str:
    """The PostgreSQL server of the tests; `NARROWS_TEST_POSTGRES` names another one."""
    return os.environ.get("NARROWS_TEST_POSTGRES") or POSTGRES


@contextmanager
def postgres_database(template: str | None = None) -> Iterator[str]:
    """The URL of a new PostgreSQL database, empty or a copy of another one; it is dropped afterwards.

    Without a server the test is skipped, or fails under NARROWS_REQUIRE_POSTGRES=1.
    """
    name = f"narrows_test_{secrets.token_hex(6)}"
    create = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
    if template is not None:
        create += sql.SQL(" TEMPLATE {}").format(sql.Identifier(make_url(template).database or ""))
    _administer(create)
    try:
        yield make_url(server_url()).set(database=name).render_as_string(hide_password=False)
    finally:
        _administer(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _administer(statement: sql.Composed) -> None:
    try:
        connection = psycopg.connect(server_url(), autocommit=True, connect_timeout=5)
    except psycopg.OperationalError as error:
        shown = make_url(server_url()).render_as_string(hide_password=True)
        skip_or_fail(f"NO POSTGRESQL at {shown}: {str(error).splitlines()[0]}", "NARROWS_REQUIRE_POSTGRES")
    with connection:
        connection.execute(statement)


SHAPE = """
SELECT c.relname, c.relkind, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, c.reloptions::text
FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
WHERE c.relnamespace = 'public'::regnamespace ORDER BY 1, 2, a.attnum
"""
"""Every table, column, index and sequence of a database."""
TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
SEQUENCES = "SELECT sequencename FROM pg_sequences WHERE schemaname = 'public' ORDER BY 1"
REFERENCES = "SELECT confrelid::regclass::text, conrelid::regclass::text FROM pg_constraint WHERE contype = 'f'"
"""Pairs of tables: the second one has a foreign key to the first one."""
OTHERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


class PostgresPool:
    """PostgreSQL databases, each for one test at a time. One whose tables a test has changed is not used again."""

    def __init__(self, template: str) -> None:
        """Make databases as copies of a template, which has all tables; only those of versions have rows."""
        self._template = template
        self._free: list[str] = []
        self._open = ExitStack()
        url = self._open.enter_context(postgres_database(template))
        with psycopg.connect(url) as connection:
            self._tables = _referring_first(connection)
            self._sequences = [name for (name,) in connection.execute(SEQUENCES)]
            self._versions = [name for name in self._tables if _rows(connection, name)]
            self._state = self._state_of(connection)
        self._free.append(url)

    @contextmanager
    def database(self) -> Iterator[str]:
        """Lend a database without rows."""
        url = self._free.pop() if self._free else self._open.enter_context(postgres_database(self._template))
        yield url
        if self._emptied(url):
            self._free.append(url)

    def close(self) -> None:
        """Drop all databases."""
        self._open.close()

    def _emptied(self, url: str) -> bool:
        """Delete all rows, and return whether the database is as it was in the beginning."""
        with psycopg.connect(url) as connection:
            connection.execute(OTHERS)  # of processes that the test has killed, or left
            if self._state_of(connection) != self._state:
                return False
            connection.execute("SET LOCAL synchronous_commit = off")
            for name in self._tables:
                if name not in self._versions:
                    connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(name)))
            for name in self._sequences:
                connection.execute(sql.SQL("ALTER SEQUENCE {} RESTART").format(sql.Identifier(name)))
        return True

    def _state_of(self, connection: "psycopg.Connection[Any]") -> list[Any]:
        shape = connection.execute(SHAPE).fetchall()
        names = {row[0] for row in shape}
        return [shape, *(_rows(connection, name) for name in self._versions if name in names)]


def _referring_first(connection: "psycopg.Connection[Any]") -> list[str]:
    """All tables, each before those that its foreign keys refer to."""
    referring: dict[str, set[str]] = {name: set() for (name,) in connection.execute(TABLES)}
    for table, other in connection.execute(REFERENCES):
        referring[table].add(other)
    return list(TopologicalSorter(referring).static_order())


def _rows(connection: "psycopg.Connection[Any]", table: str) -> list[Any]:
    return connection.execute(sql.SQL("SELECT * FROM {} ORDER BY 1").format(sql.Identifier(table))).fetchall()


class SqliteTemplate:
    """A SQLite file with all tables and no rows."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "template.db"
        Store.open(f"sqlite:///{self._file}").close()

    def copy_to(self, file: Path) -> str:
        """Copy the template to a file, and return the URL of the copy."""
        shutil.copy(self._file, file)
        return f"sqlite:///{file}"


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> SqliteTemplate:
    return SqliteTemplate(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="session")
def postgres_template() -> Iterator[str]:
    """The URL of a PostgreSQL database with all tables and no rows. Only copies of it may be connected to."""
    with postgres_database() as url:
        Store.open(url).close()
        yield url


@pytest.fixture
def sqlite_url(sqlite_template: SqliteTemplate, tmp_path: Path) -> str:
    """A SQLite database of the test's own, as a service's first start leaves it."""
    return sqlite_template.copy_to(tmp_path / "narrows.db")


@pytest.fixture(scope="session")
def postgres_pool(postgres_template: str) -> Iterator["PostgresPool"]:
    """Databases for one test after the other."""
    pool = PostgresPool(postgres_template)
    yield pool
    pool.close()


@pytest.fixture
def postgres_url(postgres_pool: "PostgresPool") -> Iterator[str]:
    """A PostgreSQL database without rows, as a service's first start leaves it, for this test alone."""
    with postgres_pool.database() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A database without rows: a test that asks for it runs on SQLite and on PostgreSQL."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture(params=["sqlite", "postgres"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """As `database_url`, without any table."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'narrows.db'}"
    else:
        with postgres_database() as url:
            yield url
