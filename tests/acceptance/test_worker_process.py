"""`narrows worker` against a real service: being told to end, and being killed."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import TimeoutExpired

import pytest

from service.client import Client
from service.schemas.results import Trial
from tests.acceptance.processes import worker
from tests.acceptance.user_code_service import descendants, gone
from tests.commands import Command
from tests.conftest import ServiceProcess, StartService, clean_environment
from tests.waiting import PATIENCE_SECONDS, until


class Workshop:
    """A study of one long trial, and workers for it."""

    def __init__(self, client: Client, folder: Path) -> None:
        self.client = client
        self._folder = folder

    def create(self, epochs: int, batch_size: int = 128) -> None:
        space = {"learning_rate": {"type": "float", "low": 1e-3, "high": 1e-2, "log": True}}
        model = {"name": "mlp", "hidden": [16]}
        training = {"dataset": "digits", "model": model, "epochs": epochs, "batch_size": batch_size}
        self.client.create_study(
            {"name": "one", "search_space": space, "training": training, "pruner": "none", "n_trials": 1}
        )

    @contextmanager
    def worker(self, *flags: str) -> Iterator[Command]:
        given = ["--server", self.client.server, "--processes", "1", *flags]
        with worker(*given, environment=clean_environment(), cwd=self._folder) as process:
            yield process

    def trial(self) -> Trial:
        return self.client.trial("one", 0)

    def await_report(self) -> None:
        until(lambda: any(trial.step for trial in self.client.trials("one")), "the trial has reported")


@pytest.fixture
def workshop(tmp_path: Path, service_process: StartService) -> Iterator[Workshop]:
    service = service_process("--lease-seconds", "10")
    with Client(service.url) as client:
        yield Workshop(client, tmp_path)


def test_sigterm_gives_the_trial_back_and_ends_with_0(workshop: Workshop) -> None:
    workshop.create(epochs=5000)
    with workshop.worker() as worker:
        workshop.await_report()
        worker.send_signal(signal.SIGTERM)
        output, _ = worker.communicate(timeout=PATIENCE_SECONDS)
    assert worker.returncode == 0, output
    trial = workshop.trial()
    assert (trial.state, [attempt.outcome for attempt in trial.attempts]) == ("WAITING", ["release"])
    assert "one #0: given back" in output
    assert "Traceback" not in output


def test_sigterm_while_idle_ends_at_once_with_0(workshop: Workshop) -> None:
    with workshop.worker() as worker:
        until(lambda: workshop.client.workers().workers, "the worker has asked for a trial")
        worker.send_signal(signal.SIGTERM)
        output, _ = worker.communicate(timeout=PATIENCE_SECONDS)
    assert worker.returncode == 0, output


def test_children_of_a_killed_parent_give_their_trials_back_and_end(workshop: Workshop) -> None:
    workshop.create(epochs=5000)
    with workshop.worker() as worker:
        workshop.await_report()
        pids = descendants(worker.pid)
        worker.kill()
        assert gone(pids)
    assert [attempt.outcome for attempt in workshop.trial().attempts] == ["release"]


def test_the_trial_of_a_killed_worker_is_finished_by_another(workshop: Workshop) -> None:
    workshop.create(epochs=60)
    with workshop.worker() as worker:
        workshop.await_report()
        for pid in descendants(worker.pid):
            os.kill(pid, signal.SIGKILL)
        worker.wait(PATIENCE_SECONDS)
    with workshop.worker() as worker:
        until(lambda: workshop.trial().state == "COMPLETE", "the trial is complete")
        worker.send_signal(signal.SIGTERM)
        output, _ = worker.communicate(timeout=PATIENCE_SECONDS)
    assert worker.returncode == 0, output
    attempts = workshop.trial().attempts
    assert [(attempt.attempt, attempt.outcome) for attempt in attempts] == [(1, "expire"), (2, "complete")]
    assert workshop.trial().metrics["validation_accuracy"] > 0.5


@pytest.fixture
def patient(tmp_path: Path, service_process: StartService, free_port: int) -> Iterator["Patient"]:
    """A service with long leases, that may go and come back."""
    flags = ("--port", str(free_port), "--lease-seconds", "60")
    service = service_process(*flags)
    with Client(service.url) as client:
        yield Patient(Workshop(client, tmp_path), service, lambda: service_process(*flags))


@dataclass
class Patient:
    workshop: Workshop
    service: ServiceProcess
    start_again: Callable[[], ServiceProcess]


def cpu_seconds(pid: int) -> float:
    """What a process and its threads have used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_worker_trains_on_while_the_service_is_away_and_hands_in_every_report(patient: Patient) -> None:
    epochs = 200  # of a few hundredths of a second each: more than what is waited for
    workshop = patient.workshop
    workshop.create(epochs, batch_size=8)
    with workshop.worker("--exit-when-idle", "1") as worker:
        workshop.await_report()
        patient.service.kill()
        (pid,) = [pid for pid in descendants(worker.pid) if os.getsid(pid) == pid]
        before = cpu_seconds(pid)
        until(lambda: cpu_seconds(pid) > before + 0.5, "the worker trains on")
        patient.start_again()
        until(lambda: workshop.trial().state == "COMPLETE", "the trial is complete")
        output, _ = worker.communicate(timeout=PATIENCE_SECONDS)
    assert worker.returncode == 0, output
    assert [(attempt.attempt, attempt.outcome) for attempt in workshop.trial().attempts] == [(1, "complete")]
    assert workshop.client.curves("one", 0).steps == list(range(epochs))


def test_a_second_sigterm_ends_a_worker_that_cannot_give_its_trial_back(patient: Patient) -> None:
    patient.workshop.create(epochs=5000)
    with patient.workshop.worker() as worker:
        patient.workshop.await_report()
        patient.service.process.send_signal(signal.SIGSTOP)  # it takes calls and answers none
        try:
            worker.send_signal(signal.SIGTERM)
            with pytest.raises(TimeoutExpired):
                worker.wait(2)
            pids = descendants(worker.pid)
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(PATIENCE_SECONDS) == 1
            assert gone(pids)
        finally:
            patient.service.process.send_signal(signal.SIGCONT)


def test_a_worker_without_the_right_token_ends_with_one_line(tmp_path: Path, service_process: StartService) -> None:
    service = service_process(environment={"NARROWS_TOKEN": "right"})
    environment = clean_environment(NARROWS_TOKEN="wrong")
    with worker("--server", service.url, "--processes", "1", environment=environment, cwd=tmp_path) as process:
        output, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 1
    assert "Traceback" not in output
    assert len([line for line in output.splitlines() if "ERROR" in line]) == 1


def test_a_device_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with worker("--devices", "gpu0", environment=clean_environment(), cwd=tmp_path) as process:
        output, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 2
    lists = "a list such as cuda:0,cuda:1 or, in groups, cuda:0+cuda:1,cuda:2+cuda:3"
    assert output == f"narrows: devices must be auto, cpu or {lists}: 'gpu0'\n"
