"""Successive halving and Hyperband, with the decisions of Optuna's pruners of these names.

At every rung that a report reaches, Optuna's pruners read the rung's values from all trials of the study. Here the
values of each rung are kept sorted, so a report takes the same time however many trials the study has.
"""

import math
from bisect import insort
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Literal

from optuna import Study
from optuna.pruners import BasePruner, HyperbandPruner
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from storage import RUNG_ATTR_PREFIX, bracket_of_trial, has_brackets, storage_of, trial_id_of

Auto = Literal["auto"]


class Bracket:
    """The trials of one bracket: the values at its rungs, and which trials go on from them.

    Trials go on from rung k if their value is among the best 1 / `reduction_factor` of those that have reached it. Rung
    k is reached at step `min_resource * reduction_factor ** (k + early_stopping_rate)`.
    """

    def __init__(self, reduction_factor: int, early_stopping_rate: int, bootstrap_count: int) -> None:
        """The first `bootstrap_count` trials at a rung are pruned there."""
        self._factor = reduction_factor
        self._rate = early_stopping_rate
        self._bootstrap_count = bootstrap_count
        self._values: defaultdict[str, list[float]] | None = None
        """By the attribute that saves them; None until they are read from the trials."""

    def says_prune(
        self, study: Study, trial: FrozenTrial, min_resource: int, trials: Callable[[], Iterable[FrozenTrial]]
    ) -> bool:
        """Whether a trial is to be pruned after its last report. The rungs that it reaches are saved as attributes.

        `trials` returns the trials of the bracket. It is called once.
        """
        step = trial.last_step
        if step is None:
            return False
        if self._values is None:
            self._values = _saved_values(trials())
        value = trial.intermediate_values[step]
        rung = 0
        while f"{RUNG_ATTR_PREFIX}{rung}" in trial.system_attrs:
            rung += 1
        while step >= min_resource * self._factor ** (self._rate + rung):
            if math.isnan(value):
                return True
            attr = f"{RUNG_ATTR_PREFIX}{rung}"
            storage_of(study).set_trial_system_attr(trial_id_of(trial), attr, value)
            insort(self._values[attr], value)
            if not self._goes_on(self._values[attr], value, study.direction):
                return True
            rung += 1
        return False

    def _goes_on(self, values: list[float], value: float, direction: StudyDirection) -> bool:
        if len(values) <= self._bootstrap_count:
            return False
        n_best = max(len(values) // self._factor, 1)
        if direction == StudyDirection.MAXIMIZE:
            return value >= values[-n_best]
        return value <= values[n_best - 1]


def _saved_values(trials: Iterable[FrozenTrial]) -> defaultdict[str, list[float]]:
    values: defaultdict[str, list[float]] = defaultdict(list)
    for trial in trials:
        for attr, value in trial.system_attrs.items():
            if attr.startswith(RUNG_ATTR_PREFIX):
                values[attr].append(value)
    for known in values.values():
        known.sort()
    return values


class IndexedHalving(BasePruner):
    """Successive halving in one bracket. Each object is for one study."""

    def __init__(
        self,
        *,
        min_resource: int | Auto = "auto",
        reduction_factor: int = 4,
        min_early_stopping_rate: int = 0,
        bootstrap_count: int = 0,
    ) -> None:
        """The options are those of Optuna's SuccessiveHalvingPruner."""
        self.min_resource = None if min_resource == "auto" else min_resource
        """Step of the first rung; None while it is to be estimated and no trial is complete."""
        self.reduction_factor = reduction_factor
        self._bracket = Bracket(reduction_factor, min_early_stopping_rate, bootstrap_count)

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether a trial is to be pruned after its last report."""
        if self.min_resource is None:
            self.min_resource = _estimated_min_resource(study)
        if self.min_resource is None:
            return False
        return self._bracket.says_prune(study, trial, self.min_resource, lambda: study.get_trials(deepcopy=False))


def _estimated_min_resource(study: Study) -> int | None:
    """A hundredth of the steps of the longest complete trial; None if there is none."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    steps = [trial.last_step for trial in complete if trial.last_step is not None]
    return max(max(steps) // 100, 1) if steps else None


class IndexedHyperband(HyperbandPruner):
    """Hyperband. Each object is for one study.

    Optuna's samplers ask its base class for the bracket of each trial.
    """

    def __init__(
        self,
        *,
        min_resource: int = 1,
        max_resource: int | Auto = "auto",
        reduction_factor: int = 3,
        bootstrap_count: int = 0,
    ) -> None:
        """The options are those of Optuna's HyperbandPruner."""
        super().__init__(min_resource, max_resource, reduction_factor, bootstrap_count)
        self._first_rung = min_resource
        self._options = (reduction_factor, bootstrap_count)
        self._by_number: dict[int, Bracket] = {}

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether a trial is to be pruned after its last report."""
        if not has_brackets(self, study):
            return False
        number = bracket_of_trial(self, study, trial)
        factor, bootstrap_count = self._options
        bracket = self._by_number.setdefault(number, Bracket(factor, number, bootstrap_count))
        return bracket.says_prune(study, trial, self._first_rung, lambda: self._trials_of(study, number))

    def _trials_of(self, study: Study, number: int) -> list[FrozenTrial]:
        trials = study.get_trials(deepcopy=False)
        return [trial for trial in trials if bracket_of_trial(self, study, trial) == number]
