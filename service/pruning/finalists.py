"""Which paused trials are trained to their ends when a study has nothing else to train.

With promotion few trials may have trained to their ends by then, none of them in a study with fewer trials than its
rungs ask for. The finalists make sure that the best trial of a study is a whole training:

1. The complete, the running and the paused trials that satisfy their constraints are ranked by the first objective, by
   their final value or by the one at the last rung that they have reached.
2. The paused ones among the best `n_finalists` go on; unless given, this is the larger of 3 and the square root of the
   number of trials. They pause at no rung, and their values count at none.
3. At most `n_finalists` trials go on like that, so a metric that is worst at the end does not bring in others for ever.
   One that fails does not count, and neither do those from before the study got more trials.

A finalist has the attribute `narrows:finalist`, so this is the same after a restart.
"""

import heapq
import math
from collections.abc import Collection, Iterator
from itertools import islice

from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from service.sampling.constraints import is_feasible
from service.sampling.paused import paused_at
from storage import RUNG_ATTR_PREFIX, storage_of, study_id_of, trial_id_of

FINALIST = "narrows:finalist"
"""Our system attribute of a finalist: the number of trials that the study had when it was chosen."""


FEWEST = 3


class Finalists:
    """The finalists of one study. The caller holds the study's lock."""

    def __init__(self, study: Study, n: int | None, *, maximize: bool) -> None:
        self._study = study
        self._storage = storage_of(study)
        self._given_n = n
        self._sign = -1.0 if maximize else 1.0
        marks = ((trial.number, trial.system_attrs.get(FINALIST)) for trial in study.get_trials(deepcopy=False))
        self._chosen: dict[int, int] = {number: mark for number, mark in marks if mark is not None}
        """By trial number, the number of trials that the study had."""

    @property
    def _n(self) -> int:
        """At most so many are chosen. Long studies have more, because the noise of early values hides the best."""
        return max(FEWEST, math.isqrt(self._n_trials())) if self._given_n is None else self._given_n

    def has(self, trial: FrozenTrial) -> bool:
        """Whether a trial is a finalist."""
        return trial.number in self._chosen

    def add(self, trial: FrozenTrial) -> None:
        """Mark a trial as a finalist."""
        n_trials = self._n_trials()
        self._storage.set_trial_system_attr(trial_id_of(trial), FINALIST, n_trials)
        self._chosen[trial.number] = n_trials

    def next_numbers(self, paused: Collection[int]) -> list[int]:
        """The numbers of the paused trials that are to become finalists, best first."""
        n_more = self._n - self._n_chosen()
        if n_more <= 0:
            return []
        best = islice(self._ranked(paused), self._n)
        return [number for number in best if number in paused][:n_more]

    def _ranked(self, paused: Collection[int]) -> Iterator[int]:
        """The numbers of the trials that may be among the best, the best first."""
        trials = self._study.get_trials(deepcopy=False)
        values = (
            (trial.number, _value(trial)) for trial in trials if trial.number in paused or trial.state in _COUNTED
        )
        ranked = [(self._sign * value, number) for number, value in values if value is not None]
        heapq.heapify(ranked)
        while ranked:
            _, number = heapq.heappop(ranked)
            if is_feasible(trials[number]):
                yield number

    def _n_chosen(self) -> int:
        """How many have been chosen since the study has had its present number of trials, without those that failed."""
        n_trials, trials = self._n_trials(), self._study.get_trials(deepcopy=False)
        chosen = [number for number, mark in self._chosen.items() if mark == n_trials]
        return sum(trials[number].state != TrialState.FAIL for number in chosen)

    def _n_trials(self) -> int:
        return int(self._storage.get_n_trials(study_id_of(self._study)))


_COUNTED = (TrialState.COMPLETE, TrialState.RUNNING)


def _value(trial: FrozenTrial) -> float | None:
    """The first objective's final value, or the one at the last rung of a trial; None without one."""
    if trial.state == TrialState.COMPLETE:
        return float(trial.values[0])
    at = paused_at(trial)
    last = trial.system_attrs.get(f"{RUNG_ATTR_PREFIX}{at}") if at is not None else _at_last_rung(trial)
    return None if last is None or math.isnan(last) else float(last)


def _at_last_rung(trial: FrozenTrial) -> float | None:
    *_, last = (None, *(value for _, value in rung_values(trial)))
    return last


def rung_values(trial: FrozenTrial) -> Iterator[tuple[int, float]]:
    """A trial's values at the rungs it has reached, from rung 0 on."""
    rung = 0
    while (value := trial.system_attrs.get(f"{RUNG_ATTR_PREFIX}{rung}")) is not None:
        yield rung, value
        rung += 1
