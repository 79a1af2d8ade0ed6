"""Imported trials in memory, by study, and in the database."""

import threading
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager

from sqlalchemy import Connection, select

from storage.batch import Batch, Row
from storage.columns import JsonText
from storage.errors import StorageError
from storage.records import ImportRecord
from storage.tables import imports


class ImportIndex:
    """What every study has imported. Writes are answered when committed, those in a transaction with it."""

    def __init__(self, connection: Connection, transaction: Callable[[], AbstractContextManager[Batch]]) -> None:
        self._transaction = transaction
        self._lock = threading.Lock()
        self._by_study: defaultdict[int, list[ImportRecord]] = defaultdict(list)
        for row in connection.execute(select(imports).order_by(imports.c.study_id, imports.c.number)):
            self._by_study[row.study_id].append(ImportRecord(**row._mapping))

    def of_study(self, study_id: int) -> list[ImportRecord]:
        """All imports of a study, first to last."""
        with self._lock:
            return list(self._by_study.get(study_id, ()))

    def add(self, record: ImportRecord) -> None:
        """Keep the next import. Raises StorageError when its number is not the next one."""
        following = len(self.of_study(record.study_id))
        if record.number != following:
            raise StorageError(f"the next import of study {record.study_id} must be {following}: {record.number}")
        with self._transaction() as batch:
            with self._lock:
                self._by_study[record.study_id].append(record)
            batch.put("narrows_imports", (record.study_id, record.number), _row(record))

    def remove_study(self, study_id: int) -> None:
        """Forget the imports of a study; their rows go with those of the study."""
        with self._lock:
            self._by_study.pop(study_id, None)


def _row(record: ImportRecord) -> Row:
    values = [(column.type, getattr(record, column.name)) for column in imports.c]
    return tuple(kind.to_text(value) if isinstance(kind, JsonText) else value for kind, value in values)
