"""Being asked to end, by signals of a real process."""

import signal
import subprocess
import sys

HEAD = (
    "import os, time; from workers.stopping import Interrupted, Stopping; stopping = Stopping(); stopping.install(); "
)
UP = "os.write(1, b'up\\n'); "


def started(code: str) -> "subprocess.Popen[str]":
    """A process that has installed its handlers and says so."""
    process = subprocess.Popen([sys.executable, "-c", HEAD + code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


def test_the_first_signal_asks() -> None:
    with started(UP + "stopping.wait(60); print(stopping.is_set())") as process:
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=10)[0] == "True\n"
        assert process.returncode == 0


def test_the_second_signal_ends_at_once() -> None:
    with started(UP + "stopping.wait(60); os.write(1, b'asked\\n'); time.sleep(60); print('goes on')") as process:
        assert process.stdout is not None
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "asked\n"
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=10)[0] == ""
        assert process.returncode == 1


def test_a_signal_interrupts_what_may_be_left() -> None:
    code = "\nwith stopping.interruptible():\n try:\n  " + UP + "time.sleep(60)\n except Interrupted: print('left')"
    with started(code) as process:
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=10)[0] == "left\n"
        assert process.returncode == 0
