"""A service, and workers that run the code in `users_code`, for the tests of users' own training code."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from narrows.cli.bound import bound
from service.client import Client, ServiceError
from service.schemas.final import Final
from service.schemas.results import Trial
from tests.acceptance.processes import narrows, until
from tests.conftest import NARROWS, ServiceProcess, clean_environment

CODE = Path(__file__).parent / "users_code"
OPERATOR = "the operator's token"


class House:
    """Studies of users' code. `worker` starts workers with a token of scope `work` alone."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder
        self.client = Client(url, OPERATOR)
        self.work_token = self.client.create_token("worker", ["work"]).token

    @contextmanager
    def worker(self, *flags: str, code: Path = CODE) -> Iterator["subprocess.Popen[str]"]:
        """What it writes is in worker.log of the folder."""
        environment = clean_environment(NARROWS_TOKEN=self.work_token, TMPDIR=str(self.folder))
        given = ["worker", "--server", self.url, "--devices", "cpu", "--code", str(code), *flags]
        with narrows(*given, environment=environment, cwd=self.folder) as process:
            yield process
            process.send_signal(signal.SIGTERM)
            output, _ = process.communicate(timeout=40)
            with (self.folder / "worker.log").open("a") as log:
                log.write(output)

    def create(self, name: str, entrypoint: str, **changes: Any) -> str:
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

    def finished(self, name: str, seconds: float = 120.0) -> list[Trial]:
        """The trials of a study, once it has finished."""
        until(lambda: self.client.study(name).state == "finished", seconds, f"{name} has finished")
        return list(self.client.trials(name))

    def tested(self, name: str, seconds: float = 300.0) -> Final:
        """The final evaluation of a study that asks for one, once it has ended."""

        def has_ended() -> bool:
            try:
                return self.client.final(name).state != "running"
            except ServiceError:  # the study has finished, and it has not begun yet
                return False

        until(has_ended, seconds, f"the final evaluation of {name} has ended")
        return self.client.final(name)

    def output(self, name: str, number: int = 0) -> str:
        path = self.folder / f"{name}-{number}.txt"
        self.client.download_artifact(name, number, "output", path)
        return path.read_text()

    def wait_for_output(self, name: str, words: str) -> str:
        """What a trial has written, once some words are in it."""

        def has_words() -> bool:
            there = [artifact.name for artifact in self.client.artifacts(name, 0)]
            return "output" in there and words in self.output(name)

        until(has_words, 30, f"{name} has written: {words}")
        return self.output(name)


@contextmanager
def open_house(folder: Path, *flags: str) -> Iterator[House]:
    log = folder / "service.log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            bound([NARROWS, "serve", "--port", "0", "--database", f"sqlite:///{folder / 'narrows.db'}", *flags]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=clean_environment(NARROWS_TOKEN=OPERATOR),
            cwd=folder,
            bufsize=0,
        )
    service = ServiceProcess(process, log, 0)
    try:
        service.await_ready()
        house = House(service.url, folder)
        with house.client:
            yield house
    finally:
        service.close()


def is_alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def descendants(pid: int) -> list[int]:
    """A process and all below it."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [pid]
    for one in found:
        found += parents.get(one, [])
    return found


def kill_all(pid: int) -> list[int]:
    """kill -9 of a worker's fleet and its processes, but of no user's process; what user processes there were."""
    users = []
    for one in descendants(pid):
        command = Path(f"/proc/{one}/cmdline").read_bytes()
        if b"workers.user_process" in command:
            users.append(one)
        else:
            os.kill(one, signal.SIGKILL)
    return users


def gone(pids: list[int], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while any(map(is_alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(map(is_alive, pids))
