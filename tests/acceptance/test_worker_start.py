"""How `narrows worker` starts: its processes are forks of one that has imported what they need."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from narrows.cli.bound import bound
from service.client import Client
from tests.acceptance.processes import Marked, narrows
from tests.commands import NARROWS
from tests.conftest import StartService, clean_environment
from tests.waiting import PATIENCE_SECONDS, until

IMPORTED = re.compile(r"^import time: +\d+ \| +\d+ \| *(\S+)$", re.MULTILINE)
"""A line that Python writes for each import of a module, in each process."""

STARTS_A_THREAD = """
import importlib.abc, sys, threading, time
class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "torch":
            threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
sys.meta_path.insert(0, Finder())
"""


@pytest.fixture
def client(service_process: StartService) -> Iterator[Client]:
    with Client(service_process("--lease-seconds", "5").url) as client:
        yield client


def create(client: Client, n_trials: int, epochs: int) -> None:
    space = {"learning_rate": {"type": "float", "low": 1e-3, "high": 1e-2, "log": True}}
    training = {"dataset": "digits", "model": {"name": "mlp", "hidden": [16]}, "epochs": epochs}
    client.create_study({"name": "one", "search_space": space, "training": training, "n_trials": n_trials})


def flags(client: Client, n_processes: int) -> list[str]:
    return ["worker", "--server", client.server, "--devices", "cpu", "--processes", str(n_processes), "--lanes", "1"]


def claimers(client: Client) -> list[int]:
    """Ids of the processes that have claimed trials."""
    return [int(worker.id.split("/")[1].partition("-")[0]) for worker in client.workers().workers]


@contextmanager
def running(*flags: str, output: IO[bytes], environment: dict[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a `narrows` command that writes more than a pipe takes. It is killed at the end if it still runs."""
    variables = clean_environment(**environment)
    command = bound([NARROWS, *flags])
    with subprocess.Popen(command, stdout=output, stderr=output, env=variables, start_new_session=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_what_training_needs_is_imported_once_for_all_processes_and_their_replacements(
    client: Client, marked: Marked, tmp_path: Path
) -> None:
    create(client, n_trials=2, epochs=5000)
    variables = {**marked.environment, "PYTHONPROFILEIMPORTTIME": "1"}
    log = tmp_path / "log"
    with log.open("wb") as output, running(*flags(client, 2), output=output, environment=variables) as worker:
        until(lambda: sum(bool(trial.step) for trial in client.trials("one")) == 2, "both trials have reported")
        first = marked.workers()
        assert all("memfd:narrows-data" in Path(f"/proc/{pid}/maps").read_text() for pid in first)
        os.kill(first[0], signal.SIGKILL)
        until(lambda: set(claimers(client)) - set(first), "a replacement has claimed")
        worker.terminate()
        worker.wait(PATIENCE_SECONDS)
    imported = IMPORTED.findall(log.read_text())
    assert imported.count("torch") == 1
    assert imported.count("workers.loop.process") == 1
    assert {name.partition(".")[0] for name in imported} & {"torchvision", "sklearn", "scipy"} == set()


def test_processes_import_themselves_what_cannot_be_imported_before_a_fork(client: Client, tmp_path: Path) -> None:
    create(client, n_trials=1, epochs=1)
    (tmp_path / "sitecustomize.py").write_text(STARTS_A_THREAD)
    variables = {"PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "3"}
    more = ["--exit-when-idle", "0"]
    with narrows(*flags(client, 1), *more, environment=clean_environment(**variables), cwd=tmp_path) as worker:
        output, _ = worker.communicate(timeout=PATIENCE_SECONDS)
    assert worker.returncode == 0, output
    assert output.count("imports PyTorch itself, because it starts threads when it is imported") == 1
    assert client.trial("one", 0).state == "COMPLETE"
