"""Final evaluations in memory, by study and by the linked study, and in the database."""

import threading
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, select

from storage.batch import Batch
from storage.errors import StorageError
from storage.records import FinalRecord
from storage.tables.columns import row_of
from storage.tables.schema import finals


class FinalIndex:
    """Final evaluations. Writes are answered when they are committed, those in a transaction with it."""

    def __init__(self, connection: Connection, transaction: Callable[[], AbstractContextManager[Batch]]) -> None:
        self._transaction = transaction
        self._lock = threading.Lock()
        self._by_study: defaultdict[int, dict[int, FinalRecord]] = defaultdict(dict)
        self._by_linked: dict[int, FinalRecord] = {}
        for row in connection.execute(select(finals).order_by(finals.c.study_id, finals.c.number)):
            self._remember(FinalRecord(**row._mapping))

    def of_study(self, study_id: int) -> list[FinalRecord]:
        """All final evaluations of a study, first to last."""
        with self._lock:
            return list(self._by_study.get(study_id, {}).values())

    def of_linked(self, linked_study_id: int) -> FinalRecord | None:
        """The final evaluation whose trials a study holds; None for every other study."""
        return self._by_linked.get(linked_study_id)

    def add(self, record: FinalRecord) -> None:
        """Keep a new one. Raises StorageError when its number is taken."""
        if any(known.number == record.number for known in self.of_study(record.study_id)):
            raise StorageError(f"final evaluation {record.number} of study {record.study_id} must not be kept twice")
        self._put(record)

    def change(self, record: FinalRecord, **values: Any) -> FinalRecord:
        """Change columns, and answer the changed record. Raises StorageError when it has ended: then it is for good."""
        known = self._by_linked[record.linked_study_id]
        if known.ended_at is not None:
            raise StorageError(f"final evaluation {known.number} of study {known.study_id} has ended: it cannot change")
        changed = replace(known, **values)
        self._put(changed)
        return changed

    def remove_study(self, study_id: int) -> None:
        """Forget the final evaluations of a study; their rows go with those of the study."""
        with self._lock:
            for record in self._by_study.pop(study_id, {}).values():
                del self._by_linked[record.linked_study_id]

    def _put(self, record: FinalRecord) -> None:
        row = row_of(finals, record)  # raises before anything is remembered that no row can hold
        with self._transaction() as batch:
            with self._lock:
                self._remember(record)
            batch.put("narrows_finals", (record.study_id, record.number), row)

    def _remember(self, record: FinalRecord) -> None:
        self._by_study[record.study_id][record.number] = record
        self._by_linked[record.linked_study_id] = record
