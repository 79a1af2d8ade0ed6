"""The process of a custom sampler: what it is given, when it is started again, and that nothing is left of it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import optuna
import pytest
from optuna.samplers import TPESampler

from service.sampling.custom.custom_samplers import MEMORY_BYTES
from service.sampling.custom.errors import CustomSamplerError, SamplerEndedError
from service.sampling.custom.messages import Start, pickled
from service.sampling.custom.process_sampler import ProcessSampler
from service.sampling.custom.sampler_process import SamplerProcess, sampler_environment
from tests.alive import is_alive
from tests.waiting import PATIENCE_SECONDS, until

MODULE = "a_sampler"
CODE = """\
import os, signal, subprocess, sys
from optuna.samplers import RandomSampler

def make(**options):
    return RandomSampler(**options)

def endless(path):
    child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    with open(path, "w") as file:
        file.write(f"{os.getpid()} {child.pid}\\n")
    signal.pause()

class Exits(RandomSampler):
    def sample_independent(self, study, trial, name, distribution):
        os._exit(9)

class Large(RandomSampler):
    def before_trial(self, study, trial):
        study._storage.set_trial_system_attr(trial._trial_id, "large", "x" * 10_000_000)

class NoJson(RandomSampler):
    def before_trial(self, study, trial):
        study._storage.set_trial_system_attr(trial._trial_id, "object", object())

class Thief(RandomSampler):
    def before_trial(self, study, trial):
        study._storage.set_trial_system_attr(study.trials[0]._trial_id, "mine", 1)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / f"{MODULE}.py").write_text(CODE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Starts:
    """Starts processes, and counts them."""

    def __init__(self) -> None:
        self.processes: list[SamplerProcess] = []

    def __call__(self) -> SamplerProcess:
        self.processes.append(SamplerProcess(MEMORY_BYTES))
        return self.processes[-1]


@pytest.fixture
def starts() -> Iterator[Starts]:
    starts = Starts()
    yield starts
    for process in starts.processes:
        process.kill()


def sampler(starts: Starts, function: str, clock: Clock | None = None) -> ProcessSampler:
    return ProcessSampler(
        f"{MODULE}:{function}", {}, 60.0, has_trials=False, start_process=starts, monotonic=clock or Clock()
    )


def suggested(study: optuna.Study) -> float:
    return study.ask().suggest_float("x", 0, 1)


def pids_in(path: Path) -> list[int]:
    until(lambda: path.exists() and path.read_text().endswith("\n"), f"the sampler has written {path.name}")
    return [int(pid) for pid in path.read_text().split()]


def test_the_environment_has_no_secret_and_no_setting_of_the_service() -> None:
    given = {
        "PATH": "/bin",
        "PYTHONPATH": "/code",
        "OMP_NUM_THREADS": "1",
        "NARROWS_TOKEN": "t",
        "NARROWS_DATABASE": "postgresql+psycopg://u:p@h/n",
        "AWS_SECRET_ACCESS_KEY": "s",
        "PGPASSWORD": "p",
        "GITHUB_TOKEN": "t",
        "my_password": "p",
    }
    assert sampler_environment(given) == {"PATH": "/bin", "PYTHONPATH": "/code", "OMP_NUM_THREADS": "1"}


@pytest.mark.processes
def test_a_process_that_ends_again_and_again_is_started_after_longer_and_longer_pauses(
    folder: Path, starts: Starts
) -> None:
    clock = Clock()
    study = optuna.create_study(sampler=sampler(starts, "Exits", clock))
    ended = f"{MODULE}:Exits: its process ended with status 9"
    for n_started, pause in ((2, 1), (3, 3), (4, 7)):
        while len(starts.processes) < n_started:
            with pytest.raises(SamplerEndedError, match=f"^{ended}$"):
                suggested(study)
        with pytest.raises(CustomSamplerError, match=f"^{ended}; it starts again in {pause} s$"):
            suggested(study)
        assert len(starts.processes) == n_started
        clock.now += pause


@pytest.mark.processes
@pytest.mark.parametrize(
    ("function", "text"),
    [
        ("Large", "its answer must have at most 4194304 bytes: "),
        ("NoJson", "an attribute that it sets must be JSON: "),
        ("Thief", "RuntimeError: a suggestion must not change another trial: 0"),
    ],
)
def test_what_a_sampler_sets_has_limits(folder: Path, starts: Starts, function: str, text: str) -> None:
    study = optuna.create_study()
    study.add_trial(optuna.create_trial(values=[1.0]))
    study.sampler = sampler(starts, function)
    with pytest.raises(CustomSamplerError, match=f"^{MODULE}:{function}: {text}"):
        suggested(study)
    assert study.trials[1].system_attrs == {}


@pytest.mark.processes
def test_a_sampler_that_has_suggested_before_does_not_repeat_itself(starts: Starts) -> None:
    def first(*, has_trials: bool) -> float:
        options = {"seed": 1}
        made = ProcessSampler("optuna.samplers:TPESampler", options, 60.0, has_trials=has_trials, start_process=starts)
        return suggested(optuna.create_study(sampler=made))

    plain = suggested(optuna.create_study(sampler=TPESampler(seed=1)))
    assert first(has_trials=False) == plain
    assert first(has_trials=True) != plain


@pytest.mark.processes
@pytest.mark.skipif(sys.platform != "linux", reason="only the Linux kernel ends a process with its parent")
def test_a_process_dies_with_the_service(folder: Path) -> None:
    path = folder / "pids"
    start = Start(f"{MODULE}:endless", {"path": str(path)}, False, 0, "", [])
    calling = (
        "from service.sampling.custom.sampler_process import SamplerProcess; "
        f"SamplerProcess({MEMORY_BYTES}).ask([{pickled(start)!r}], 600)"
    )
    with subprocess.Popen([sys.executable, "-c", calling]) as service:
        pid, child = pids_in(path)
        assert is_alive(pid)
        service.kill()
    until(lambda: not is_alive(pid), "the process has died with the service")
    os.kill(child, 9)


@pytest.mark.processes
@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
def test_a_process_is_killed_with_those_that_it_has_started(folder: Path, starts: Starts) -> None:
    path = folder / "pids"
    start = Start(f"{MODULE}:endless", {"path": str(path)}, False, 0, "", [])
    process = starts()
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(process.ask, [pickled(start)], PATIENCE_SECONDS)
        pids = pids_in(path)
        process.kill()
        with pytest.raises(SamplerEndedError, match="its process was ended by SIGKILL"):
            asked.result()
    until(lambda: not any(map(is_alive, pids)), "the processes have ended")
