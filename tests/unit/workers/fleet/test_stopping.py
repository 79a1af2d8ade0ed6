"""Stopping a real process by signals."""

import signal
import subprocess
import sys

import pytest

from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.processes

HEAD = (
    "import os, time; from workers.fleet import stopping as module; "
    "from workers.fleet.stopping import Interrupted, Stopping; "
    "module.ECHO_SECONDS = ECHO; stopping = Stopping(); stopping.install(); "
)
UP = "os.write(1, b'up\\n'); "


def started(code: str, echo_seconds: float = 0.0) -> "subprocess.Popen[str]":
    """Start a process and wait until it has installed its signal handlers."""
    code = HEAD.replace("= ECHO", f"= {echo_seconds}") + code
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


def test_the_first_signal_asks_the_process_to_stop() -> None:
    with started(UP + "stopping.wait(60); print(stopping.is_set())") as process:
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=PATIENCE_SECONDS)[0] == "True\n"
        assert process.returncode == 0


@pytest.mark.parametrize(("set_before", "is_asked"), [("SIG_DFL", True), ("SIG_IGN", False)])
def test_a_closed_terminal_asks_the_process_to_stop_except_under_nohup(set_before: str, is_asked: bool) -> None:
    again = f"signal.signal(signal.SIGHUP, signal.{set_before}); stopping.install(); "
    send = "os.kill(os.getpid(), signal.SIGHUP); print(stopping.is_set())"
    with started("import signal; " + again + UP + send) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"{is_asked}\n"  # it may have been read together with the line before


def test_the_second_signal_ends_at_once() -> None:
    with started(UP + "stopping.wait(60); os.write(1, b'asked\\n'); time.sleep(60); print('goes on')") as process:
        assert process.stdout is not None
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "asked\n"
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=PATIENCE_SECONDS)[0] == ""
        assert process.returncode == 1


def test_the_echo_of_a_signal_is_not_another_one() -> None:
    code = UP + "stopping.wait(60); os.write(1, b'asked\\n'); time.sleep(0.5); print('goes on')"
    with started(code, echo_seconds=60.0) as process:
        assert process.stdout is not None
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "asked\n"
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=PATIENCE_SECONDS)[0] == "goes on\n"
        assert process.returncode == 0


def test_a_signal_interrupts_an_interruptible_block() -> None:
    code = "\nwith stopping.interruptible():\n try:\n  " + UP + "time.sleep(60)\n except Interrupted: print('left')"
    with started(code) as process:
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=PATIENCE_SECONDS)[0] == "left\n"
        assert process.returncode == 0
