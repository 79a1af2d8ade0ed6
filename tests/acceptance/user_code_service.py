"""A service with workers that run the code in `users_code`, for the tests of custom objectives, models and data."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from service.client import Client, ServiceError
from service.schemas.final import Final
from service.schemas.results import Trial
from tests.acceptance.processes import worker
from tests.alive import is_alive
from tests.commands import Command
from tests.conftest import ServiceProcess, clean_environment
from tests.forking import USERS_NAME
from tests.waiting import PATIENCE_SECONDS, until

CODE = Path(__file__).parent / "users_code"
OPERATOR = "the operator's token"


class UserCodeService:
    """A running service. `worker` starts a worker with a token that has only the scope `work`."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder
        self.client = Client(url, OPERATOR)
        self.work_token = self.client.create_token("worker", ["work"]).token

    @contextmanager
    def worker(self, *flags: str, code: Path = CODE) -> Iterator[Command]:
        """Run a worker on the CPU, with SIGTERM at the end. Its output is appended to the folder's worker.log."""
        environment = clean_environment(NARROWS_TOKEN=self.work_token, TMPDIR=str(self.folder))
        given = ["--server", self.url, "--devices", "cpu", "--code", str(code), *flags]
        with worker(*given, environment=environment, cwd=self.folder) as process:
            yield process
            process.send_signal(signal.SIGTERM)
            output, _ = process.communicate(timeout=PATIENCE_SECONDS)
            with (self.folder / "worker.log").open("a") as log:
                log.write(output)

    def create(self, name: str, entrypoint: str, **changes: Any) -> str:
        """Create a study of a custom objective, and return its name."""
        training = {"entrypoint": entrypoint, **changes.pop("training", {})}
        definition = {
            "name": name,
            "objectives": [{"metric": "score", "direction": "maximize"}],
            "training": training,
            "sampler": {"name": "tpe", "seed": 0},
            "pruner": "none",
            "n_trials": 1,
            **changes,
        }
        self.client.create_study(definition)
        return name

    def finished(self, name: str) -> list[Trial]:
        """Wait until a study has finished, and return its trials."""
        until(lambda: self.client.study(name).state == "finished", f"{name} has finished")
        return list(self.client.trials(name))

    def tested(self, name: str) -> Final:
        """Wait until the final evaluation of a study has ended, and return it."""

        def has_ended() -> bool:
            try:
                return self.client.final(name).state != "running"
            except ServiceError:  # the study has finished, and its final evaluation has not begun
                return False

        until(has_ended, f"the final evaluation of {name} has ended")
        return self.client.final(name)

    def output(self, name: str, number: int = 0) -> str:
        """What the code of a trial has written, as far as it is uploaded."""
        path = self.folder / f"{name}-{number}.txt"
        self.client.download_artifact(name, number, "output", path)
        return path.read_text()

    def wait_for_output(self, name: str, words: str) -> str:
        """Wait until a trial has written the words, and return all that it has written."""

        def has_words() -> bool:
            if not list(self.client.trials(name)):
                return False  # no worker has claimed the trial yet
            there = [artifact.name for artifact in self.client.artifacts(name, 0)]
            return "output" in there and words in self.output(name)

        until(has_words, f"{name} has written: {words}")
        return self.output(name)


@contextmanager
def open_service(folder: Path, *flags: str, **variables: str) -> Iterator[UserCodeService]:
    """Run a service with its database and log in the folder, more flags for `narrows serve`, and more variables."""
    log = folder / "service.log"
    with log.open("wb") as stderr:
        given = ("--port", "0", "--database", f"sqlite:///{folder / 'narrows.db'}", *flags)
        environment = clean_environment(NARROWS_TOKEN=OPERATOR, **variables)
        process = Command("serve", *given, environment=environment, cwd=folder, stderr=stderr)
    service_process = ServiceProcess(process, log, 0)
    try:
        service_process.await_ready()
        service = UserCodeService(service_process.url, folder)
        with service.client:
            yield service
    finally:
        service_process.close()


def descendants(pid: int) -> list[int]:
    """The ids of a process and of all processes below it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    pids = [pid]
    for parent in pids:
        pids += children.get(parent, [])
    return pids


def kill_all(pid: int) -> list[int]:
    """Kill a worker and its processes, apart from those of users' code, whose ids are returned."""
    user_pids = []
    for descendant in descendants(pid):
        if Path(f"/proc/{descendant}/comm").read_text().strip() == USERS_NAME:
            user_pids.append(descendant)
        else:
            os.kill(descendant, signal.SIGKILL)
    return user_pids


def gone(pids: list[int]) -> bool:
    """Wait until the processes have ended; False if one has not ended in time."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while any(map(is_alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(map(is_alive, pids))
