from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.acceptance.postgres_cluster import PostgresCluster, find_programs
from tests.acceptance.processes import Marked
from tests.conftest import skip_or_fail


@pytest.fixture
def marked() -> Iterator[Marked]:
    """A mark for processes, of which none may be left behind."""
    marked = Marked()
    yield marked
    left = marked.pids()
    marked.kill()
    assert left == [], "processes are left behind"


@pytest.fixture
def cluster(free_port: int) -> Iterator[PostgresCluster]:
    """A PostgreSQL server of the test's own, running."""
    programs = find_programs()
    if programs is None:
        skip_or_fail("NO POSTGRESQL SERVER PROGRAMS (initdb, pg_ctl)", "NARROWS_REQUIRE_POSTGRES")
    # Not in pytest's own folder, which it closes to other users whenever it starts.
    with TemporaryDirectory(prefix="narrows-postgres-") as folder:
        cluster = PostgresCluster(programs, Path(folder), free_port)
        cluster.start()
        try:
            yield cluster
        finally:
            if cluster.is_running():
                cluster.stop()
