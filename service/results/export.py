"""All trials of a study as CSV, as JSON or as Optuna has them, a page at a time."""

import csv
import io
import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

from optuna.distributions import distribution_to_json
from optuna.trial import FrozenTrial

from service.results.view import trial_views
from service.schemas.optuna import OptunaStudy, OptunaTrial, utc
from service.schemas.results import Metrics, Trial
from service.study.live_study import LiveStudy
from storage import Store

PAGE = 500
COLUMNS = ("number", "state", "started_at", "finished_at", "duration_seconds", "worker", "reason", "step")


def as_json(store: Store, live: LiveStudy) -> Iterator[str]:
    """A JSON array with one trial a line."""
    yield "[\n"
    first = True
    for trial in _trials(store, live):
        yield ("" if first else ",\n") + trial.model_dump_json()
        first = False
    yield "\n]\n"


def as_csv(store: Store, live: LiveStudy) -> Iterator[str]:
    """A header, then one trial a line; objective values, parameters, metrics and constraints have columns each."""
    values = [f"value_{objective.metric}" for objective in live.definition.objectives]
    params, metrics = _param_names(live), _metric_names(store, live)
    constraints = _constraint_names(live)
    header = [
        *COLUMNS,
        *values,
        *(f"params_{name}" for name in params),
        *(f"metrics_{name}" for name in metrics),
        *(f"constraints_{name}" for name in constraints),
    ]
    yield _line(header)
    for trial in _trials(store, live):
        known = trial.model_dump(mode="json")
        yield _line(
            [
                *(known[name] for name in COLUMNS),
                *(known["values"] or [None] * len(values)),
                *(_cell(known["params"], name) for name in params),
                *(known["metrics"].get(name) for name in metrics),
                *(known["constraints"].get(name) for name in constraints),
            ]
        )


def as_optuna(store: Store, live: LiveStudy) -> Iterator[str]:
    """The study in one line, then one trial a line, with all that Optuna's own tables have of them."""
    objectives = live.definition.objectives
    study = OptunaStudy(
        study_name=live.record.name,
        directions=[objective.direction for objective in objectives],
        metric_names=[objective.metric for objective in objectives],
        user_attrs=_on_wire(live.study.user_attrs),
    )
    yield f"{study.model_dump_json()}\n"
    for trial, view in _pairs(store, live):
        yield f"{_optuna_trial(trial, view.metrics).model_dump_json()}\n"


def _optuna_trial(trial: FrozenTrial, metrics: Metrics) -> OptunaTrial:
    return OptunaTrial(
        number=trial.number,
        state=trial.state.name,
        values=trial.values,
        params=trial.params,
        distributions={name: json.loads(distribution_to_json(one)) for name, one in trial.distributions.items()},
        intermediate_values=trial.intermediate_values,
        metrics=metrics,
        user_attrs=_on_wire(trial.user_attrs),
        system_attrs=_on_wire(trial.system_attrs),
        datetime_start=utc(trial.datetime_start),
        datetime_complete=utc(trial.datetime_complete),
    )


def _on_wire(value: Any) -> Any:
    """Any JSON value, the numbers that JSON cannot carry as strings."""
    if isinstance(value, dict):
        return {key: _on_wire(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_on_wire(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _cell(params: dict[str, object], name: str) -> object:
    """A parameter as JSON where CSV could not tell it from another: true, null; empty where it is inactive."""
    if name not in params:
        return None
    value = params[name]
    return json.dumps(value) if value is None or isinstance(value, bool) else value


def _param_names(live: LiveStudy) -> list[str]:
    """Of the search space, and those that an entrypoint asked for as it ran."""
    names = dict.fromkeys(live.definition.search_space)
    if live.definition.is_user_code:
        for trial in live.study.get_trials(deepcopy=False):
            names.update(dict.fromkeys(trial.params))
    return list(names)


def _constraint_names(live: LiveStudy) -> list[str]:
    """Of the definition, and those that an entrypoint has set."""
    names: dict[str, None] = {}
    for trial in live.study.get_trials(deepcopy=False):
        names.update(dict.fromkeys(trial.constraints))
    return list(names)


def _metric_names(store: Store, live: LiveStudy) -> list[str]:
    names: dict[str, None] = {}
    for trial in _trials(store, live):
        names.update(dict.fromkeys(trial.metrics))
    return list(names)


def _trials(store: Store, live: LiveStudy) -> Iterator[Trial]:
    return (view for _, view in _pairs(store, live))


def _pairs(store: Store, live: LiveStudy) -> Iterator[tuple[FrozenTrial, Trial]]:
    """Every trial as Optuna has it, and as clients see it."""
    trials: Sequence[FrozenTrial] = live.study.get_trials(deepcopy=False)
    for start in range(0, len(trials), PAGE):
        page = trials[start : start + PAGE]
        yield from zip(page, trial_views(store, live, page), strict=True)


def _line(cells: Sequence[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()
