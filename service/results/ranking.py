"""Which trials of a study are its best: complete, feasible, and ranked by the first objective."""

from collections.abc import Sequence

from optuna.trial import FrozenTrial, TrialState

from service.errors import StateConflictError
from service.sampling.constraints import is_feasible
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


def pareto_trials(live: LiveStudy) -> list[FrozenTrial]:
    """The trials of the Pareto front, best first by the first objective."""
    return ranked_trials(live, live.study.best_trials)


def complete_trials(live: LiveStudy) -> list[FrozenTrial]:
    """All complete trials, whether they satisfy their constraints or not, by number."""
    return live.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
