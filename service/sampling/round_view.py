"""What a sampler sees in a round: the study as if it had been sampled from the round's ranges all along.

Optuna's samplers learn from trials whose distributions are the same; those of another range they take for another
parameter (GP, CMA-ES, NSGA-II and QMC then sample at random), and TPE goes on in the range that it saw first. So the
trials inside of the round's ranges are shown with these ranges, the others as failed ones, of which no sampler learns.
What a sampler noted in trials of earlier rounds, such as the state of CMA-ES, belongs to other ranges and is hidden: it
begins anew. In the database every trial has the definition's ranges, as tools that compare trials expect.
"""

import copy
from collections.abc import Mapping

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from service.sampling.overlay_storage import FinishedOnce, ImportedTrials, OverlayStorage
from service.sampling.paused import as_sampled
from service.schemas.fields import Scalar
from service.schemas.optuna import distribution
from service.schemas.study.search_space import FloatParameter, Parameter, SearchSpace
from storage import CONSTRAINT_ATTR_PREFIX, FIXED_PARAMS_ATTR, RoundRecord


def narrowed_space(first: SearchSpace, record: RoundRecord | None) -> SearchSpace:
    """The search space of a round, None being the first one."""
    if record is None:
        return first
    bounds = {name: {"low": one["low"], "high": one["high"]} for name, one in record.ranges.items()}
    return {name: parameter.model_copy(update=bounds.get(name, {})) for name, parameter in first.items()}


class RoundView:
    """The ranges of a round, and the sampler that has seen nothing else. Safe for one thread at a time."""

    def __init__(
        self, first: SearchSpace, record: RoundRecord | None, sampler: BaseSampler, *, promotes: bool = False
    ) -> None:
        """`promotes`: trials may be paused."""
        self._promotes = promotes
        self.space = narrowed_space(first, record)
        self.sampler = sampler
        self._first = first
        self._record = record
        self._seen = FinishedOnce(self._look_at)
        self._whole = _distributions(first)
        self._narrowed = {} if record is None else _distributions(self.space)

    def shadow(
        self,
        storage: BaseStorage,
        study_id: int,
        pending: list[FrozenTrial],
        waiting: FrozenTrial | None,
        imported: ImportedTrials | None = None,
    ) -> OverlayStorage:
        """A view of the study with a trial in it that is to be sampled."""
        if self._record is None:
            seen = as_sampled if self._promotes else None
            return OverlayStorage(storage, study_id, pending, waiting, imported=imported, seen=seen)
        prefix = f"round-{self._record.number}:"
        return OverlayStorage(storage, study_id, pending, waiting, imported=imported, seen=self._see, prefix=prefix)

    def space_with(self, given: Mapping[str, Scalar]) -> Mapping[str, Parameter]:
        """The round's space, with the first range of what was given a value outside of the round's."""
        outside = [name for name in self._narrowed if name in given and not self.space[name].contains(given[name])]
        return {**self.space, **{name: self._first[name] for name in outside}}

    def as_written(self, trial: FrozenTrial) -> FrozenTrial:
        """A sampled trial as the database is to have it: steps are counted from the first range's low end, in decimal.

        Samplers count in floats (0.35 + 0.1 is 0.44999999999999996), which would make two configurations of one.
        """
        if self._record is not None:
            trial.distributions = _replaced(trial, self._whole)
        given = trial.system_attrs.get(FIXED_PARAMS_ATTR, {})
        for name, one in self._first.items():
            if isinstance(one, FloatParameter) and one.step is not None and name in trial.params and name not in given:
                trial.params[name] = one.at(round((trial.params[name] - one.low) / one.step))
        return trial

    def _see(self, trial: FrozenTrial) -> FrozenTrial:
        if self._promotes and (paused := as_sampled(trial)) is not trial:
            return self._look_at(paused)
        if trial.state == TrialState.WAITING:
            return trial
        return self._seen(trial)

    def _look_at(self, trial: FrozenTrial) -> FrozenTrial:
        seen = copy.copy(trial)
        if any(not self.space[name].contains(trial.params[name]) for name in self._narrowed if name in trial.params):
            seen.state, seen.values = TrialState.FAIL, None
        else:
            seen.distributions = _replaced(trial, self._narrowed)
        if self._record is not None and trial.number < self._record.first_trial:
            kept = {
                name: value for name, value in trial.system_attrs.items() if name.startswith(CONSTRAINT_ATTR_PREFIX)
            }
            seen.system_attrs = kept
        return seen


def _distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """Of the float parameters: nothing else is narrowed."""
    return {name: distribution(one) for name, one in space.items() if isinstance(one, FloatParameter)}


def _replaced(trial: FrozenTrial, distributions: Mapping[str, BaseDistribution]) -> dict[str, BaseDistribution]:
    return {name: distributions.get(name, known) for name, known in trial.distributions.items()}
