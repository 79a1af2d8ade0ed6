"""Which artifacts there are, in memory and in the database, and which blobs no artifact has."""

import threading
from collections import defaultdict
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import partial

from sqlalchemy import Connection, select

from storage.batch import Batch
from storage.records import ArtifactRecord
from storage.tables.columns import row_of
from storage.tables.schema import artifacts, loose_blobs


class ArtifactIndex:
    """Artifacts by trial and name. Writes are answered when they are committed, those in a transaction with it.

    A blob of no artifact is loose: from before its first byte is written until an artifact has it, and again when
    that artifact is replaced or removed. Loose blobs are in the database too, so that none is forgotten in a crash.
    """

    def __init__(self, connection: Connection, transaction: Callable[[], AbstractContextManager[Batch]]) -> None:
        self._transaction = transaction
        self._lock = threading.Lock()
        self._trials: defaultdict[int, dict[str, ArtifactRecord]] = defaultdict(dict)
        for row in connection.execute(select(artifacts)):
            self._trials[row.trial_id][row.name] = ArtifactRecord(**row._mapping)
        self._reserved: set[str] = set()
        self._removable = set(connection.execute(select(loose_blobs.c.blob_id)).scalars())

    def get(self, trial_id: int, name: str) -> ArtifactRecord | None:
        """One artifact of a trial."""
        with self._lock:
            return self._trials.get(trial_id, {}).get(name)

    def of_trial(self, trial_id: int) -> list[ArtifactRecord]:
        """All artifacts of a trial, by name."""
        with self._lock:
            return sorted(self._trials.get(trial_id, {}).values(), key=lambda record: record.name)

    def reserve(self, blob_id: str) -> None:
        """Write down that a blob is about to be written; `add` or `abandon` follows."""
        with self._transaction() as batch:
            with self._lock:
                self._reserved.add(blob_id)
            _put_loose(batch, blob_id)

    def abandon(self, blob_id: str) -> None:
        """Let a reserved blob go. Nothing happens when an artifact has it."""
        with self._lock:
            if blob_id in self._reserved:
                self._reserved.remove(blob_id)
                self._removable.add(blob_id)

    def add(self, record: ArtifactRecord) -> None:
        """Keep an artifact; it replaces the trial's earlier one of that name."""
        with self._transaction() as batch:
            with self._lock:
                earlier = self._trials[record.trial_id].get(record.name)
                self._trials[record.trial_id][record.name] = record
                self._reserved.discard(record.blob_id)
            batch.put("narrows_artifacts", (record.trial_id, record.name), row_of(artifacts, record))
            batch.remove("narrows_loose_blobs", "blob_id", record.blob_id)
            if earlier is not None:
                self._let_go(batch, earlier)

    def remove(self, trial_id: int, name: str) -> None:
        """Forget an artifact, if there is one."""
        with self._transaction() as batch:
            with self._lock:
                record = self._trials.get(trial_id, {}).pop(name, None)
            if record is not None:
                batch.remove("narrows_artifacts", "blob_id", record.blob_id)
                self._let_go(batch, record)

    def remove_study(self, study_id: int) -> None:
        """Forget all artifacts of a study; their rows go with those of the study."""
        with self._transaction() as batch:
            with self._lock:
                known = [record for named in self._trials.values() for record in named.values()]
                records = [record for record in known if record.study_id == study_id]
                for record in records:
                    self._trials.pop(record.trial_id, None)
            for record in records:
                self._let_go(batch, record)

    def _let_go(self, batch: Batch, record: ArtifactRecord) -> None:
        """A blob may be removed when it is committed that no artifact has it, and not before."""
        _put_loose(batch, record.blob_id)
        batch.when_committed.append(partial(self._may_be_removed, record.blob_id))

    def _may_be_removed(self, blob_id: str) -> None:
        with self._lock:
            self._removable.add(blob_id)

    def removable(self) -> list[str]:
        """Loose blobs that nobody writes."""
        with self._lock:
            return list(self._removable)

    def removed(self, blob_ids: Collection[str]) -> None:
        """Forget loose blobs that are no longer in the store."""
        with self._transaction() as batch:
            for blob_id in blob_ids:
                batch.remove("narrows_loose_blobs", "blob_id", blob_id)
            with self._lock:
                self._removable.difference_update(blob_ids)


def _put_loose(batch: Batch, blob_id: str) -> None:
    batch.put("narrows_loose_blobs", blob_id, (blob_id, datetime.now(UTC)))
