"""Users' code that kills its worker does not see the token when another process is started in its place."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from narrows.cli.bound import bound
from tests.acceptance.user_code_service import CODE, UserCodeService, open_service
from tests.commands import NARROWS
from tests.conftest import clean_environment
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")

WITHOUT_PTRACE = (
    "import ctypes, os, sys; PR_CAPBSET_DROP, CAP_SYS_PTRACE = 24, 19; "
    "ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_SYS_PTRACE, 0, 0, 0); os.execv(sys.argv[1], sys.argv[1:])"
)
"""Runs a command that has no rights over other processes beyond those of an ordinary user, even if root starts it."""


def ordinary(*command: str, cwd: Path, **variables: str) -> "subprocess.Popen[bytes]":
    """Start a process that has no more rights than that of an ordinary user."""
    given = bound([sys.executable, "-c", WITHOUT_PTRACE, *command])
    return subprocess.Popen(given, env=clean_environment(**variables), cwd=cwd)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[UserCodeService]:
    with open_service(tmp_path, "--lease-seconds", "5") as service:
        yield service


@pytest.fixture
def planted(service: UserCodeService) -> Iterator[int]:
    """A process that looks like a worker and has the token in its environment, for the spy to find."""
    command = [sys.executable, "-c", "import time; time.sleep(600)", f"--server={service.url}"]
    with ordinary(*command, cwd=service.folder, PLANTED=service.work_token) as process:
        yield process.pid
        process.kill()


def test_the_token_is_at_no_moment_in_sight(service: UserCodeService, planted: int, tmp_path: Path) -> None:
    training = {"arguments": {"end": service.work_token[-16:], "server": service.url, "folder": str(tmp_path)}}
    service.create("hunting", "tuned.hunting:hunt", training=training)
    flags = ["--server", service.url, "--devices", "cpu", "--processes", "1", "--allow", "tuned", "--code", str(CODE)]
    variables = {"NARROWS_TOKEN": service.work_token, "TMPDIR": str(tmp_path)}
    with ordinary(NARROWS, "worker", *flags, cwd=tmp_path, **variables) as worker:
        try:
            (trial,) = service.finished("hunting")
        finally:
            worker.terminate()
            worker.wait(PATIENCE_SECONDS)
    assert [attempt.outcome for attempt in trial.attempts] == ["expire", "complete"], trial.reason
    found = json.loads((tmp_path / "found").read_text())
    assert found["token"] == [planted]
    assert found["memory"] == [planted]
