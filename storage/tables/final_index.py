"""All final evaluations, in memory and in the database."""

import threading
from collections import defaultdict
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, select

from storage.batch import Transaction
from storage.errors import StorageError
from storage.records import FinalRecord
from storage.tables.record_rows import put_record
from storage.tables.schema import finals


class FinalIndex:
    """Final evaluations by study and by linked study. Writes return after their commit, or join an open transaction."""

    def __init__(self, connection: Connection, transaction: Transaction) -> None:
        self._transaction = transaction
        self._lock = threading.Lock()
        self._by_study: defaultdict[int, dict[int, FinalRecord]] = defaultdict(dict)
        self._by_linked: dict[int, FinalRecord] = {}
        for row in connection.execute(select(finals).order_by(finals.c.study_id, finals.c.number)):
            self._remember(FinalRecord(**row._mapping))

    def of_study(self, study_id: int) -> list[FinalRecord]:
        """All final evaluations of a study, in the order of their numbers."""
        with self._lock:
            return list(self._by_study.get(study_id, {}).values())

    def of_linked(self, linked_study_id: int) -> FinalRecord | None:
        """The final evaluation whose trials are in this linked study; None for a study that is not linked."""
        return self._by_linked.get(linked_study_id)

    def add(self, record: FinalRecord) -> None:
        """Save a new final evaluation. Raises StorageError if its number is taken."""
        if any(known.number == record.number for known in self.of_study(record.study_id)):
            raise StorageError(f"final evaluation {record.number} of study {record.study_id} must not be saved twice")
        self._put(record)

    def change(self, record: FinalRecord, **values: Any) -> FinalRecord:
        """Change columns and return the changed record. Raises StorageError if the final evaluation has ended."""
        known = self._by_linked[record.linked_study_id]
        if known.ended_at is not None:
            raise StorageError(f"final evaluation {known.number} of study {known.study_id} has ended: it cannot change")
        changed = replace(known, **values)
        self._put(changed)
        return changed

    def remove_study(self, study_id: int) -> None:
        """Forget the final evaluations of a study. Their rows are removed with the study."""
        with self._lock:
            for record in self._by_study.pop(study_id, {}).values():
                del self._by_linked[record.linked_study_id]

    def _put(self, record: FinalRecord) -> None:
        with self._transaction() as batch:
            put_record(batch, finals, record)  # first: it raises for a plan that JSON cannot hold
            with self._lock:
                self._remember(record)

    def _remember(self, record: FinalRecord) -> None:
        self._by_study[record.study_id][record.number] = record
        self._by_linked[record.linked_study_id] = record
