"""Applications that the tests of a module share, and fresh ones for tests that restart or break theirs."""

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from tests.databases import PostgresPool, SqliteTemplate
from tests.integration.service_driver import Service
from tests.integration.token_driver import OPERATOR

HTML = {"Accept": "text/html,application/xhtml+xml"}


@pytest.fixture(scope="module")
def service(sqlite_template: SqliteTemplate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """On SQLite, shared by a module: each test makes studies of its own."""
    with Service(sqlite_template.copy_to(tmp_path_factory.mktemp("database") / "narrows.db")) as service:
        yield service


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def each_service(request: pytest.FixtureRequest) -> Iterator[Service]:
    """The same on each database in turn, for tests of what the database keeps."""
    if request.param == "sqlite":
        yield request.getfixturevalue("service")
    else:
        pool: PostgresPool = request.getfixturevalue("postgres_pool")
        with pool.database() as url, Service(url) as service:
            yield service


@pytest.fixture
def fresh_service(database_url: str) -> Iterator[Service]:
    """With a database of the test's own, on each database in turn."""
    with Service(database_url) as service:
        yield service


@pytest.fixture
def sqlite_service(sqlite_url: str) -> Iterator[Service]:
    """With a database of the test's own, on SQLite alone."""
    with Service(sqlite_url) as service:
        yield service


@pytest.fixture
def guarded(sqlite_url: str) -> Iterator[Service]:
    """Like `sqlite_service`, with a token of the operator."""
    with Service(sqlite_url, token=OPERATOR) as service:
        yield service


@pytest.fixture
def browser(guarded: Service) -> TestClient:
    """Keeps cookies, and stays where it is told."""
    return TestClient(
        guarded.app, base_url="http://127.0.0.1", client=("127.0.0.1", 1), headers=HTML, follow_redirects=False
    )
