"""All artifacts, and the blobs without an artifact, in memory and in the database."""

import threading
from collections import defaultdict
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from sqlalchemy import Connection, select

from storage.batch import Batch, Transaction
from storage.records import ArtifactRecord
from storage.tables.record_rows import put_record
from storage.tables.schema import artifacts, loose_blobs


class ArtifactIndex:
    """Artifacts by trial and name. Writes return after their commit, or join an open transaction.

    A blob without an artifact is loose: from before its first byte is written until an artifact is saved with it, and
    again once that artifact is replaced or removed. Loose blobs have rows too, so a crash forgets none of them.
    """

    def __init__(self, connection: Connection, transaction: Transaction) -> None:
        self._transaction = transaction
        self._lock = threading.Lock()
        self._by_trial: defaultdict[int, dict[str, ArtifactRecord]] = defaultdict(dict)
        for row in connection.execute(select(artifacts)):
            self._by_trial[row.trial_id][row.name] = ArtifactRecord(**row._mapping)
        self._reserved: set[str] = set()
        self._removable = set(connection.execute(select(loose_blobs.c.blob_id)).scalars())

    def get(self, trial_id: int, name: str) -> ArtifactRecord | None:
        """An artifact of a trial; None if it has none with this name."""
        with self._lock:
            return self._by_trial.get(trial_id, {}).get(name)

    def of_trial(self, trial_id: int) -> list[ArtifactRecord]:
        """All artifacts of a trial, sorted by name."""
        with self._lock:
            return sorted(self._by_trial.get(trial_id, {}).values(), key=lambda record: record.name)

    def reserve(self, blob_id: str) -> None:
        """Save a blob as loose before it is written. Call `add` or `abandon` afterwards."""
        with self._transaction() as batch:
            with self._lock:
                self._reserved.add(blob_id)
            _put_loose(batch, blob_id)

    def abandon(self, blob_id: str) -> None:
        """Let a reserved blob be removed, unless an artifact was saved with it."""
        with self._lock:
            if blob_id in self._reserved:
                self._reserved.remove(blob_id)
                self._removable.add(blob_id)

    def add(self, record: ArtifactRecord) -> None:
        """Save an artifact. It replaces the trial's artifact with its name."""
        with self._transaction() as batch:
            put_record(batch, artifacts, record)
            with self._lock:
                earlier = self._by_trial[record.trial_id].get(record.name)
                self._by_trial[record.trial_id][record.name] = record
                self._reserved.discard(record.blob_id)
            batch.remove(loose_blobs.name, "blob_id", record.blob_id)
            if earlier is not None:
                self._let_go(batch, earlier)

    def rename(self, record: ArtifactRecord, name: str) -> None:
        """Give an artifact another name. It replaces the trial's artifact with that name."""
        renamed = replace(record, name=name)
        with self._transaction() as batch:
            with self._lock:
                named = self._by_trial[record.trial_id]
                named.pop(record.name, None)
                earlier = named.get(name)
                named[name] = renamed
            batch.remove(artifacts.name, "blob_id", record.blob_id)
            put_record(batch, artifacts, renamed)
            if earlier is not None:
                self._let_go(batch, earlier)

    def remove(self, trial_id: int, name: str) -> None:
        """Remove an artifact of a trial, if there is one with this name."""
        with self._transaction() as batch:
            with self._lock:
                record = self._by_trial.get(trial_id, {}).pop(name, None)
            if record is not None:
                batch.remove(artifacts.name, "blob_id", record.blob_id)
                self._let_go(batch, record)

    def remove_study(self, study_id: int) -> None:
        """Forget the artifacts of a study and let their blobs be removed. Their rows are removed with the study."""
        with self._transaction() as batch:
            with self._lock:
                known = [record for named in self._by_trial.values() for record in named.values()]
                records = [record for record in known if record.study_id == study_id]
                for record in records:
                    self._by_trial.pop(record.trial_id, None)
            for record in records:
                self._let_go(batch, record)

    def _let_go(self, batch: Batch, record: ArtifactRecord) -> None:
        """Let the blob of an artifact be removed, but only after the commit: until then the artifact may come back."""
        _put_loose(batch, record.blob_id)
        batch.when_committed.append(partial(self._make_removable, record.blob_id))

    def _make_removable(self, blob_id: str) -> None:
        with self._lock:
            self._removable.add(blob_id)

    def removable_blobs(self) -> list[str]:
        """Ids of the loose blobs that are not being written."""
        with self._lock:
            return list(self._removable)

    def forget_blobs(self, blob_ids: Collection[str]) -> None:
        """Forget loose blobs that were removed from the blob store."""
        with self._transaction() as batch:
            for blob_id in blob_ids:
                batch.remove(loose_blobs.name, "blob_id", blob_id)
            with self._lock:
                self._removable.difference_update(blob_ids)


def _put_loose(batch: Batch, blob_id: str) -> None:
    batch.put(loose_blobs.name, blob_id, (blob_id, datetime.now(UTC)))
