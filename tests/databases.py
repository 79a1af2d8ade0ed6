"""Databases for tests: copies of one that has its tables already, because making the tables takes most of the time."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url

from storage import Store
from tests.skipping import skip_or_fail

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


@pytest.fixture
def postgres_url(postgres_template: str) -> Iterator[str]:
    """A PostgreSQL database of the test's own, as a service's first start leaves it."""
    with postgres_database(postgres_template) as url:
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
