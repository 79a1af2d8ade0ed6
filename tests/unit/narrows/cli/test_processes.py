"""Being asked to end, by signals of a real process."""

import signal
import subprocess
import sys

import pytest

from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.processes

HEAD = (
    "import os, signal, time; from narrows.cli import processes; from narrows.cli.processes import AskedAgain; "
    "signal.signal(signal.SIGHUP, signal.HANGUP); processes.ECHO_SECONDS = ECHO; processes.end_on_signals()"
)
WAITS = """
try:
    os.write(1, b"up\\n")
    time.sleep(60)
finally:
    try:
        os.write(1, b"asked\\n")
        time.sleep(ENDS_SECONDS)
        print("ended well")
    except AskedAgain:
        print("asked again")
        raise
"""


def started(echo_seconds: float, hangup: str = "SIG_DFL", ends_seconds: float = 0.5) -> "subprocess.Popen[str]":
    waits = WAITS.replace("ENDS_SECONDS", str(ends_seconds))
    code = HEAD.replace("= ECHO", f"= {echo_seconds}").replace("HANGUP", hangup) + waits
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_leaves_by_the_first_signal_and_not_by_its_echo(number: signal.Signals) -> None:
    with started(echo_seconds=60.0) as process:
        assert process.stdout is not None
        process.send_signal(number)
        assert process.stdout.readline() == "asked\n"
        process.send_signal(number)
        assert process.communicate(timeout=PATIENCE_SECONDS)[0] == "ended well\n"
        assert process.returncode == 128 + number


def test_who_asks_again_is_heard() -> None:
    with started(echo_seconds=0.0, ends_seconds=60.0) as process:
        assert process.stdout is not None
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "asked\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=PATIENCE_SECONDS)[0] == "asked again\n"
        assert process.returncode == 128 + signal.SIGINT


def test_what_nohup_has_started_does_not_end_with_its_terminal() -> None:
    with started(echo_seconds=0.0, hangup="SIG_IGN") as process:
        assert process.stdout is not None
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "asked\n"
        assert process.communicate(timeout=PATIENCE_SECONDS)[0] == "ended well\n"
        assert process.returncode == 128 + signal.SIGTERM
