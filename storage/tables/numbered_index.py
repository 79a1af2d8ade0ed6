"""Records that are numbered within their study, such as its rounds: in memory, and in the database."""

import threading
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Generic, TypeVar

from sqlalchemy import Connection, Table, select

from storage.batch import Batch
from storage.errors import StorageError
from storage.records import ImportRecord, RoundRecord
from storage.tables.columns import row_of

Record = TypeVar("Record", RoundRecord, ImportRecord)


class NumberedIndex(Generic[Record]):
    """Those of a table, by study. Writes are answered when committed, those in a transaction with it."""

    def __init__(
        self,
        connection: Connection,
        transaction: Callable[[], AbstractContextManager[Batch]],
        table: Table,
        kind: type[Record],
        *,
        first: int,
    ) -> None:
        """`first` is the number that a study's numbers begin with."""
        self._transaction = transaction
        self._table = table
        self._first = first
        self._lock = threading.Lock()
        self._by_study: defaultdict[int, list[Record]] = defaultdict(list)
        for row in connection.execute(select(table).order_by(table.c.study_id, table.c.number)):
            self._by_study[row.study_id].append(kind(**row._mapping))

    def of_study(self, study_id: int) -> list[Record]:
        """All of a study, first to last."""
        with self._lock:
            return list(self._by_study.get(study_id, ()))

    def latest(self, study_id: int) -> Record | None:
        """The last one of a study; None while it has none."""
        with self._lock:
            known = self._by_study.get(study_id)
            return known[-1] if known else None

    def add(self, record: Record) -> None:
        """Keep the next one. Raises StorageError when its number is not the next one."""
        latest = self.latest(record.study_id)
        following = self._first if latest is None else latest.number + 1
        if record.number != following:
            where = f"of study {record.study_id} in {self._table.name}"
            raise StorageError(f"the next number {where} must be {following}: {record.number}")
        with self._transaction() as batch:
            with self._lock:
                self._by_study[record.study_id].append(record)
            batch.put(self._table.name, (record.study_id, record.number), row_of(self._table, record))

    def remove_study(self, study_id: int) -> None:
        """Forget those of a study; their rows go with those of the study."""
        with self._lock:
            self._by_study.pop(study_id, None)
