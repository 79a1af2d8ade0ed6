"""Samplers of a user's own: some work, and each of the others fails in a way of its own."""

import os
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

from optuna import Study
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.search_space import IntersectionSearchSpace
from optuna.trial import FrozenTrial, TrialState

COUNT = "halving:count"
HEARD = "halving:heard"
Where = Literal["before", "relative", "independent", "after"]


class HalvingSampler(BaseSampler):
    """Counts in the study's attributes, and takes the middle of each range, moved by the count.

    It notes on each trial what it has seen: the states, values, imports and ends of the study's trials.
    """

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        storage, study_id, trial_id = study._storage, study._study_id, trial._trial_id
        count = storage.get_study_system_attrs(study_id).get(COUNT, 0)
        storage.set_study_system_attr(study_id, COUNT, count + 1)
        storage.set_study_user_attr(study_id, "sampled", count + 1)
        trials = study.get_trials(deepcopy=False)
        storage.set_trial_system_attr(trial_id, "seen", [one.state.name for one in trials])
        storage.set_trial_system_attr(trial_id, "values", [one.values for one in trials])
        storage.set_trial_system_attr(trial_id, "reported", [list(one.intermediate_values.items()) for one in trials])
        storage.set_trial_system_attr(trial_id, "bounds", [one.constraints for one in trials])
        storage.set_trial_system_attr(trial_id, "heard", [one.system_attrs.get(HEARD) for one in trials])
        storage.set_trial_system_attr(trial_id, "directions", [one.name for one in study.directions])

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return IntersectionSearchSpace(include_pruned=True).calculate(study)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {name: self._value(study, one) for name, one in search_space.items()}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._value(study, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        study._storage.set_trial_system_attr(trial._trial_id, HEARD, [state.name, values])

    def _value(self, study: Study, distribution: BaseDistribution) -> Any:
        count = study._storage.get_study_system_attrs(study._study_id)[COUNT]
        if isinstance(distribution, FloatDistribution):
            return distribution.low + (distribution.high - distribution.low) / (1 + count)
        return distribution.low if isinstance(distribution, IntDistribution) else distribution.to_external_repr(0)


class BadSampler(HalvingSampler):
    """Does something bad when it is called."""

    def __init__(self, do: Callable[[], Any], where: Where, after: int) -> None:
        self._do, self._where, self._left = do, where, after

    def _bad(self, where: Where, value: Any) -> Any:
        if where == self._where:
            self._left -= 1
        return value if where != self._where or self._left >= 0 else self._do()

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        super().before_trial(study, trial)
        self._bad("before", None)

    def sample_independent(self, *arguments: Any) -> Any:
        return self._bad("independent", super().sample_independent(*arguments))

    def after_trial(self, *arguments: Any) -> None:
        super().after_trial(*arguments)
        self._bad("after", None)


def halving() -> BaseSampler:
    return HalvingSampler()


def _raise() -> None:
    raise ValueError("no model fits")


def _fill() -> None:
    held = []
    while True:
        held.append(bytearray(32 * 1024**2))


def _print() -> float:
    for _ in range(10_000):
        print("a line of a sampler" * 10)
    return 0.05


BAD: dict[str, Callable[[], Any]] = {
    "raise": _raise,
    "hang": lambda: time.sleep(3600),
    "exit": lambda: os._exit(7),
    "sys_exit": lambda: exit(3),
    "fill": _fill,
    "outside": lambda: 1e9,
    "nan": lambda: float("nan"),
    "text": lambda: "much",
    "print": _print,
}


def bad(how: str, where: Where = "independent", after: int = 0) -> BaseSampler:
    return BadSampler(BAD[how], where, after)


def no_sampler() -> int:
    return 7


def without_file() -> BaseSampler:
    raise RuntimeError("no model file")
