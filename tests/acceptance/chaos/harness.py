"""A real service, real workers and a bad network between them, in which both are killed again and again."""

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self

from narrows.cli.bound import bound
from service.client import Client
from tests.acceptance.chaos.proxy import Proxy
from tests.acceptance.processes import Marked
from tests.commands import NARROWS
from tests.conftest import ServiceProcess, clean_environment, free_tcp_port
from tests.waiting import PATIENCE_SECONDS

LEASE_SECONDS = 5.0
POLL_SECONDS = 0.2
EPOCHS = 12

Plan = Callable[[float], Sequence[str]]
"""From the share of finished trials to what shall happen now: kill worker, kill service, freeze worker."""


def definition(name: str, n_trials: int, seed: int) -> dict[str, Any]:
    """A small real training, of a second or so."""
    return {
        "name": name,
        "search_space": {
            "learning_rate": {"type": "float", "low": 1e-3, "high": 1e-2, "log": True},
            "dropout": {"type": "float", "low": 0.0, "high": 0.5},
        },
        "training": {
            "dataset": "digits",
            "model": {"name": "mlp", "hidden": [16]},
            "batch_size": 8,
            "epochs": EPOCHS,
        },
        "sampler": {"name": "tpe", "seed": seed},
        "pruner": {"name": "median", "n_startup_trials": 4, "n_warmup_steps": 3},
        "n_trials": n_trials,
        "max_attempts": 20,
    }


class Turmoil:
    """Runs studies in a folder, on a database, until it is left; then no process of it is alive."""

    def __init__(self, folder: Path, database: str, seed: int, n_workers: int = 8) -> None:
        self.happened: Counter[str] = Counter()
        self._folder = folder
        self._database = database
        self._numbers = random.Random(seed)
        self._seed = seed
        self._n_workers = n_workers
        self._marked = Marked()
        self._port = free_tcp_port()
        self._frozen: dict[int, float] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(self._end_processes)
            self.proxy = stack.enter_context(Proxy(self._port, self._seed))
            self._start_service()
            self.client = stack.enter_context(Client(self._service.url))
            self._fleet = self._start_fleet()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _end_processes(self) -> None:
        self._marked.kill()
        for process in (getattr(self, "_fleet", None), getattr(getattr(self, "_service", None), "process", None)):
            if process is not None:
                process.wait(PATIENCE_SECONDS)
                if process.stdout is not None:
                    process.stdout.close()

    def _start(self, log: str, *arguments: str, **streams: Any) -> "subprocess.Popen[bytes]":
        environment = clean_environment(**self._marked.environment)
        with (self._folder / log).open("ab") as stderr:
            return subprocess.Popen(
                bound([NARROWS, *arguments]),
                stdin=subprocess.DEVNULL,
                stderr=stderr,
                env=environment,
                cwd=self._folder,
                bufsize=0,
                start_new_session=True,
                **streams,
            )

    def _start_service(self) -> None:
        flags = ["--port", str(self._port), "--database", self._database, "--lease-seconds", f"{LEASE_SECONDS:g}"]
        process = self._start("service.log", "serve", "--standby", *flags, stdout=subprocess.PIPE)
        self._service = ServiceProcess(process, self._folder / "service.log", None)
        self._service.await_ready()

    def _start_fleet(self) -> "subprocess.Popen[bytes]":
        flags = ["--server", self.proxy.url, "--devices", "cpu", "--processes", str(self._n_workers)]
        return self._start("worker.log", "worker", *flags, stdout=subprocess.DEVNULL)

    # A study

    def run(self, name: str, n_trials: int, plan: Plan, limit_seconds: float) -> None:
        """Create a study, and let things happen until it is finished."""
        deadline = time.monotonic() + limit_seconds
        self.client.create_study(definition(name, n_trials, self._seed))
        while (study := self.client.study(name)).state == "running":
            counts = study.trial_counts
            assert time.monotonic() < deadline, f"not finished within {limit_seconds:g} seconds: {counts}"
            for what in plan((counts.COMPLETE + counts.PRUNED + counts.FAIL) / n_trials):
                self.happened[what] += self._happen(what)
            self._thaw()
            if self._fleet.poll() is not None:  # it gives up a place whose process dies five times in a row
                self._fleet = self._start_fleet()
            time.sleep(POLL_SECONDS)

    def _happen(self, what: str) -> bool:
        if what == "kill service":
            self._service.kill()
            self._start_service()
            return True
        awake = [pid for pid in self._marked.workers() if pid not in self._frozen]
        if not awake:
            return False
        pid = self._numbers.choice(awake)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL if what == "kill worker" else signal.SIGSTOP)
        if what == "freeze worker":
            self._frozen[pid] = time.monotonic() + LEASE_SECONDS + 1.0
        return True

    def _thaw(self) -> None:
        """Wake the workers that were silent for longer than their leases: they come back from the dead."""
        for pid in [pid for pid, until in self._frozen.items() if until <= time.monotonic()]:
            del self._frozen[pid]
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
