"""A table of trials: filtered, sorted, in pages by position, as JSON or as CSV."""

import csv
import io
import itertools
import json
import math
import threading
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import Any

from optuna.trial import FrozenTrial

from service.errors import InvalidError
from service.results.filters import compile_filter
from service.results.step_sort import sorted_in_steps
from service.results.study_version import version_of
from service.results.table_columns import Column, Columns, Row, is_missing
from service.results.trial_facts import TrialFacts
from service.schemas.csv_text import text_cell
from service.schemas.locations import short
from service.study.live_study import LiveStudy

MAX_COLUMNS = 500
CHUNK = 2_000
"""Rows that are read in one go."""
MAX_KEPT = 32
MAX_KEPT_NUMBERS = 2_000_000


class TrialTables:
    """Answers the tables of all studies.

    It keeps the latest selections, because a page asks for their rows piece by piece.
    """

    def __init__(self) -> None:
        self.facts = TrialFacts()
        self._lock = threading.Lock()
        self._selections: OrderedDict[tuple[str, str, str], array[int]] = OrderedDict()

    def matching(self, live: LiveStudy, where: str | None, order_by: str = "number") -> Sequence[int]:
        """The numbers of the trials that match a filter, in an order. Raises InvalidError."""
        if not where and order_by == "number":
            return range(len(live.study.get_trials(deepcopy=False)))
        key = (version_of(live), where or "", order_by)
        with self._lock:
            known = self._selections.get(key)
            if known is not None:
                self._selections.move_to_end(key)
                return known
        found = array("q", self._select(live, where, order_by))
        with self._lock:
            self._selections[key] = found
            while len(self._selections) > MAX_KEPT or (
                len(self._selections) > 1 and sum(map(len, self._selections.values())) > MAX_KEPT_NUMBERS
            ):
                self._selections.popitem(last=False)
        return found

    def json_of(
        self, live: LiveStudy, names: Sequence[str], where: str | None, order_by: str, offset: int, limit: int
    ) -> bytes:
        """The schema TrialTable as JSON: the rows from a position on. Raises InvalidError."""
        columns = Columns(live)
        shown = list(names) or columns.default_names()
        cells = _found(columns, shown)
        numbers = self.matching(live, where, order_by)
        rows = [
            json.dumps([_on_wire(cell(row)) for cell in cells], ensure_ascii=False)
            for row in self._rows(live, columns, numbers[offset : offset + limit])
        ]
        head = {"total": len(numbers), "offset": offset, "columns": shown, "available": columns.names(self.facts)}
        return f'{json.dumps(head, ensure_ascii=False)[:-1]}, "rows": [{",".join(rows)}]}}'.encode()

    def csv_of(self, live: LiveStudy, names: Sequence[str], where: str | None, order_by: str) -> Iterator[str]:
        """The lines of a CSV file with all matching rows. Raises InvalidError before the first line."""
        columns = Columns(live)
        shown = list(names) or columns.default_names()
        cells = _found(columns, shown)
        numbers = self.matching(live, where, order_by)
        lines = (_line([_csv_cell(cell(row)) for cell in cells]) for row in self._rows(live, columns, numbers))
        return itertools.chain([_line([text_cell(name) for name in shown])], lines)

    def _rows(self, live: LiveStudy, columns: Columns, numbers: Sequence[int]) -> Iterator[Row]:
        """The rows of these trials, read in chunks."""
        trials: Sequence[FrozenTrial] = live.study.get_trials(deepcopy=False)
        for start in range(0, len(numbers), CHUNK):
            yield from columns.rows(self.facts, [trials[number] for number in numbers[start : start + CHUNK]])

    def _select(self, live: LiveStudy, where: str | None, order_by: str) -> list[int]:
        columns = Columns(live)
        is_descending = order_by.startswith("-")
        name = order_by.removeprefix("-")
        key = columns.find(name)
        if key is None:
            raise InvalidError([("order_by", f"order_by must be a column, with a leading - to descend: {short(name)}")])
        passes: Callable[[Row], bool] = compile_filter(where, columns.find) if where else lambda _row: True
        found: list[tuple[Any, int]] = []
        missing: list[int] = []
        for row in self._rows(live, columns, range(len(live.study.get_trials(deepcopy=False)))):
            if passes(row):
                value = key(row)
                if is_missing(value):
                    missing.append(row.trial.number)
                else:
                    found.append(((isinstance(value, str), value), row.trial.number))
        ordered = sorted_in_steps(found, key=itemgetter(0), reverse=is_descending)
        return [number for _, number in ordered] + missing


def _found(columns: Columns, names: Sequence[str]) -> list[Column]:
    """The columns of these names. Raises InvalidError."""
    if len(names) > MAX_COLUMNS:
        raise InvalidError([("columns", f"columns must be at most {MAX_COLUMNS}: {len(names)}")])
    found = [(name, columns.find(name)) for name in names]
    unknown = [name for name, column in found if column is None]
    if unknown:
        raise InvalidError([("columns", f"columns must be those of the study: there is no {short(unknown[0])}")])
    return [column for _, column in found if column is not None]


def _on_wire(value: Any) -> Any:
    """A JSON value with nan and infinities as texts."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {key: _on_wire(item) for key, item in value.items()}
    return [_on_wire(item) for item in value] if isinstance(value, list | tuple) else value


def _csv_cell(value: Any) -> Any:
    if isinstance(value, str):
        return text_cell(value)
    return text_cell(json.dumps(value)) if isinstance(value, bool | list | dict) else value


def _line(cells: Sequence[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(cells)  # so that both characters are quoted in cells
    return f"{text.getvalue()[:-2]}\n"
