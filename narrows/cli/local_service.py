"""A service and workers on this machine for the time of one command: `narrows demo`, `narrows experiment`."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from narrows.cli.processes import Process

READY = "Narrows is ready at "
READY_SECONDS = 60.0


@dataclass
class LocalService:
    """A running service; `server` is its URL."""

    server: str
    _logs: Path
    _running: ExitStack
    _processes: list[Process] = field(default_factory=list)

    def start_workers(self, *options: str) -> None:
        """Start `narrows worker` for this service. It ends before the service does."""
        workers = Process(["worker", f"--server={self.server}", *options], self._logs / "workers.log")
        self._processes.append(self._running.enter_context(workers))

    def check(self, within_seconds: float = 0.0) -> None:
        """Raise CommandError when the service or its workers have ended, or end within that time."""
        for process in self._processes:
            process.check(within_seconds)

    def log_end(self) -> str:
        """Return the last lines of the log of the process that was started last."""
        return self._processes[-1].log_end()


@contextmanager
def local_service(folder: Path, logs: Path, port: int = 0) -> Iterator[LocalService]:
    """Start a service whose database and artifacts are in `folder`, and end it with its workers on leaving.

    Port 0 is any free one. Raises CommandError when it does not start.
    """
    database = f"--database=sqlite:///{folder / 'narrows.db'}"
    artifacts = f"--artifacts={folder / 'narrows-artifacts'}"
    with ExitStack() as running:
        service = running.enter_context(Process(["serve", f"--port={port}", database, artifacts], logs / "service.log"))
        yield LocalService(service.wait_for(READY, READY_SECONDS), logs, running, [service])
