"""The columns of a table of trials."""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from service.results.trial_facts import NO_FACTS, Facts, TrialFacts
from service.sampling.constraints import is_feasible
from service.schemas.optuna import utc
from service.study.live_study import LiveStudy
from service.study.retried import retry_of
from storage import FIXED_PARAMS_ATTR, LeaseRecord, trial_id_of

N_SAMPLED = 20
"""How many of the first and of the last trials are asked for the names of metrics and attributes."""


@dataclass(frozen=True, slots=True)
class Row:
    """A trial with all that a column may show of it."""

    trial: FrozenTrial
    facts: Facts
    leases: Sequence[LeaseRecord]
    n_leases: int


Column = Callable[[Row], Any]
"""Returns the cell of a row: a JSON value, which may be nan or infinite. None if the trial lacks it."""


def rows_of(
    live: LiveStudy, facts: TrialFacts, trials: Sequence[FrozenTrial], *, with_facts: bool, with_leases: bool
) -> list[Row]:
    """The rows of trials, in the given order, with the parts that are asked for."""
    known: Iterable[Facts] = facts.of(live, trials) if with_facts else itertools.repeat(NO_FACTS)
    if not with_leases:
        return [Row(trial, own, (), 0) for trial, own in zip(trials, known, strict=False)]
    leases: dict[int, list[LeaseRecord]] = {}
    for lease in live.store.leases.of_trials([trial_id_of(trial) for trial in trials]):
        leases.setdefault(lease.trial_id, []).append(lease)
    return [
        Row(trial, own, leases.get(trial_id_of(trial), ()), live.store.leases.n_of_trial(trial_id_of(trial)))
        for trial, own in zip(trials, known, strict=False)
    ]


def params_of(trial: FrozenTrial) -> Mapping[str, Any]:
    """The parameters of a trial; of one that has not begun, those that it was enqueued with."""
    params: Mapping[str, Any] = trial.params or trial.system_attrs.get(FIXED_PARAMS_ATTR, {})
    return params


def started_at(row: Row) -> datetime | None:
    """When the trial was first given to a worker."""
    return row.leases[0].granted_at if row.leases else utc(row.trial.datetime_start)


def finished_at(row: Row) -> datetime | None:
    """When the trial ended; None before."""
    finished = utc(row.trial.datetime_complete)
    return row.leases[-1].ended_at if row.leases and finished is not None else finished


def _duration_seconds(row: Row) -> float | None:
    started, finished = started_at(row), finished_at(row)
    return max(0.0, (finished - started).total_seconds()) if started and finished else None


def _text(moment: datetime | None) -> str | None:
    """A UTC time that sorts as a text."""
    return None if moment is None else f"{moment.isoformat(timespec='microseconds').removesuffix('+00:00')}Z"


FIXED: Mapping[str, Column] = {
    "number": lambda row: row.trial.number,
    "state": lambda row: row.trial.state.name,
    "duration_seconds": _duration_seconds,
    "started_at": lambda row: _text(started_at(row)),
    "finished_at": lambda row: _text(finished_at(row)),
    "worker": lambda row: row.leases[-1].worker_id if row.leases else None,
    "reason": lambda row: row.facts.reason,
    "step": lambda row: row.facts.step,
    "attempts": lambda row: row.n_leases,
    "retry_of": lambda row: retry_of(row.trial),
    "feasible": lambda row: is_feasible(row.trial),
}
"""The columns that every study has."""
FROM_FACTS = ("reason", "step")
FROM_LEASES = ("duration_seconds", "started_at", "finished_at", "worker", "attempts")


class Columns:
    """The columns of one study, by their names. It notes what the columns that were found need of a row."""

    def __init__(self, live: LiveStudy) -> None:
        self._live = live
        self._needs_facts = self._needs_leases = False
        self._trials: Sequence[FrozenTrial] = live.study.get_trials(deepcopy=False)
        self.metrics = [objective.metric for objective in live.definition.objectives]
        asked_for = (
            itertools.chain.from_iterable(trial.params for trial in self._trials)
            if live.definition.is_user_code
            else ()
        )
        self.params = dict.fromkeys(itertools.chain(live.definition.search_space, asked_for))

    def default_names(self) -> list[str]:
        """The names of the columns that are shown unless others are asked for."""
        values = [f"values.{metric}" for metric in self.metrics]
        return ["number", "state", *values, *(f"params.{name}" for name in self.params), "duration_seconds"]

    def names(self, facts: TrialFacts) -> list[str]:
        """The names of all columns. Of metrics and attributes, those that the first and the last trials have."""
        sample = [*self._trials[:N_SAMPLED], *self._trials[N_SAMPLED:][-N_SAMPLED:]]
        metrics = dict.fromkeys(name for known in facts.of(self._live, sample) for name in known.metrics)
        attrs = dict.fromkeys(name for trial in sample for name in trial.user_attrs)
        constraints = dict.fromkeys(name for trial in sample for name in trial.constraints)
        return [
            *self.default_names(),
            *(f"metrics.{name}" for name in metrics),
            *(name for name in FIXED if name not in ("number", "state", "duration_seconds")),
            *(f"constraints.{name}" for name in constraints),
            *(f"user_attrs.{name}" for name in attrs),
        ]

    def rows(self, facts: TrialFacts, trials: Sequence[FrozenTrial]) -> list[Row]:
        """The rows of trials, with all that the columns that were found need."""
        needs = {"with_facts": self._needs_facts, "with_leases": self._needs_leases}
        return rows_of(self._live, facts, trials, **needs)

    def find(self, name: str) -> Column | None:
        """The column of a name; None for an unknown one.

        A name that is no whole one is that of a parameter, else of an objective, else of a metric of the last trials.
        """
        if name in FIXED:
            self._needs_facts |= name in FROM_FACTS
            self._needs_leases |= name in FROM_LEASES
            return FIXED[name]
        if name in ("value", "values"):
            return self._value(0)
        found = self._with_prefix(name)
        if found is not None:
            return found
        if name in self.params:
            return self._with_prefix(f"params.{name}")
        return self._value(self.metrics.index(name)) if name in self.metrics else None

    def _with_prefix(self, name: str) -> Column | None:
        kind, _, own = name.partition(".")
        match kind:
            case "params":
                return (lambda row: params_of(row.trial).get(own)) if own in self.params else None
            case "values":
                return self._value(self.metrics.index(own)) if own in self.metrics else None
            case "metrics":
                self._needs_facts = True
                return lambda row: row.facts.metrics.get(own)
            case "user_attrs":
                return lambda row: row.trial.user_attrs.get(own)
            case "constraints":
                return lambda row: row.trial.constraints.get(own)
        return None

    def _value(self, index: int) -> Column:
        complete = TrialState.COMPLETE
        return lambda row: row.trial.values[index] if row.trial.state == complete else None


def is_missing(value: Any) -> bool:
    """Whether a cell has nothing to sort by: none, nan, a list or an object."""
    if isinstance(value, float):
        return math.isnan(value)
    return not isinstance(value, str | int)
