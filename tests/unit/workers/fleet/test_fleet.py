import signal
import subprocess
import sys
from collections.abc import Sequence
from functools import partial

import pytest

from tests.unit.workers.fakes import FakeTime
from tests.waiting import PATIENCE_SECONDS, until
from workers.fleet.fleet import EXIT_CRASHED, EXIT_NO_RESTART, EXIT_OK, Fleet, WorkerSlot

pytestmark = pytest.mark.processes


class Program:
    """A process that runs a line of Python. It is no fork: the process of the tests has threads."""

    def __init__(self, code: str) -> None:
        self._process = subprocess.Popen([sys.executable, "-S", "-c", code])
        self.pid = self._process.pid

    @property
    def exitcode(self) -> int | None:
        return self._process.poll()


def slot(code: str) -> WorkerSlot:
    """Return a slot whose process runs a line of Python."""
    return WorkerSlot("cpu", partial(Program, code))


def await_end(slot: WorkerSlot) -> None:
    assert slot.process is not None
    process = slot.process
    until(lambda: process.exitcode is not None, "the process has ended")


def tend_until_ended(place: WorkerSlot, time: FakeTime) -> None:
    place.tend(time())
    await_end(place)
    place.tend(time())


@pytest.mark.parametrize(("codes", "status"), [(["0", "0"], EXIT_OK), (["0", "2"], EXIT_CRASHED)])
def test_the_fleet_succeeds_only_if_every_process_did(codes: Sequence[str], status: int) -> None:
    slots = [slot(f"raise SystemExit({code})") for code in codes]
    assert Fleet(slots).run() == status


def test_a_process_that_crashes_again_is_restarted_after_growing_pauses() -> None:
    time, only = FakeTime(), slot("raise SystemExit(1)")
    pauses = []
    for _ in range(4):
        tend_until_ended(only, time)
        assert only.status is None
        pauses.append(only.start_at - time.now)
        only.tend(time())
        assert only.process is None
        time.now = only.start_at
    tend_until_ended(only, time)
    assert pauses == [1.0, 2.0, 4.0, 8.0]
    assert only.status == EXIT_CRASHED


def test_the_pause_is_short_again_after_a_process_has_run_for_long() -> None:
    time, only = FakeTime(), slot("raise SystemExit(1)")
    for _ in range(10):
        only.tend(time())
        await_end(only)
        time.sleep(60.0)
        only.tend(time())
        assert (only.n_crashes, only.status) == (1, None)
        time.now = only.start_at


def test_a_process_that_would_fail_again_is_not_restarted() -> None:
    time, only = FakeTime(), slot(f"raise SystemExit({EXIT_NO_RESTART})")
    tend_until_ended(only, time)
    assert only.status == EXIT_NO_RESTART


WAITS_FOR_SIGTERM = (
    "import os, signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b'end\\n'), sys.exit(0))); "
    "os.write(1, b'up' + bytes([10])); time.sleep(60)"  # one write: print makes two, which mix with the other process's
)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_every_process_gets_sigterm_from_the_fleet_and_when_the_fleet_is_killed(number: signal.Signals) -> None:
    with fleet_of(WAITS_FOR_SIGTERM, n=2) as fleet:
        assert fleet.stdout is not None
        fleet.send_signal(number)
        assert fleet.wait(PATIENCE_SECONDS) == (0 if number == signal.SIGTERM else -number)
        assert fleet.stdout.read() == "end\n" * 2  # the pipe is at its end: no process is left that holds it


def fleet_of(
    code: str, clock: str = "time.monotonic", echo_seconds: float = 0.0, n: int = 1
) -> "subprocess.Popen[str]":
    """Run a fleet of n processes and wait until they are up."""
    starts = (
        "import itertools, sys, time; from functools import partial; from workers.fleet import fleet; "
        "from workers.fleet.fleet import Fleet, WorkerSlot; from workers.fleet.forks import Forks; "
        f"fleet.ECHO_SECONDS = {echo_seconds}; forks = Forks(); "
        f"slots = [WorkerSlot('cpu', forks.starter(partial(exec, {code!r}, {{}}))) for _ in range({n})]; "
        f"fleet = Fleet(slots, {clock}); fleet.install(); sys.exit(fleet.run())"
    )
    fleet = subprocess.Popen([sys.executable, "-c", starts], stdout=subprocess.PIPE, text=True)
    assert fleet.stdout is not None
    assert [fleet.stdout.readline() for _ in range(n)] == ["up\n"] * n
    return fleet


def test_a_second_signal_is_passed_on() -> None:
    code = (
        "import itertools, os, signal, time; told = itertools.count(1); "
        "signal.signal(signal.SIGTERM, lambda *_: os.write(1, b'first\\n') if next(told) == 1 else os._exit(1)); "
        "os.write(1, b'up\\n'); [time.sleep(1) for _ in range(60)]"
    )
    with fleet_of(code) as fleet:
        assert fleet.stdout is not None
        fleet.send_signal(signal.SIGTERM)
        assert fleet.stdout.readline() == "first\n"
        assert fleet.poll() is None
        fleet.send_signal(signal.SIGTERM)
        assert fleet.communicate(timeout=PATIENCE_SECONDS)[0] == ""
        assert fleet.returncode == EXIT_CRASHED


def test_the_echo_of_a_signal_is_not_passed_on() -> None:
    code = (
        "import os, signal, sys, time; told = []; "
        "signal.signal(signal.SIGTERM, lambda *_: told.append(os.write(1, b'told\\n'))); os.write(1, b'up\\n'); "
        "[time.sleep(0.01) for _ in iter(lambda: bool(told), True)]; time.sleep(0.5); sys.exit(0)"
    )
    with fleet_of(code, echo_seconds=60.0) as fleet:
        assert fleet.stdout is not None
        fleet.send_signal(signal.SIGTERM)
        assert fleet.stdout.readline() == "told\n"
        fleet.send_signal(signal.SIGTERM)
        assert fleet.communicate(timeout=PATIENCE_SECONDS)[0] == ""
        assert fleet.returncode == EXIT_OK


def test_a_process_that_ignores_the_second_signal_is_killed_soon() -> None:
    code = (
        "import os, signal, time; signal.signal(signal.SIGTERM, lambda *_: os.write(1, b'told\\n')); "
        "os.write(1, b'up\\n'); [time.sleep(1) for _ in range(60)]"
    )
    with fleet_of(code) as fleet:
        assert fleet.stdout is not None
        for _ in range(2):
            fleet.send_signal(signal.SIGTERM)
            assert fleet.stdout.readline() == "told\n"
        assert fleet.communicate(timeout=PATIENCE_SECONDS)[0] == ""
        assert fleet.returncode == EXIT_CRASHED


def test_a_process_that_does_not_drain_is_killed_after_half_a_minute() -> None:
    code = (
        "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "os.write(1, b'up\\n'); [time.sleep(1) for _ in range(60)]"
    )
    with fleet_of(code, clock="itertools.count(step=5).__next__") as fleet:
        fleet.send_signal(signal.SIGTERM)
        assert fleet.communicate(timeout=PATIENCE_SECONDS)[0] == ""
        assert fleet.returncode == EXIT_CRASHED
