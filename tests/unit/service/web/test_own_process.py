"""Processes that do the service's dangerous work: how they end, and what is said when they cannot be started."""

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from service.errors import OverloadedError, ShuttingDownError
from service.web.own_process import Limits, OwnProcessError, OwnProcesses
from tests.alive import is_alive
from tests.waiting import PATIENCE_SECONDS, until

pytestmark = pytest.mark.processes

LIMITS = Limits(2 * PATIENCE_SECONDS, 2 * 1024**3)
HEAD = "import os, signal, sys\nfrom service.web.own_process import limit_this_process\nlimit_this_process()\n"
ENDLESS = HEAD + "print(os.getpid(), file=open(os.environ['PID_FILE'], 'w'), flush=True)\nsignal.pause()\n"

Write = Callable[[str], str]


@pytest.fixture
def pid_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PID_FILE", str(tmp_path / "pid"))
    return tmp_path / "pid"


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a module that processes can import, and returns its name."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def written(text: str) -> str:
        (tmp_path / "a_module.py").write_text(text)
        return "a_module"

    return written


def pid_in(file: Path) -> int:
    until(lambda: file.exists() and file.read_text().endswith("\n"), "the process has started")
    return int(file.read_text())


def test_a_process_reads_what_it_is_given_and_answers(write: Write) -> None:
    module = write(HEAD + "print(sys.stdin.read().upper())\n")
    assert OwnProcesses().call(module, b"abc", LIMITS) == b"ABC\n"


def test_closing_kills_what_runs(write: Write, pid_file: Path) -> None:
    processes = OwnProcesses()
    with ThreadPoolExecutor(1) as threads:
        call = threads.submit(processes.call, write(ENDLESS), b"", LIMITS)
        pid = pid_in(pid_file)

        processes.close()

        with pytest.raises(ShuttingDownError):
            call.result(PATIENCE_SECONDS)
    assert not is_alive(pid)


def test_nothing_starts_after_closing(write: Write, pid_file: Path) -> None:
    processes = OwnProcesses()
    processes.close()
    with pytest.raises(ShuttingDownError):
        processes.call(write(ENDLESS), b"", LIMITS)
    assert not pid_file.exists()


def test_a_process_that_takes_too_long_is_killed(write: Write) -> None:
    with pytest.raises(OwnProcessError, match=r"it took longer than 0\.01 s"):
        OwnProcesses().call(write(HEAD + "signal.pause()\n"), b"", Limits(0.01, LIMITS.memory_bytes))


def test_the_time_of_a_process_is_that_of_the_processor(write: Write) -> None:
    slow = HEAD + "import time\ntime.sleep(3.2)\nprint('done')\n"
    assert OwnProcesses().call(write(slow), b"", Limits(3.0, LIMITS.memory_bytes)) == b"done\n"
    with pytest.raises(OwnProcessError, match=r"it took longer than 3 s"):
        OwnProcesses().call(write(HEAD + "while True: pass\n"), b"", Limits(3.0, LIMITS.memory_bytes))


@pytest.mark.skipif(sys.platform != "linux", reason="only the Linux kernel ends a process with its parent")
def test_a_process_dies_with_its_parent(write: Write, pid_file: Path) -> None:
    calling = (
        "from service.web.own_process import Limits, OwnProcesses; "
        f"OwnProcesses().call({write(ENDLESS)!r}, b'', Limits({LIMITS.seconds}, {LIMITS.memory_bytes}))"
    )
    with subprocess.Popen([sys.executable, "-c", calling]) as parent:
        pid = pid_in(pid_file)
        assert is_alive(pid)
        parent.kill()
    until(lambda: not is_alive(pid), "the process has died with its parent")


@pytest.mark.skipif(sys.platform != "linux", reason="only the Linux kernel ends a process with its parent")
def test_a_process_whose_parent_is_gone_already_does_not_begin(write: Write, pid_file: Path) -> None:
    no_parent = str(os.getpid() + 1)
    done = subprocess.run(
        [sys.executable, "-P", "-m", write(ENDLESS), str(LIMITS.memory_bytes), no_parent, "600"], check=False
    )
    assert done.returncode == 1
    assert not pid_file.exists()


def test_a_machine_without_file_descriptors_is_overloaded(write: Write) -> None:
    module, (soft, hard) = write(HEAD), resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        with pytest.raises(OverloadedError, match="no process could be started for this call: Too many open files"):
            OwnProcesses().call(module, b"", LIMITS)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_process_that_the_machine_kills_is_no_fault_of_the_caller(write: Write) -> None:
    module = write(HEAD + "os.kill(os.getpid(), signal.SIGKILL)\n")
    with pytest.raises(OverloadedError, match="the machine may be out of memory"):
        OwnProcesses().call(module, b"", LIMITS)


def test_a_process_that_fails_says_why(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(OwnProcessError, match="no good"):
        OwnProcesses().call(write(HEAD + "sys.exit('bad\\nno good')\n"), b"", LIMITS)
    assert [record.getMessage() for record in caplog.records] == ["a_module ended with status 1: bad\nno good"]
