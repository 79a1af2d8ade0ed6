"""All leases in memory: by id, by claim, by trial."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from sys import intern
from typing import Any

from sqlalchemy import Connection, Row, select

from storage.records import LeaseRecord
from storage.tables.schema import leases

CHUNK_ROWS = 5_000


class LeaseIndex:
    """Open and ended leases. Its owner has a lock."""

    def __init__(self, records: Iterable[LeaseRecord] = ()) -> None:
        self._by_id: dict[str, LeaseRecord] = {}
        self._by_claim: defaultdict[str, list[str]] = defaultdict(list)
        self._by_trial: defaultdict[int, list[str]] = defaultdict(list)
        for record in records:
            self.put(record)

    @classmethod
    def load(cls, connection: Connection) -> "LeaseIndex":
        statement = select(leases).order_by(leases.c.granted_at, leases.c.attempt, leases.c.trial_id)
        return cls(map(_record, connection.execute(statement.execution_options(yield_per=CHUNK_ROWS))))

    def put(self, record: LeaseRecord) -> None:
        if record.lease_id not in self._by_id:
            self._by_claim[record.claim_id].append(record.lease_id)
            self._by_trial[record.trial_id].append(record.lease_id)
        self._by_id[record.lease_id] = record

    def get(self, lease_id: str) -> LeaseRecord | None:
        return self._by_id.get(lease_id)

    def of_claim(self, claim_id: str) -> list[LeaseRecord]:
        return [self._by_id[lease_id] for lease_id in self._by_claim.get(claim_id, ())]

    def of_trials(self, trial_ids: Sequence[int]) -> list[LeaseRecord]:
        """Trial by trial, oldest first."""
        return [self._by_id[lease_id] for trial_id in trial_ids for lease_id in self._by_trial.get(trial_id, ())]

    def of_study(self, study_id: int) -> list[LeaseRecord]:
        """Oldest first."""
        return [record for record in self._by_id.values() if record.study_id == study_id]

    def remove_study(self, study_id: int) -> None:
        for record in self.of_study(study_id):
            del self._by_id[record.lease_id]
            self._by_trial.pop(record.trial_id, None)
            self._by_claim[record.claim_id].remove(record.lease_id)


def _record(row: Row[Any]) -> LeaseRecord:
    """A row as a record; words that many rows share are one string, where the driver makes one for every row."""
    values = row._asdict()
    for name in ("worker_id", "outcome", "state"):
        if values[name] is not None:
            values[name] = intern(values[name])
    return LeaseRecord(**values)
