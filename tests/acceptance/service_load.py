"""Clients that keep a service busy, repeat each call until it is answered, and record what was acknowledged."""

import random
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, Self, TypeVar

from service.client import Client, ServiceError
from service.client.retries import Retries
from service.schemas.protocol import Claim, Complete, Fail, Lease, Report, Reports
from service.schemas.worker_info import WorkerInfo
from tests.integration.service_driver import definition

N_OPEN_STUDIES = 3
DELETE_SHARE = 0.2
AWAY_SECONDS = 90.0
LONGEST_WAIT_SECONDS = 0.5
METRIC = "validation_accuracy"
PRUNER = {"name": "median", "n_startup_trials": 2, "n_warmup_steps": 0}

Answer = TypeVar("Answer")


@dataclass
class LeaseNote:
    """What the worker of one lease knows: its acknowledged reports, and the trial's `state` after the lease's end."""

    study: str
    number: int
    params: dict[str, Any]
    reports: dict[int, float] = field(default_factory=dict)
    value: float | None = None
    ending: bool = False
    given_back: bool = False
    state: str | None = None


class Snapshot(NamedTuple):
    """Budgets of the studies that must exist, and what was acknowledged of their leases."""

    studies: dict[str, int]
    leases: dict[str, LeaseNote]


class Ledger:
    """What was acknowledged. Calls whose effect others may see before the answer are noted before the call."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.studies: dict[str, int] = {}
        self.gone: set[str] = set()
        self.leases: dict[str, LeaseNote] = {}
        self.n_acknowledged = 0
        self._of_trial: defaultdict[tuple[str, int], list[LeaseNote]] = defaultdict(list)

    def granted(self, lease: Lease) -> LeaseNote:
        """Record a new lease. Fails if its id or its trial is granted already."""
        note = LeaseNote(lease.study, lease.trial_number, dict(lease.params))
        with self.lock:
            assert lease.lease_id not in self.leases, f"lease {lease.lease_id} is granted twice"
            others = self._of_trial[note.study, note.number]
            held = [known for known in others if not known.ending or known.state not in (None, "WAITING")]
            assert not held, f"trial {note.number} of {note.study} is given out, but {held} has it"
            self.leases[lease.lease_id] = note
            others.append(note)
            self.n_acknowledged += 1
        return note

    def acknowledge(self, note: LeaseNote, **values: Any) -> None:
        """Record an answered call of a lease."""
        with self.lock:
            self.n_acknowledged += 1
            for name, value in values.items():
                setattr(note, name, value)

    def snapshot(self) -> Snapshot:
        """A copy of what was acknowledged so far, without deleted studies."""
        with self.lock:
            studies = {name: n_trials for name, n_trials in self.studies.items() if name not in self.gone}
            leases = {
                lease_id: LeaseNote(**{**vars(note), "reports": dict(note.reports)})
                for lease_id, note in self.leases.items()
                if note.study in studies
            }
        return Snapshot(studies, leases)

    def still_true(self, known: Snapshot) -> Snapshot:
        """Mark the leases that were given back since the snapshot: their reports need not be there."""
        for lease_id, note in known.leases.items():
            note.given_back = self.leases[lease_id].given_back
        return known


class StudyGoneError(Exception):
    """The study was deleted by another client."""


class ServiceLoad:
    """`n_threads` clients that create studies, train their trials and delete some studies, until `finish`."""

    def __init__(
        self,
        url: str,
        seed: int,
        n_threads: int = 4,
        *,
        pause_seconds: float = 0.0,
        n_trials: tuple[int, int] = (2, 12),
        deletes: bool = True,
    ) -> None:
        self.ledger = Ledger()
        self._clients: list[Client] = []
        self.move(url)
        self.errors: list[BaseException] = []
        self._pause_seconds = pause_seconds
        self._n_trials = n_trials
        self._delete_share = DELETE_SHARE if deletes else 0.0
        self._finishing, self._aborting = threading.Event(), threading.Event()
        self._retries = Retries(AWAY_SECONDS, self._aborting, longest_wait_seconds=LONGEST_WAIT_SECONDS)
        self._open: list[str] = []
        self._threads = [
            threading.Thread(target=self._run, args=(random.Random(seed * n_threads + index), f"client {index}"))
            for index in range(n_threads)
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._aborting.set()
        self._finishing.set()
        for thread in self._threads:
            thread.join()
        for client in self._clients:
            client.close()

    def move(self, url: str) -> None:
        """Call the service at another address from now on."""
        self.client = Client(url)
        self._clients.append(self.client)

    def check(self) -> None:
        """Fail if a client has failed."""
        assert not self.errors, self.errors

    def finish(self, timeout_seconds: float) -> None:
        """Create no more studies, and return when all studies have ended."""
        self._finishing.set()
        for thread in self._threads:
            thread.join(timeout_seconds)
            assert not thread.is_alive(), f"studies do not end within {timeout_seconds:g} s: {self._open}"
        self.check()

    def _run(self, numbers: random.Random, worker: str) -> None:
        try:
            while not self._aborting.is_set() and (study := self._study(numbers)) is not None:
                try:
                    self._work(study, numbers, worker)
                except StudyGoneError:
                    continue
        except BaseException as error:  # noqa: BLE001 - the test's own thread shows it
            if not self._aborting.is_set():
                self.errors.append(error)
            self._aborting.set()

    def _call(self, call: Callable[[], Answer], study: str) -> Answer:
        """Repeat the call until it is answered. Raises StudyGoneError."""
        self._finishing.wait(self._pause_seconds)
        try:
            return self._retries(call)
        except ServiceError as error:
            if error.status == 404 and study in self.ledger.gone:
                raise StudyGoneError from error
            raise

    def _study(self, numbers: random.Random) -> str | None:
        """A study to work on; None if there will be none."""
        with self.ledger.lock:
            if self._finishing.is_set() or len(self._open) >= N_OPEN_STUDIES:
                return numbers.choice(self._open) if self._open else None
            name = f"study-{len(self.ledger.studies)}"
            n_trials = numbers.randint(*self._n_trials)
            self.ledger.studies[name] = n_trials
            self.ledger.gone.add(name)  # not acknowledged yet
        body = definition(name=name, n_trials=n_trials, pruner=PRUNER)
        self._retries(lambda: self.client.create_study(body))
        with self.ledger.lock:
            self.ledger.gone.discard(name)
            self.ledger.n_acknowledged += 1
            self._open.append(name)
        return name

    def _work(self, study: str, numbers: random.Random, worker: str) -> None:
        claim = Claim(claim_id=f"{numbers.getrandbits(64):x}", worker=WorkerInfo(id=worker), study=study)
        leases = self._call(lambda: self.client.claim(claim), study).leases
        if leases:
            self._train(leases[0], numbers)
        elif self._call(lambda: self.client.study(study), study).state == "finished":
            self._end(study, numbers)

    def _end(self, study: str, numbers: random.Random) -> None:
        delete = numbers.random() < self._delete_share
        with self.ledger.lock:
            if study not in self._open:
                return
            self._open.remove(study)
            if delete:
                self.ledger.gone.add(study)
        if delete:
            self._call(lambda: self.client.delete(study), study)

    def _train(self, lease: Lease, numbers: random.Random) -> None:
        note = self.ledger.granted(lease)
        for step in range(numbers.randint(1, 4)):
            value = numbers.random()
            report = Report(lease_id=lease.lease_id, step=step, metrics={METRIC: value})
            note.ending = True  # a report may end the trial
            sent = Reports(reports=[report])
            (decided,) = self._call(partial(self._report, sent), lease.study).decisions
            note.ending = decided.decision != "continue"
            self.ledger.acknowledge(note, reports={**note.reports, step: value})
            if decided.decision != "continue":
                assert decided.decision == "prune", decided
                self.ledger.acknowledge(note, state="PRUNED")
                return
        self._hand_in(lease, note, numbers)

    def _report(self, reports: Reports) -> Any:
        return self.client.report(reports)

    def _hand_in(self, lease: Lease, note: LeaseNote, numbers: random.Random) -> None:
        kind, value = numbers.random(), numbers.random()
        note.ending = True
        if kind < 0.8:
            complete = Complete(metrics={METRIC: value})
            closed = self._call(lambda: self.client.complete(lease.lease_id, complete), lease.study)
            self.ledger.acknowledge(note, state=closed.state, value=value)
            return
        note.given_back = True
        if kind < 0.9:
            fail = Fail(reason="chance", retry=True)
            closed = self._call(lambda: self.client.fail(lease.lease_id, fail), lease.study)
        else:
            closed = self._call(lambda: self.client.release(lease.lease_id), lease.study)
        self.ledger.acknowledge(note, state=closed.state)
