"""Which trials of a study are its best: complete, feasible, and ranked by the first objective."""

import math
from collections.abc import Sequence

from optuna.trial import FrozenTrial, TrialState

from service.errors import StateConflictError
from service.sampling.constraints import is_feasible
from service.sampling.paused import paused_at
from service.study.live_study import LiveStudy


def best_trial(live: LiveStudy) -> FrozenTrial | None:
    """The best complete trial that satisfies its constraints; None if there is none, or with several objectives."""
    storage, study_id = live.store.optuna, live.record.study_id
    if len(live.definition.objectives) > 1 or storage.get_n_trials(study_id, TrialState.COMPLETE) == 0:
        return None
    best = storage.get_best_trial(study_id)  # it is kept up to date: this reads no other trial
    if is_feasible(best):
        return best
    return next(iter(ranked_trials(live, live.study.get_trials(deepcopy=False))), None)


def ranked_trials(live: LiveStudy, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The complete trials that satisfy their constraints, best first by the first objective, then by number."""
    sign = -1 if live.definition.objectives[0].direction == "maximize" else 1
    feasible = [trial for trial in trials if trial.state == TrialState.COMPLETE and is_feasible(trial)]
    return sorted(feasible, key=lambda trial: (sign * trial.values[0], trial.number))


def best_trials(live: LiveStudy, k: int) -> list[FrozenTrial]:
    """The `k` best trials of `ranked_trials`. Raises StateConflictError for a study with several objectives."""
    if len(live.definition.objectives) > 1:
        raise StateConflictError(f"study {live.record.name} has several objectives: ask for its pareto front")
    return ranked_trials(live, live.study.get_trials(deepcopy=False))[:k]


def better_unfinished(live: LiveStudy) -> FrozenTrial | None:
    """The pruned or paused trial with the best last value, if no complete trial is as good.

    Trials that violate a constraint do not count. None with several objectives.
    """
    if len(live.definition.objectives) > 1:
        return None
    sign = -1 if live.definition.objectives[0].direction == "maximize" else 1
    ended = [(trial, _last_value(trial)) for trial in live.study.get_trials(deepcopy=False)]
    ranked = [(sign * value, trial.number, trial) for trial, value in ended if value is not None and is_feasible(trial)]
    key, _, unfinished = min(ranked, default=(math.inf, 0, None))
    best = best_trial(live)
    return unfinished if best is None or key < sign * best.values[0] else None


def _last_value(trial: FrozenTrial) -> float | None:
    """The last value of a pruned or paused trial; None for another one, or without a value that is a number."""
    if (trial.state != TrialState.PRUNED and paused_at(trial) is None) or trial.last_step is None:
        return None
    last = trial.intermediate_values[trial.last_step]
    return None if math.isnan(last) else last


def pareto_trials(live: LiveStudy) -> list[FrozenTrial]:
    """The trials of the Pareto front, best first by the first objective."""
    return ranked_trials(live, live.study.best_trials)


def complete_trials(live: LiveStudy) -> list[FrozenTrial]:
    """All complete trials, whether they satisfy their constraints or not, by number."""
    return live.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
