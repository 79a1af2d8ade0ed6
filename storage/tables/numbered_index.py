"""Rounds or imports, in memory and in the database: records that are numbered within their study."""

import threading
from collections import defaultdict
from typing import Generic, TypeVar

from sqlalchemy import Connection, Table, select

from storage.batch import Transaction
from storage.errors import StorageError
from storage.records import ImportRecord, RoundRecord
from storage.tables.record_rows import put_record

Record = TypeVar("Record", RoundRecord, ImportRecord)


class NumberedIndex(Generic[Record]):
    """The records of one table by study. Writes return after their commit, or join an open transaction."""

    def __init__(
        self,
        connection: Connection,
        transaction: Transaction,
        table: Table,
        kind: type[Record],
        *,
        first: int,
    ) -> None:
        """`first` is the number of a study's first record."""
        self._transaction = transaction
        self._table = table
        self._first = first
        self._lock = threading.Lock()
        self._by_study: defaultdict[int, list[Record]] = defaultdict(list)
        for row in connection.execute(select(table).order_by(table.c.study_id, table.c.number)):
            self._by_study[row.study_id].append(kind(**row._mapping))

    def of_study(self, study_id: int) -> list[Record]:
        """All records of a study, in the order of their numbers."""
        with self._lock:
            return list(self._by_study.get(study_id, ()))

    def latest(self, study_id: int) -> Record | None:
        """The newest record of a study; None if it has none."""
        with self._lock:
            known = self._by_study.get(study_id)
            return known[-1] if known else None

    def add(self, record: Record) -> None:
        """Save the next record of a study. Raises StorageError unless it has the next number."""
        latest = self.latest(record.study_id)
        following = self._first if latest is None else latest.number + 1
        if record.number != following:
            where = f"of study {record.study_id} in {self._table.name}"
            raise StorageError(f"the next number {where} must be {following}: {record.number}")
        with self._transaction() as batch:
            put_record(batch, self._table, record)
            with self._lock:
                self._by_study[record.study_id].append(record)

    def remove_study(self, study_id: int) -> None:
        """Forget the records of a study. Their rows are removed with the study."""
        with self._lock:
            self._by_study.pop(study_id, None)
