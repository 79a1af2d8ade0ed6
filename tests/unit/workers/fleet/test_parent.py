import subprocess
import sys

import pytest

from tests.waiting import PATIENCE_SECONDS
from workers.fleet.fleet import EXIT_CRASHED, EXIT_OK

pytestmark = pytest.mark.processes

CHILD = (
    "import signal, sys, time; from workers.fleet.parent import end_with_parent; "
    "signal.signal(signal.SIGTERM, HANDLER); end_with_parent(0, drain_seconds=0.05); print('up', flush=True); "
    "time.sleep(60)"
)


def status_after_the_parents_death(handler: str) -> int:
    command = [sys.executable, "-c", CHILD.replace("HANDLER", handler)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == b"up\n"
        child.stdin.close()
        return child.wait(PATIENCE_SECONDS)


def test_a_process_gets_sigterm_when_the_pipe_ends() -> None:
    assert status_after_the_parents_death(f"lambda *_: sys.exit({EXIT_OK})") == EXIT_OK


def test_a_process_that_ignores_sigterm_ends_all_the_same() -> None:
    assert status_after_the_parents_death("signal.SIG_IGN") == EXIT_CRASHED
