import os
import subprocess
import sys

import pytest

from narrows.cli.bound import bound
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.processes

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux tells a parent's death")

PARENT = """
import subprocess, sys, time
from narrows.cli.bound import bound
child = subprocess.Popen(bound([sys.executable, "-c", CHILD]))
time.sleep(60)
"""
CHILD = """
import signal, sys, time
def end(*_):
    print("end", flush=True)
    sys.exit()
signal.signal(signal.SIGTERM, end)
print("up", flush=True)
time.sleep(60)
"""


def test_it_becomes_the_command() -> None:
    command = bound([sys.executable, "-c", "import os; print(os.getpid()); raise SystemExit(7)"])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        output, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, int(output)) == (7, process.pid)


@linux_only
def test_it_gets_sigterm_when_its_parent_is_killed() -> None:
    command = [sys.executable, "-c", PARENT.replace("CHILD", repr(CHILD))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "up\n"
        parent.kill()
        assert parent.stdout.read() == "end\n"  # and then the pipe ends, as the child has


@linux_only
def test_it_does_not_start_when_its_parent_is_gone_already() -> None:
    command = [*bound([])[:-1], str(os.getppid()), sys.executable, "-c", "print('started')"]
    assert subprocess.run(command, capture_output=True, timeout=PATIENCE_SECONDS, check=True).stdout == b""
