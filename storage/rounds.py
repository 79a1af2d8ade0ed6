"""Narrowing rounds in memory, by study, and in the database."""

import threading
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager

from sqlalchemy import Connection, select

from storage.batch import Batch, Row
from storage.columns import JsonText
from storage.errors import StorageError
from storage.records import RoundRecord
from storage.tables import rounds


class RoundIndex:
    """The rounds of every study after its first. Writes are answered when committed, those in a transaction with it."""

    def __init__(self, connection: Connection, transaction: Callable[[], AbstractContextManager[Batch]]) -> None:
        self._transaction = transaction
        self._lock = threading.Lock()
        self._by_study: defaultdict[int, list[RoundRecord]] = defaultdict(list)
        for row in connection.execute(select(rounds).order_by(rounds.c.study_id, rounds.c.number)):
            self._by_study[row.study_id].append(RoundRecord(**row._mapping))

    def of_study(self, study_id: int) -> list[RoundRecord]:
        """All rounds of a study but the first one, in order."""
        with self._lock:
            return list(self._by_study.get(study_id, ()))

    def latest(self, study_id: int) -> RoundRecord | None:
        """The present round of a study, None while it is the first."""
        with self._lock:
            known = self._by_study.get(study_id)
            return known[-1] if known else None

    def add(self, record: RoundRecord) -> None:
        """Keep the next round. Raises StorageError when its number is not the next one."""
        latest = self.latest(record.study_id)
        following = 2 if latest is None else latest.number + 1
        if record.number != following:
            raise StorageError(f"the next round of study {record.study_id} must be {following}: {record.number}")
        with self._transaction() as batch:
            with self._lock:
                self._by_study[record.study_id].append(record)
            batch.put("narrows_rounds", (record.study_id, record.number), _row(record))

    def remove_study(self, study_id: int) -> None:
        """Forget the rounds of a study; their rows go with those of the study."""
        with self._lock:
            self._by_study.pop(study_id, None)


def _row(record: RoundRecord) -> Row:
    values = [(column.type, getattr(record, column.name)) for column in rounds.c]
    return tuple(kind.to_text(value) if isinstance(kind, JsonText) else value for kind, value in values)
