"""Imported trials as samplers see them."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState
from pydantic import TypeAdapter

from service.sampling.samplers import chosen_sampler
from service.schemas.imports import Distributions, ImportedTrial
from service.schemas.optuna import distribution, local
from service.schemas.study.definition import Definition
from service.schemas.study.definition_fields import Objective
from storage import CONSTRAINT_ATTR_PREFIX, ImportRecord

Found = tuple[ImportedTrial, dict[str, BaseDistribution], datetime]
"""An imported trial, its distributions by parameter, and when it was imported."""

FIRST_ID = -(10**9)
"""Imported trials count up from here. Ids in the database are not negative, and suggestions count down from -1."""
DISTRIBUTIONS: TypeAdapter[Distributions] = TypeAdapter(Distributions)


def frozen_trials(definition: Definition, records: Sequence[ImportRecord]) -> list[FrozenTrial]:
    """The imported trials that a study's sampler sees, oldest first, with the distributions of the search space."""
    found = [one for record in records for one in _of_record(definition, record)]
    chosen = _most_telling(definition, found, chosen_sampler(definition).most_imported)
    return [_frozen(number, *one) for number, one in enumerate(chosen)]


def _most_telling(definition: Definition, found: list[Found], limit: int) -> list[Found]:
    """All of the trials, or `limit` of the complete ones if there are more.

    Half of those are the best, taken from one objective after the other; the rest are the newest of the others.
    """
    complete = [one for one in found if one[0].state == "COMPLETE"]
    if not 0 < limit < len(complete):
        return found
    best: dict[int, None] = {}
    for places in zip(
        *(_ranking(complete, place, one) for place, one in enumerate(definition.objectives)), strict=True
    ):
        best |= dict.fromkeys(places)
    kept = list(best)[: limit // 2]
    others = [index for index in range(len(complete)) if index not in set(kept)]
    return [complete[index] for index in sorted([*kept, *others[len(kept) - limit :]])]


def _ranking(complete: Sequence[Found], place: int, objective: Objective) -> list[int]:
    """Indexes of the trials, best first by one objective; trials that violate a constraint come last."""
    sign = -1 if objective.direction == "maximize" else 1

    def key(index: int) -> tuple[bool, float]:
        trial = complete[index][0]
        return any(value > 0 for value in trial.constraints.values()), sign * (trial.values or [])[place]

    return sorted(range(len(complete)), key=key)


def _of_record(definition: Definition, record: ImportRecord) -> Iterator[Found]:
    known = {**DISTRIBUTIONS.validate_python(record.distributions), **definition.search_space}
    distributions = {name: distribution(one) for name, one in known.items()}
    for written in record.trials:
        trial = ImportedTrial.model_validate(written)
        yield trial, distributions, record.imported_at


def _frozen(number: int, trial: ImportedTrial, known: dict[str, BaseDistribution], at: datetime) -> FrozenTrial:
    distributions = {name: known[name] for name in trial.params}
    params: dict[str, Any] = {
        name: one.to_external_repr(float(one.to_internal_repr(trial.params[name])))
        for name, one in distributions.items()
    }
    has_reported = trial.last_step is not None and trial.last_value is not None
    return FrozenTrial(
        number=number,
        trial_id=FIRST_ID + number,
        state=TrialState[trial.state],
        value=None,
        values=trial.values if trial.state == "COMPLETE" else None,
        datetime_start=local(at),
        datetime_complete=local(at),
        params=params,
        distributions=distributions,
        user_attrs={},
        system_attrs={f"{CONSTRAINT_ATTR_PREFIX}{name}": trial.constraints[name] for name in sorted(trial.constraints)},
        intermediate_values={trial.last_step or 0: trial.last_value or 0.0} if has_reported else {},
    )
