"""What a sampler sees in a round: the study as if all its trials had been sampled from the round's ranges.

Optuna's samplers learn only from trials with the same distributions. To GP, CMA-ES, NSGA-II and QMC a parameter with
another range is another parameter, which they sample at random; TPE keeps the range that it saw first. So trials
inside the round's ranges are shown with these ranges, and the others as failed trials, from which no sampler learns.
Attributes that a sampler set on trials of earlier rounds, such as the state of CMA-ES, belong to other ranges and are
hidden, so the sampler starts again. In the database every trial has the definition's ranges, as tools that compare
trials expect.
"""

import copy
from collections.abc import Callable, Mapping
from functools import partial

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from service.sampling.failures import failed_as_infeasible
from service.sampling.overlay_storage import FinishedOnce, ImportedTrials, OverlayStorage
from service.sampling.paused import as_sampled
from service.schemas.fields import Scalar
from service.schemas.optuna import distribution
from service.schemas.study.search_space import FloatParameter, Parameter, SearchSpace
from storage import CONSTRAINT_ATTR_PREFIX, FIXED_PARAMS_ATTR, RoundRecord


def narrowed_space(first: SearchSpace, record: RoundRecord | None) -> SearchSpace:
    """The search space of a round; `record` is None for the first round."""
    if record is None:
        return first
    bounds = {name: {"low": one["low"], "high": one["high"]} for name, one in record.ranges.items()}
    return {name: parameter.model_copy(update=bounds.get(name, {})) for name, parameter in first.items()}


class RoundView:
    """The ranges of a round, and a sampler that sees only trials with these ranges. For one thread at a time."""

    def __init__(
        self, first: SearchSpace, record: RoundRecord | None, sampler: BaseSampler, *, promotes: bool = False
    ) -> None:
        """`promotes` says whether trials may be paused."""
        self._promotes = promotes
        self.space = narrowed_space(first, record)
        self.sampler = sampler
        self._first = first
        self._record = record
        self._seen = FinishedOnce(self._look_at)
        self._taught = FinishedOnce(lambda trial: self._look_at(failed_as_infeasible(trial)))
        self._failed = FinishedOnce(failed_as_infeasible)
        self._whole = _distributions(first)
        self._narrowed = {} if record is None else _distributions(self.space)

    def overlay(
        self,
        storage: BaseStorage,
        study_id: int,
        pending: list[FrozenTrial],
        waiting: FrozenTrial | None,
        imported: ImportedTrials | None = None,
        *,
        with_failures: bool = False,
    ) -> OverlayStorage:
        """The study as the sampler sees it, with the trial to be sampled: `waiting`, or else a new one.

        `with_failures` shows trials that failed because of their parameters or their code as the worst ones.
        """
        prefix = "" if self._record is None else f"round-{self._record.number}:"
        seen = self._look(with_failures=with_failures)
        return OverlayStorage(storage, study_id, pending, waiting, imported=imported, seen=seen, prefix=prefix)

    def _look(self, *, with_failures: bool) -> Callable[[FrozenTrial], FrozenTrial] | None:
        """What the sampler sees of a trial; None if it sees each as it is."""
        if self._record is not None:
            return partial(self._see, self._taught if with_failures else self._seen)
        if with_failures:
            return lambda trial: self._failed(as_sampled(trial) if self._promotes else trial)
        return as_sampled if self._promotes else None

    def space_with(self, given: Mapping[str, Scalar]) -> Mapping[str, Parameter]:
        """The round's search space, but with the definition's range for values given outside the round's."""
        outside = [name for name in self._narrowed if name in given and not self.space[name].contains(given[name])]
        return {**self.space, **{name: self._first[name] for name in outside}}

    def as_written(self, trial: FrozenTrial) -> FrozenTrial:
        """A sampled trial as it is saved: with the definition's ranges, and values on the steps of these ranges.

        Samplers add steps in floats (0.35 + 0.1 is 0.44999999999999996), which would make one configuration two.
        """
        if self._record is not None:
            trial.distributions = _replaced(trial, self._whole)
        given = trial.system_attrs.get(FIXED_PARAMS_ATTR, {})
        for name, one in self._first.items():
            if isinstance(one, FloatParameter) and one.step is not None and name in trial.params and name not in given:
                trial.params[name] = one.at(round((trial.params[name] - one.low) / one.step))
        return trial

    def _see(self, finished: FinishedOnce, trial: FrozenTrial) -> FrozenTrial:
        if self._promotes and (paused := as_sampled(trial)) is not trial:
            return self._look_at(paused)
        if trial.state == TrialState.WAITING:
            return trial
        return finished(trial)

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
    """The distributions of the float parameters: only these are narrowed."""
    return {name: distribution(one) for name, one in space.items() if isinstance(one, FloatParameter)}


def _replaced(trial: FrozenTrial, distributions: Mapping[str, BaseDistribution]) -> dict[str, BaseDistribution]:
    return {name: distributions.get(name, known) for name, known in trial.distributions.items()}
