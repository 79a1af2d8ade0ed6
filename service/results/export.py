"""Export all trials of a study as CSV, as JSON or in Optuna's own terms, read from the database in pages."""

import csv
import io
import itertools
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, distribution_to_json
from optuna.trial import FrozenTrial

from service.results.csv_columns import NamedColumns
from service.results.view import metrics_of, trial_views
from service.schemas.csv_text import text_cell
from service.schemas.optuna import NAMES, OptunaStudy, OptunaTrial, utc
from service.schemas.results import Metrics, Trial
from service.schemas.study.search_space import Choices
from service.study.live_study import LiveStudy

PAGE = 500
PIECE_CHARACTERS = 64 * 1024
COLUMNS = ("number", "state", "started_at", "finished_at", "duration_seconds", "worker", "reason", "step", "retry_of")


def in_pieces(lines: Iterator[str]) -> Iterator[str]:
    """The same text in pieces of about PIECE_CHARACTERS: each piece of an answer costs a change of threads."""
    piece: list[str] = []
    size = 0
    for line in lines:
        piece.append(line)
        size += len(line)
        if size >= PIECE_CHARACTERS:
            yield "".join(piece)
            piece, size = [], 0
    yield "".join(piece)


def as_json(live: LiveStudy, trials: Sequence[FrozenTrial]) -> Iterator[str]:
    """Yield a JSON array with one of these trials per line."""
    yield "[\n"
    first = True
    for trial in _views(live, trials):
        yield ("" if first else ",\n") + trial.model_dump_json()
        first = False
    yield "\n]\n"


def as_csv(live: LiveStudy, trials: Sequence[FrozenTrial]) -> Iterator[str]:
    """Yield a CSV header, then one of these trials per line.

    Each objective, parameter, metric, constraint and user attribute has a column, up to MAX_COLUMNS of each kind.
    """
    objectives = [objective.metric for objective in live.definition.objectives]
    asked_for = [trial.params for trial in trials] if live.definition.is_user_code else []
    params = NamedColumns.of("params", [live.definition.search_space, *asked_for])
    metrics = NamedColumns.of(
        "metrics", itertools.chain([dict.fromkeys(objectives)], (trial.metrics for trial in _views(live, trials)))
    )
    constraints = NamedColumns.of("constraints", (trial.constraints for trial in trials))
    attrs = NamedColumns.of("user_attrs", (trial.user_attrs for trial in trials))
    mixed = _mixed(live, trials)
    header = [*COLUMNS, *(f"value_{metric}" for metric in objectives)]
    yield _line([*header, *params.header(), *metrics.header(), *constraints.header(), *attrs.header()])
    for trial in _views(live, trials):
        fields = trial.model_dump(mode="json")
        yield _line(
            [
                *(text_cell(cell) if isinstance(cell := fields[name], str) else cell for name in COLUMNS),
                *(fields["values"] or [None] * len(objectives)),
                *params.cells(fields["params"], lambda name, value: _cell(value, in_json=name in mixed)),
                *metrics.cells(fields["metrics"], lambda _, value: value),
                *constraints.cells(fields["constraints"], lambda _, value: value),
                *attrs.cells(fields["user_attrs"], lambda _, value: _cell(value, in_json=True)),
            ]
        )


def as_optuna(live: LiveStudy, trials: Sequence[FrozenTrial]) -> Iterator[str]:
    """Yield JSON lines: the study, then one of these trials per line, with all that Optuna's tables hold of them."""
    objectives = live.definition.objectives
    study = OptunaStudy(
        study_name=live.record.name,
        directions=[objective.direction for objective in objectives],
        metric_names=[objective.metric for objective in objectives],
        user_attrs=_on_wire(live.study.user_attrs),
    )
    yield f"{study.model_dump_json()}\n"
    known: dict[int, tuple[BaseDistribution, Any]] = {}
    for start in range(0, len(trials), PAGE):
        page = trials[start : start + PAGE]
        for trial, metrics in zip(page, metrics_of(live, page), strict=True):
            yield f"{_optuna_trial(trial, metrics, known).model_dump_json()}\n"


def _optuna_trial(trial: FrozenTrial, metrics: Metrics, known: dict[int, tuple[BaseDistribution, Any]]) -> OptunaTrial:
    """The line of a trial. `known` has the distributions of earlier ones, which trials share, by identity."""
    for kind in trial.distributions.values():
        if id(kind) not in known:
            known[id(kind)] = (kind, json.loads(distribution_to_json(kind)))
    return OptunaTrial.model_construct(
        number=trial.number,
        state=NAMES[trial.state],
        values=trial.values,
        params=trial.params,
        distributions={name: known[id(kind)][1] for name, kind in trial.distributions.items()},
        intermediate_values=dict(trial.intermediate_values.items()),
        metrics=metrics,
        user_attrs=_on_wire(trial.user_attrs),
        system_attrs=_on_wire(trial.system_attrs),
        datetime_start=utc(trial.datetime_start),
        datetime_complete=utc(trial.datetime_complete),
    )


def _on_wire(value: Any) -> Any:
    """The JSON value with nan and infinities as strings, because JSON has no such numbers."""
    if isinstance(value, dict):
        return {key: _on_wire(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_on_wire(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _mixed(live: LiveStudy, trials: Iterable[FrozenTrial]) -> set[str]:
    """The categorical parameters that have choices besides texts: there "1" is not 1, nor "null" nothing."""
    asked_for = {name: kind for trial in trials for name, kind in trial.distributions.items()}
    choices = {name: kind.choices for name, kind in asked_for.items() if isinstance(kind, CategoricalDistribution)}
    for name, parameter in live.definition.search_space.items():
        if isinstance(parameter, Choices):
            choices[name] = tuple(parameter.choices)
    return {name for name, values in choices.items() if not all(isinstance(value, str) for value in values)}


def _cell(value: object, *, in_json: bool) -> object:
    """The CSV cell of a parameter or a user attribute: all but text and numbers as JSON.

    With `in_json` texts are written as JSON too if they could be taken for another value, and so is an empty text.
    """
    if isinstance(value, str):
        return text_cell(json.dumps(value) if value == "" or (in_json and _is_json(value)) else value)
    return json.dumps(value) if value is None or isinstance(value, bool | list | dict) else value


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return text in ("True", "False", "None")
    return True


def _views(live: LiveStudy, trials: Sequence[FrozenTrial]) -> Iterator[Trial]:
    for start in range(0, len(trials), PAGE):
        yield from trial_views(live, trials[start : start + PAGE])


def _line(cells: Sequence[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(cells)  # so that both characters are quoted in cells
    return f"{text.getvalue()[:-2]}\n"
