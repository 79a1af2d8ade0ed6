"""Forked trials end with their worker, although it is not their parent."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.alive import is_alive
from tests.unit.workers.user_code.test_process_starter import Trials
from tests.waiting import until
from workers.user_code.process import UserProcess

pytestmark = [pytest.mark.processes, pytest.mark.skipif(sys.platform != "linux", reason="forks need Linux")]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[Trials, list[UserProcess]]]:
    """Two forks of one process, in the middle of their code."""
    trials = Trials(tmp_path)
    trials.write("import time\nprint('begun', flush=True)\ntime.sleep(600)\n")
    processes = [trials.start()[0] for _ in range(2)]
    until(lambda: all(b"begun" in process.output.content() for process in processes))
    yield trials, processes
    for process in processes:
        process.end(0.0)
    trials.starter.close()


def die(process: UserProcess) -> None:
    """Do what the death of the worker does to the pipe of a trial: close its end."""
    with Path(os.devnull).open("wb") as nothing:
        os.dup2(nothing.fileno(), process._lifeline)


@pytest.mark.parametrize("has_ended", [True, False])
def test_a_fork_ends_with_its_worker(running: tuple[Trials, list[UserProcess]], *, has_ended: bool) -> None:
    """Also when the process that has forked it, and started the guard, has ended before."""
    trials, (first, second) = running
    if has_ended:
        trials.starter.close()

    die(first)

    until(lambda: first.has_ended, "the guard has killed it")
    assert not second.has_ended
    die(second)
    until(lambda: second.has_ended, "the guard has killed the other one too")


def test_the_guard_ends_with_the_last_trial(running: tuple[Trials, list[UserProcess]]) -> None:
    trials, processes = running
    (forking,) = trials.starter._forking.values()
    guards = set(children(forking._process.pid)) - {process.pid for process in processes}
    assert len(guards) == 1

    trials.starter.close()
    for process in processes:
        process.end(0.0)

    until(lambda: not any(map(is_alive, guards)), "the guard has ended")


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
