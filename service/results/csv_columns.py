"""Columns of a CSV export for names that differ between trials, such as those of metrics."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

MAX_COLUMNS = 1_000
"""Every row has a cell of each column, also where the trial does not have the name."""


@dataclass(frozen=True)
class NamedColumns:
    """A column for each of up to MAX_COLUMNS names, and one for all other names, if there are more.

    That one has a JSON object of the trial's other names and values; it is empty if the trial has none.
    """

    kind: str
    names: Mapping[str, None]
    has_others: bool

    @classmethod
    def of(cls, kind: str, mappings: Iterable[Mapping[str, object]]) -> "NamedColumns":
        """Columns for the names that at least one of the mappings has, in the order in which they come."""
        names: dict[str, None] = {}
        for mapping in mappings:
            for name in mapping:
                if name not in names and len(names) == MAX_COLUMNS:
                    return cls(kind, names, has_others=True)
                names[name] = None
        return cls(kind, names, has_others=False)

    def header(self) -> list[str]:
        """The titles of the columns."""
        return [*(f"{self.kind}_{name}" for name in self.names), *([f"other_{self.kind}"] if self.has_others else [])]

    def cells(self, fields: Mapping[str, object], cell: Callable[[str, object], object]) -> list[object]:
        """The cells of a trial with these names and values. `cell` returns that of one name and value."""
        cells = [cell(name, fields[name]) if name in fields else None for name in self.names]
        if not self.has_others:
            return cells
        others = {name: value for name, value in fields.items() if name not in self.names}
        return [*cells, json.dumps(others) if others else None]
