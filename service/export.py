"""All trials of a study as CSV or JSON, a page at a time."""

import csv
import io
import json
from collections.abc import Iterator, Sequence

from optuna.trial import FrozenTrial

from service.live_study import LiveStudy
from service.results import trial_views
from service.schemas.results import Trial
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
    """A header, then one trial a line; objective values, parameters and metrics each have their columns."""
    values = [f"value_{objective.metric}" for objective in live.definition.objectives]
    params, metrics = _param_names(live), _metric_names(store, live)
    header = [*COLUMNS, *values, *(f"params_{name}" for name in params), *(f"metrics_{name}" for name in metrics)]
    yield _line(header)
    for trial in _trials(store, live):
        known = trial.model_dump(mode="json")
        yield _line(
            [
                *(known[name] for name in COLUMNS),
                *(known["values"] or [None] * len(values)),
                *(_cell(known["params"], name) for name in params),
                *(known["metrics"].get(name) for name in metrics),
            ]
        )


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


def _metric_names(store: Store, live: LiveStudy) -> list[str]:
    names: dict[str, None] = {}
    for trial in _trials(store, live):
        names.update(dict.fromkeys(trial.metrics))
    return list(names)


def _trials(store: Store, live: LiveStudy) -> Iterator[Trial]:
    trials: Sequence[FrozenTrial] = live.study.get_trials(deepcopy=False)
    for start in range(0, len(trials), PAGE):
        yield from trial_views(store, live, trials[start : start + PAGE])


def _line(cells: Sequence[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()
