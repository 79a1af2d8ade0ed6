"""What one transaction writes: rows to put and rows to remove, joined from many callers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Row = tuple[Any, ...]
"""Raw values of all columns of a table, in the order of its `Upsert`."""


class Puts:
    """Rows by table and key; a later row of the same key replaces the earlier one."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[Any, Row]] = {}

    def __len__(self) -> int:
        return sum(len(rows) for rows in self.tables.values())


class Removal:
    """Rows of a table to remove, by the value of one column; of those, if `after_step` is given, later steps alone."""

    def __init__(self, table: str, column: str, value: int | str, after_step: int | None = None) -> None:
        self.table = table
        self.column = column
        self.value = value
        self.after_step = after_step


class StudyRemoval:
    """A study to remove, with all that belongs to it in every table."""

    def __init__(self, study_id: int) -> None:
        self.study_id = study_id


class Probe:
    """A question to the database that changes nothing: whether it still takes our writes."""


Step = Puts | Removal | StudyRemoval | Probe


@dataclass(frozen=True, slots=True)
class Commit:
    """A batch that is on disk: its rows, the seconds from taking it up until then, and the notes in it."""

    n_rows: int
    seconds: float
    notes: list[Any]


class Batch:
    """An ordered list of puts and removals. Not safe for threads: its owner has a lock."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.n_rows = 0
        self.notes: list[Any] = []
        """Not written: those who listen to commits get them once all of it is on disk."""
        self.when_committed: list[Callable[[], None]] = []
        """Quick calls that the writer makes once all of it is on disk."""

    def put(self, table: str, key: Any, row: Row) -> None:
        puts = self.steps[-1] if self.steps else None
        if not isinstance(puts, Puts):
            puts = Puts()
            self.steps.append(puts)
        puts.tables.setdefault(table, {})[key] = row
        self.n_rows += 1

    def remove(self, table: str, column: str, value: int | str, *, after_step: int | None = None) -> None:
        self.steps.append(Removal(table, column, value, after_step))
        self.n_rows += 1

    def remove_study(self, study_id: int) -> None:
        self.steps.append(StudyRemoval(study_id))
        self.n_rows += 1

    def probe(self) -> None:
        self.steps.append(Probe())
        self.n_rows += 1

    def join(self, other: "Batch") -> None:
        """Append what another batch writes."""
        self.notes += other.notes
        self.when_committed += other.when_committed
        for step in other.steps:
            if not isinstance(step, Puts):
                self.steps.append(step)
                self.n_rows += 1
                continue
            for table, rows in step.tables.items():
                for key, row in rows.items():
                    self.put(table, key, row)
