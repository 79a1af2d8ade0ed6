"""Failed trials in a row, of a study, of each of its workers and of each of their machines."""

from collections.abc import Callable, Iterable
from datetime import datetime

from service.study.reasons import first_line
from storage import LeaseRecord

MAX_WORKERS = 10_000
COUNTED = ("complete", "fail", "expire", "prune")
"""Outcomes of leases whose trials count. A trial that fails by another outcome was ended with its study."""


class FailuresInARow:
    """Counts the failed trials of one study since its last trial that did not fail. Changes need the study's lock.

    A worker is stopped when a trial fails on it and the failures in a row, its own or those of the whole study, reach
    the limit. It then gets no more trials of the study until `reset`.

    A machine is stopped when the failures in a row of all its workers together reach the limit. None of its workers
    then gets more trials of the study until `reset`, or until a trial that one of them still has does not fail.
    """

    def __init__(self, machine_of: Callable[[str], str]) -> None:
        """`machine_of` returns the name of a worker's machine; the worker's id if the machine is not known."""
        self.n = 0
        self.reason = ""
        """Why the last of them failed, in one line."""
        self._machine_of = machine_of
        self._of_worker: dict[str, int] = {}
        self._of_machine: dict[str, int] = {}
        self._stopped: dict[str, str] = {}
        self._stopped_machines: dict[str, str] = {}

    def note_end(self, worker_id: str, *, failed: bool, reason: str | None, limit: int) -> None:
        """Count a trial that has ended on a worker. `limit` is the number of failures in a row that stops a worker."""
        machine = self._machine_of(worker_id)
        if not failed:
            self.n = 0
            self._of_worker.pop(worker_id, None)
            self._of_machine.pop(machine, None)
            self._stopped_machines.pop(machine, None)
            return
        self.n += 1
        self.reason = first_line(reason)
        if max(self.n, _count(self._of_worker, worker_id)) >= limit:
            self._stopped[worker_id] = self.reason
        if _count(self._of_machine, machine) >= limit:
            self._stopped_machines[machine] = self.reason

    def replay(self, leases: Iterable[LeaseRecord], since: datetime | None, limit: int) -> None:
        """Count the trials of leases that ended after `since`, as after a restart of the service."""
        ended = [(lease.ended_at, lease) for lease in leases if lease.ended_at is not None]
        for ended_at, lease in sorted(ended, key=lambda pair: pair[0]):
            if (since is None or ended_at > since) and lease.outcome in COUNTED and lease.state != "WAITING":
                failed = lease.state == "FAIL"
                self.note_end(lease.worker_id, failed=failed, reason=lease.reason, limit=limit)

    def has_failed(self, worker_id: str) -> bool:
        """Whether the last trial of a worker has failed."""
        return worker_id in self._of_worker

    def is_stopped(self, worker_id: str, host: str = "") -> bool:
        """Whether a worker gets no more trials of the study. `host` is the machine of one that has not claimed yet."""
        machine = host or self._machine_of(worker_id)
        return worker_id in self._stopped or machine in self._stopped_machines

    def text(self, name: str) -> str | None:
        """Which machines and workers get no more trials of the study of this name, and why; None if there are none."""
        machines = dict(self._stopped_machines)
        workers = {one: why for one, why in self._stopped.copy().items() if self._machine_of(one) not in machines}
        stopped = list({**workers, **machines}.items())
        if not stopped:
            return None
        last, reason = stopped[-1]
        where = last if len(stopped) == 1 else f"{last} and {len(stopped) - 1} more"
        return f"too many trials in a row have failed on {where}: {reason} (narrows resume {name} lets all go on)"

    def reset(self) -> None:
        """Count from 0 again, and let every worker have trials."""
        self.n = 0
        for known in (self._of_worker, self._of_machine):
            known.clear()
        for stopped in (self._stopped, self._stopped_machines):
            stopped.clear()


def _count(failures: dict[str, int], name: str) -> int:
    """Count a failure of a worker or machine, and return how many it has in a row. The oldest of too many are left."""
    failures[name] = failures.pop(name, 0) + 1
    while len(failures) > MAX_WORKERS:
        del failures[next(iter(failures))]
    return failures[name]
