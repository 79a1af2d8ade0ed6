"""The leases: all in the database, and of each trial the first one and the newest ones in memory."""

import threading
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from sys import intern
from typing import Any

from sqlalchemy import Connection, Row, select

from storage.batch import Batch, Transaction
from storage.errors import StorageError
from storage.records import LeaseRecord, Outcome, TrialStateName
from storage.tables.record_rows import put_record
from storage.tables.schema import leases

CHUNK_ROWS = 5_000
MAX_OF_TRIAL = 20
"""Leases of a trial in memory: answers with a trial show them, and a trial may be released without end."""


class LeaseIndex:
    """Open and ended leases by id, claim and trial. Writes return after their commit, or join an open transaction.

    Of a trial with more than MAX_OF_TRIAL leases, the first one and the newest ones are known, and how many there were.
    """

    def __init__(self, connection: Connection, transaction: Transaction) -> None:
        self._transaction = transaction
        self._lock = threading.Lock()
        self._by_id: dict[str, LeaseRecord] = {}
        self._ids_by_claim: defaultdict[str, list[str]] = defaultdict(list)
        self._ids_by_trial: defaultdict[int, list[str]] = defaultdict(list)
        self._n_forgotten: Counter[int] = Counter()
        """By trial, how many of its leases are in the database alone."""
        self._n_open: Counter[str] = Counter()
        """By worker, how many open leases it has."""
        statement = select(leases).order_by(leases.c.granted_at, leases.c.attempt, leases.c.trial_id)
        for row in connection.execute(statement.execution_options(yield_per=CHUNK_ROWS)):
            self._remember(_record(row))

    def get(self, lease_id: str) -> LeaseRecord | None:
        """An open or ended lease; None if none with this id is known here."""
        with self._lock:
            return self._by_id.get(lease_id)

    def of_claim(self, claim_id: str) -> list[LeaseRecord]:
        """The leases that answered a claim."""
        with self._lock:
            return [self._by_id[lease_id] for lease_id in self._ids_by_claim.get(claim_id, ())]

    def of_study(self, study_id: int) -> list[LeaseRecord]:
        """The known leases of a study, oldest first."""
        with self._lock:
            return self._of_study(study_id)

    def of_trials(self, trial_ids: Sequence[int]) -> list[LeaseRecord]:
        """The known leases of these trials, in the order of the trials, the oldest of each first."""
        with self._lock:
            found = self._ids_by_trial
            return [self._by_id[lease_id] for trial_id in trial_ids for lease_id in found.get(trial_id, ())]

    def n_of_trial(self, trial_id: int) -> int:
        """How many leases a trial has had, those included that are not known here any more."""
        with self._lock:
            return len(self._ids_by_trial.get(trial_id, ())) + self._n_forgotten[trial_id]

    def has_open(self, worker_id: str) -> bool:
        """Whether a worker has an open lease."""
        return worker_id in self._n_open

    def add(self, granted: Sequence[LeaseRecord]) -> None:
        """Save new leases. Raises StorageError if an id occurs twice or is known."""
        ids = [lease.lease_id for lease in granted]
        with self._lock:
            known = any(lease_id in self._by_id for lease_id in ids)
        if known or len(set(ids)) < len(ids):
            raise StorageError(f"a lease must not be granted twice: {ids}")
        with self._transaction() as batch:
            for lease in granted:
                self._put(batch, lease)

    def end(
        self, lease: LeaseRecord, outcome: Outcome, state: TrialStateName, reason: str | None, ended_at: datetime
    ) -> None:
        """End a lease and save its outcome and the state of its trial. Raises StorageError if it has ended."""
        known = self.get(lease.lease_id)
        if known is not None and known.ended_at is not None:
            raise StorageError(f"lease {lease.lease_id} has ended by {known.outcome}")
        with self._transaction() as batch:
            self._put(batch, replace(lease, outcome=outcome, state=state, reason=reason, ended_at=ended_at))

    def remove_study(self, study_id: int) -> None:
        """Forget the leases of a study. Their rows are removed with the study."""
        with self._lock:
            for lease in self._of_study(study_id):
                self._ids_by_trial.pop(lease.trial_id, None)
                self._n_forgotten.pop(lease.trial_id, None)
                self._forget(lease)

    def _of_study(self, study_id: int) -> list[LeaseRecord]:
        return [lease for lease in self._by_id.values() if lease.study_id == study_id]

    def _put(self, batch: Batch, lease: LeaseRecord) -> None:
        put_record(batch, leases, lease)
        with self._lock:
            self._remember(lease)

    def _remember(self, lease: LeaseRecord) -> None:
        known = self._by_id.get(lease.lease_id)
        if known is None:
            self._ids_by_claim[lease.claim_id].append(lease.lease_id)
            self._ids_by_trial[lease.trial_id].append(lease.lease_id)
        self._by_id[lease.lease_id] = lease
        self._count_open(lease.worker_id, _is_open(lease) - _is_open(known))
        self._bound(self._ids_by_trial[lease.trial_id])

    def _bound(self, ids: list[str]) -> None:
        """Forget an ended lease of a trial with too many, neither its first one nor its newest one."""
        if len(ids) <= MAX_OF_TRIAL:
            return
        between = (self._by_id[lease_id] for lease_id in ids[1:-1])
        oldest = next((lease for lease in between if lease.ended_at is not None), None)
        if oldest is not None:
            ids.remove(oldest.lease_id)
            self._n_forgotten[oldest.trial_id] += 1
            self._forget(oldest)

    def _forget(self, lease: LeaseRecord) -> None:
        del self._by_id[lease.lease_id]
        self._count_open(lease.worker_id, -_is_open(lease))
        of_claim = self._ids_by_claim[lease.claim_id]
        of_claim.remove(lease.lease_id)
        if not of_claim:
            del self._ids_by_claim[lease.claim_id]

    def _count_open(self, worker_id: str, n_more: int) -> None:
        self._n_open[worker_id] += n_more
        if self._n_open[worker_id] == 0:
            del self._n_open[worker_id]


def _is_open(lease: LeaseRecord | None) -> bool:
    return lease is not None and lease.ended_at is None


def _record(row: Row[Any]) -> LeaseRecord:
    """A row as a record. The driver makes a new string for every row; equal worker ids and words become one string."""
    values = row._asdict()
    for name in ("worker_id", "outcome", "state"):
        if values[name] is not None:
            values[name] = intern(values[name])
    return LeaseRecord(**values)
