"""Trials in a CSV file: from `narrows export`, from one of Optuna's data frames, or written by hand.

If there are columns that begin with `params_`, those are the parameters, and of the others only the objective values,
`state`, columns that begin with `constraints_`, and `step` with `metrics_METRIC` are read. The last two are the last
report of a pruned trial. Without any, every other column is a parameter.
The column of an objective is `value_METRIC`, `values_METRIC`, METRIC or `values_INDEX`; `value` is that of the first
objective. An empty cell means that the trial does not have the parameter, or that its value is null: pandas writes None
so. A row that cannot be read is left out, and its line, column and rule are told.
"""

import csv
import io
import json
import math
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Any, get_args

from service.schemas.csv_text import text_of
from service.schemas.results import TrialState
from service.schemas.study.definition import Definition
from service.schemas.study.search_space import CategoricalParameter, IntParameter, Parameter, is_active

PREFIX = "params_"
CONSTRAINT = "constraints_"
STATE = "state"
STEP = "step"
MAX_SHOWN = 40
"""Number of columns that a message lists, and of characters of each."""
STATES: tuple[str, ...] = get_args(TrialState)


class CsvError(ValueError):
    """The file breaks a rule; the message names the line or the column."""


def read_csv(text: str, definition: Definition) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the trials as the API's import takes them, and why each of the other rows cannot be read.

    Raises CsvError if no row can be read.
    """
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))  # for all files: Python refuses cells above 128 KiB
    reader = csv.reader(io.StringIO(text, newline=""))
    header = _header(reader, definition)
    params, values = _columns(header, definition)
    trials: list[dict[str, Any]] = []
    unreadable: list[str] = []
    for row in reader:
        if not any(row):
            continue
        try:
            trials.append(_trial(_cells(header, row, reader.line_num), params, values, definition, reader.line_num))
        except CsvError as error:
            unreadable.append(str(error))
    if not trials:
        none = "a file must have at least one trial: there is none after the header"
        raise CsvError(unreadable[0] if unreadable else none)
    return trials, unreadable


def _header(rows: Iterable[Sequence[str]], definition: Definition) -> list[str]:
    """The names of the columns: the first row that is not empty. Spaces around them go, if no name of ours has any."""
    header = list(next(filter(any, rows), []))
    ours = [*definition.search_space, *(objective.metric for objective in definition.objectives)]
    if all(name == name.strip() for name in ours):
        header = [name.strip() for name in header]
    if len(header) == 1 and (separator := next((one for one in ";\t" if one in header[0]), None)) is not None:
        raise CsvError(f"cells must be separated by commas: the first line has {separator!r}")
    return header


def _columns(header: Sequence[str], definition: Definition) -> tuple[dict[str, str], list[str]]:
    """Return the columns of the parameters by name, and those of the objective values in order."""
    repeated = next((name for index, name in enumerate(header) if name in header[:index]), None)
    if repeated is not None:
        raise CsvError(f"column {repeated!r} must not be listed twice")
    values = list(_value_columns(header, definition))
    if any(name.startswith(PREFIX) for name in header):
        params = {name.removeprefix(PREFIX): name for name in header if name.startswith(PREFIX)}
    else:
        params = {name: name for name in header if name not in (*values, STATE) and not name.startswith(CONSTRAINT)}
    unknown = [params[name] for name in params if name not in definition.search_space]
    if unknown:
        raise CsvError(f"column {unknown[0]!r} must be a parameter of the search space, a value or {STATE}")
    return params, values


def _value_columns(header: Sequence[str], definition: Definition) -> Iterator[str]:
    for index, objective in enumerate(definition.objectives):
        metric = objective.metric
        names = [f"value_{metric}", f"values_{metric}", metric, f"values_{index}", *(["value"] if index == 0 else [])]
        column = next((name for name in names if name in header), None)
        if column is None:
            listed = ", ".join(repr(cell[:MAX_SHOWN]) for cell in header[:MAX_SHOWN]) or "none"
            raise CsvError(f"a column must have the values of {metric}: {' or '.join(names)}; the columns are {listed}")
        yield column


def _cells(header: Sequence[str], row: Sequence[str], line: int) -> dict[str, str]:
    if len(row) != len(header):
        raise CsvError(f"line {line} must have {len(header)} cells: {len(row)}")
    return dict(zip(header, row, strict=True))


def _trial(
    cells: Mapping[str, str], params: Mapping[str, str], values: Sequence[str], definition: Definition, line: int
) -> dict[str, Any]:
    state = cells.get(STATE) or "COMPLETE"
    if state not in STATES:
        raise CsvError(f"line {line}, column {STATE}: must be one of {', '.join(STATES)}: {state!r}")
    given = {name: column for name, column in params.items() if cells[column] != ""}
    found = {
        name: _param(definition.search_space[name], cells[column], f"line {line}, column {column}")
        for name, column in given.items()
    }
    trial: dict[str, Any] = {"state": state, "params": _with_nulls(found, params, definition)}
    constraints = {name: cell for name, cell in cells.items() if name.startswith(CONSTRAINT) and cell}
    if constraints:
        trial["constraints"] = {
            name.removeprefix(CONSTRAINT): _wire(_number(cell, f"line {line}, column {name}"))
            for name, cell in constraints.items()
        }
    if state == "PRUNED" and any(name.startswith(PREFIX) for name in cells):
        trial.update(_last_report(cells, definition, line))
    if state == "COMPLETE":
        trial["values"] = [_wire(_number(cells[column], f"line {line}, column {column}")) for column in values]
    return trial


def _last_report(cells: Mapping[str, str], definition: Definition, line: int) -> dict[str, Any]:
    """The last step and value of a pruned trial; nothing without them, or with several objectives."""
    column = f"metrics_{definition.objectives[0].metric}"
    step, value = cells.get(STEP), cells.get(column)
    if not step or not value or len(definition.objectives) > 1:
        return {}
    at = f"line {line}, column"
    last_value = "nan" if value.lower() == "nan" else _wire(_number(value, f"{at} {column}"))
    return {"last_step": _whole_number(step, f"{at} {STEP}"), "last_value": last_value}


def _with_nulls(found: dict[str, Any], columns: Container[str], definition: Definition) -> dict[str, Any]:
    """The parameters, with null for an empty cell where null is a choice and the parameter exists beside the others."""
    params = dict(found)
    for name, parameter in definition.search_space.items():
        if name in columns and name not in params and is_active(parameter, params) and parameter.contains(None):
            params[name] = None
    return params


def _number(cell: str, where: str) -> float:
    try:
        number = float(cell)
    except ValueError as error:
        raise CsvError(f"{where}: must be a number: {cell!r}") from error
    if math.isnan(number):
        raise CsvError(f"{where}: must be a number: {cell!r}")
    return number


def _whole_number(cell: str, where: str) -> int:
    number = _number(cell, where)
    if not number.is_integer():
        raise CsvError(f"{where}: must be a whole number: {cell!r}")
    return int(number)


def _wire(number: float) -> float | str:
    """JSON has no infinite numbers."""
    return number if math.isfinite(number) else str(number)


def _param(parameter: Parameter, cell: str, where: str) -> Any:
    """Return a value with the type of its parameter. A text that is no choice stays text; the service leaves it out."""
    if isinstance(parameter, CategoricalParameter):
        return _choice(parameter.choices, cell)
    if isinstance(parameter, IntParameter):
        return _whole_number(cell, where)
    number = _number(cell, where)
    return number if math.isfinite(number) else cell


def _choice(choices: Sequence[Any], cell: str) -> Any:
    """The choice that a cell means; the cell's text if it means none.

    An export writes a text that could be another value as JSON, and puts an apostrophe before one that looks like a
    formula. So JSON counts first, then text, then what Python writes.
    """
    texts = dict.fromkeys([text_of(cell), cell, cell.strip()])
    for is_meant in (_is_json, _is_text, _is_number):
        for text in texts:
            for choice in choices:
                if is_meant(choice, text):
                    return choice
    return text_of(cell)


def _is_json(choice: Any, text: str) -> bool:
    return text in (json.dumps(choice), json.dumps(choice, ensure_ascii=False))


def _is_text(choice: Any, text: str) -> bool:
    return text == str(choice)


def _is_number(choice: Any, text: str) -> bool:
    if isinstance(choice, bool) or not isinstance(choice, int | float):
        return False
    try:
        return float(text) == choice
    except ValueError:
        return False
