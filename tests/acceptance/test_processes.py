"""No process outlives the test that started it, however the test ends."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.processes import Marked, narrows
from tests.conftest import ROOT, clean_environment
from tests.waiting import until

WORKER = ["worker", "--server", "http://127.0.0.1:9", "--processes", "1", "--devices", "cpu"]  # nobody listens there
TEST_RUN = """
import os, sys, time
from pathlib import Path
from tests.acceptance.processes import narrows
with narrows(*WORKER, environment=dict(os.environ), cwd=Path.cwd()):
    time.sleep(600)
"""


@pytest.fixture
def marked() -> Iterator[Marked]:
    marked = Marked()
    yield marked
    marked.kill()


def test_a_test_that_fails_ends_its_worker(marked: Marked, tmp_path: Path) -> None:
    environment = clean_environment(**marked.environment)
    with pytest.raises(ZeroDivisionError), narrows(*WORKER, environment=environment, cwd=tmp_path):  # noqa: PT012
        until(lambda: marked.workers(), "the worker runs")
        raise ZeroDivisionError
    until(lambda: marked.pids() == [], "all worker processes have ended")


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux tells a parent's death")
def test_a_test_run_that_is_killed_takes_its_worker_along(marked: Marked, tmp_path: Path) -> None:
    environment = clean_environment(**marked.environment, PYTHONPATH=str(ROOT))
    command = [sys.executable, "-c", TEST_RUN.replace("WORKER", repr(WORKER))]
    with subprocess.Popen(command, env=environment, cwd=tmp_path) as run:
        until(lambda: marked.workers(), "the worker runs")
        run.kill()
    until(lambda: marked.pids() == [], "all worker processes have ended")
