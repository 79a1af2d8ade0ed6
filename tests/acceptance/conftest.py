"""What acceptance tests share: marked processes and a PostgreSQL server that may be stopped."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.acceptance.postgres_cluster import PostgresCluster, find_programs
from tests.acceptance.processes import Marked
from tests.skipping import skip_or_fail


@pytest.fixture
def marked() -> Iterator[Marked]:
    """A mark for processes. The test fails if one of them is still alive at its end."""
    marked = Marked()
    yield marked
    left = marked.pids()
    marked.kill()
    assert left == [], "processes are left behind"


@pytest.fixture
def cluster(free_port: int) -> Iterator[PostgresCluster]:
    """A running PostgreSQL server that only this test uses."""
    programs = find_programs()
    if programs is None:
        skip_or_fail("NO POSTGRESQL SERVER PROGRAMS (initdb, pg_ctl)", "NARROWS_REQUIRE_POSTGRES")
    # Not below pytest's own folder: pytest closes that to other users, and PostgreSQL may run as another user.
    with TemporaryDirectory(prefix="narrows-postgres-") as folder:
        cluster = PostgresCluster(programs, Path(folder), free_port)
        cluster.start()
        try:
            yield cluster
        finally:
            if cluster.is_running():
                cluster.stop()


@pytest.fixture
def database_url(empty_database_url: str) -> str:
    """A database without any table, as a user's first start meets it."""
    return empty_database_url
