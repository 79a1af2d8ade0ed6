"""The few values of a running trial that a pruner's decision depends on.

Most of Optuna's pruners read all values of a trial, but only the best value and those of the last steps change their
answer. Given these alone, they take the same time at every step.
"""

import copy
import math
from bisect import insort
from collections.abc import Mapping

from optuna.trial import FrozenTrial

from service.schemas.study.pruners import AnyPruner, Patient, Wilcoxon
from storage import trial_id_of

N_LAST = 2
"""Median, percentile and threshold look at the last step and the one before it, halving and Hyperband at the last."""


def n_last_steps(pruner: AnyPruner) -> int | None:
    """How many of a trial's last steps a pruner looks at, besides its best value; None if it compares all steps."""
    if isinstance(pruner, Wilcoxon):
        return None
    if not isinstance(pruner, Patient):
        return N_LAST
    wrapped = N_LAST if pruner.wrapped_pruner is None else n_last_steps(pruner.wrapped_pruner)
    return None if wrapped is None else max(wrapped, pruner.patience + 1)


class DecisiveValues:
    """The values of the last `n_last` steps, and the best value before these."""

    def __init__(self, n_last: int, *, maximize: bool) -> None:
        self._n_last = n_last
        self._sign = 1.0 if maximize else -1.0
        self._last: list[tuple[int, float]] = []
        self._best: tuple[int, float] | None = None

    def add(self, step: int, value: float) -> None:
        """Add the value of a new step."""
        insort(self._last, (step, value))
        if len(self._last) > self._n_last:
            self._add_before(*self._last.pop(0))

    def _add_before(self, step: int, value: float) -> None:
        if self._best is None or math.isnan(self._best[1]) or self._sign * value > self._sign * self._best[1]:
            self._best = (step, value)

    def by_step(self) -> dict[int, float]:
        """These values by step, in the order of the steps."""
        return dict(self._last if self._best is None else [self._best, *self._last])


class DecisiveViews:
    """Views of running trials with only their decisive values. For a pruner that compares all steps, with all."""

    def __init__(self, pruner: AnyPruner, *, maximize: bool) -> None:
        self._n_last = n_last_steps(pruner)
        self._maximize = maximize
        self._known: dict[int, DecisiveValues] = {}

    def note(self, trial_id: int, step: int, value: float, *, is_new: bool) -> None:
        """Note a reported value. A step that was reported before makes the next view read all values again."""
        if not is_new:
            self.forget(trial_id)
        elif trial_id in self._known:
            self._known[trial_id].add(step, value)

    def forget(self, trial_id: int) -> None:
        """Forget a trial that has ended, or some of whose values were dropped."""
        self._known.pop(trial_id, None)

    def view(self, trial: FrozenTrial, values: Mapping[int, float]) -> FrozenTrial:
        """A trial as a pruner needs to see it; `values` are all its values."""
        if self._n_last is None:
            return trial
        known = self._known.get(trial_id_of(trial))
        if known is None:
            known = self._known[trial_id_of(trial)] = DecisiveValues(self._n_last, maximize=self._maximize)
            for step, value in values.items():
                known.add(step, value)
        seen = copy.copy(trial)
        seen.intermediate_values = known.by_step()
        return seen
