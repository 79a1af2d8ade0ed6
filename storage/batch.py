"""What one transaction writes: rows to upsert and rows to remove, joined from many callers."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

Row = tuple[Any, ...]
"""Raw values of all columns of a table, in the order of its `Upsert`."""


class Upserts:
    """Rows to insert or replace, by table and key. A later row with the same key replaces the earlier one."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[Any, Row]] = {}


@dataclass(frozen=True, slots=True)
class RowRemoval:
    """Remove the rows of a table that have a value in a column; with `after_step`, only those of later steps."""

    table: str
    column: str
    value: int | str
    after_step: int | None = None


@dataclass(frozen=True, slots=True)
class StudyRemoval:
    """Remove a study and all its rows in every table."""

    study_id: int


class Ping:
    """Ask the database for an answer. Nothing changes."""


Step = Upserts | RowRemoval | StudyRemoval | Ping


@dataclass(frozen=True, slots=True)
class Commit:
    """A committed batch: its number of rows, the seconds its transaction took, and the notes in it."""

    n_rows: int
    seconds: float
    notes: list[Any]


class Batch:
    """An ordered list of writes. Not thread-safe: the caller locks."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.n_rows = 0
        self.notes: list[Any] = []
        """Objects for the commit listeners. They are not written."""
        self.when_committed: list[Callable[[], None]] = []
        """Callbacks that the writer thread runs after the commit. They must be quick."""

    def put(self, table: str, key: Any, row: Row) -> None:
        """Insert a row, or replace the row with this key."""
        upserts = self.steps[-1] if self.steps else None
        if not isinstance(upserts, Upserts):
            upserts = Upserts()
            self.steps.append(upserts)
        upserts.tables.setdefault(table, {})[key] = row
        self.n_rows += 1

    def remove(self, table: str, column: str, value: int | str, *, after_step: int | None = None) -> None:
        """Remove the rows that have this value in a column; with `after_step`, only those of later steps."""
        self._append(RowRemoval(table, column, value, after_step))

    def remove_study(self, study_id: int) -> None:
        """Remove a study and all its rows in every table."""
        self._append(StudyRemoval(study_id))

    def ping(self) -> None:
        """Ask the database for an answer, so that the commit of this batch proves that it takes writes."""
        self._append(Ping())

    def _append(self, step: Step) -> None:
        self.steps.append(step)
        self.n_rows += 1

    def join(self, other: "Batch") -> None:
        """Append the writes, notes and callbacks of another batch."""
        self.notes += other.notes
        self.when_committed += other.when_committed
        for step in other.steps:
            if isinstance(step, Ping) and self.steps and isinstance(self.steps[-1], Ping):
                continue  # one answer is enough for all who ask at once
            if not isinstance(step, Upserts):
                self._append(step)
                continue
            for table, rows in step.tables.items():
                for key, row in rows.items():
                    self.put(table, key, row)


Transaction = Callable[[], AbstractContextManager[Batch]]
"""Opens a transaction: the block's writes are committed together, and the block leaves after the commit."""
