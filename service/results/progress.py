"""How a study has come on: the best value so far, and its trials by state over time."""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from service.results.step_sort import sorted_in_steps
from service.results.table_columns import finished_at, rows_of, started_at
from service.results.trial_facts import TrialFacts
from service.sampling.constraints import is_feasible
from service.study.live_study import LiveStudy

CHUNK = 2_000
ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)

Step = tuple[float, float]
"""A place on an axis, and the best value from there on."""


def progress(live: LiveStudy, facts: TrialFacts, n_points: int) -> bytes:
    """The schema Progress as JSON, with at most `n_points` points in each of its lists."""
    trials: Sequence[FrozenTrial] = live.study.get_trials(deepcopy=False)
    times: list[tuple[FrozenTrial, datetime | None, datetime | None, int]] = []
    for start in range(0, len(trials), CHUNK):
        chunk = trials[start : start + CHUNK]
        silent = [trial for trial in chunk if not trial.intermediate_values]  # whose reports only the database has
        steps = {trial.number: known.step for trial, known in zip(silent, facts.of(live, silent), strict=True)}
        for row in rows_of(live, facts, chunk, with_facts=False, with_leases=True):
            step = steps.get(row.trial.number)
            n_epochs = len(row.trial.intermediate_values) if step is None else step + 1
            times.append((row.trial, started_at(row), finished_at(row), n_epochs))
    first = min((begun for _, begun, _, _ in times if begun is not None), default=live.record.created_at)
    ended = sorted_in_steps([entry for entry in times if entry[2] is not None], key=lambda entry: entry[2] or first)
    end = live.record.finished_at or live.clock.now()
    seconds = max(0.0, (end - first).total_seconds()) if any(begun for _, begun, _, _ in times) else 0.0
    epochs, n_epochs = [], 0
    for entry in ended:
        n_epochs += entry[3]
        epochs.append(n_epochs)
    after = [(done - first).total_seconds() for _, _, done, _ in ended if done is not None]
    in_order = [trial for trial, *_ in ended]
    objectives = [
        {
            "metric": objective.metric,
            "direction": objective.direction,
            "by_trial": _axes(
                best_steps(trials, [trial.number for trial in trials], index, objective.direction), n_points
            ),
            "by_epochs": _axes(best_steps(in_order, epochs, index, objective.direction), n_points),
            "by_seconds": _axes(best_steps(in_order, after, index, objective.direction), n_points),
        }
        for index, objective in enumerate(live.definition.objectives)
    ]
    n_all = n_epochs + sum(n_own for _, _, done, n_own in times if done is None)
    found = {
        "n_trials": len(trials),
        "n_finished": len(ended),
        "n_epochs": n_all,
        "started_at": f"{first.isoformat().removesuffix('+00:00')}Z",
        "seconds": seconds,
        "objectives": objectives,
        "counts": _counts([(trial, begun, done) for trial, begun, done, _ in times], first, seconds, n_points),
    }
    return json.dumps(found, ensure_ascii=False).encode()


def best_steps(trials: Iterable[FrozenTrial], places: Iterable[float], index: int, direction: str) -> list[Step]:
    """The places at which an objective became better, in the order of the trials. Only feasible trials count."""
    is_better: Callable[[float, float], bool] = float.__gt__ if direction == "maximize" else float.__lt__
    steps: list[Step] = []
    for trial, place in zip(trials, places, strict=True):
        if trial.state == TrialState.COMPLETE and is_feasible(trial):
            value = float(trial.values[index])
            if not steps or is_better(value, steps[-1][1]):
                steps.append((place, value))
    return steps


def _axes(steps: Sequence[Step], n_points: int) -> dict[str, list[Any]]:
    """The places and the values, thinned; the first and the last step stay."""
    kept = [steps[index] for index in _spread(len(steps), n_points)]
    return {
        "x": [place for place, _ in kept],
        "y": [value if math.isfinite(value) else str(value) for _, value in kept],
    }


def _spread(n: int, n_points: int) -> Iterable[int]:
    if n <= n_points:
        return range(n)
    return [round(index * (n - 1) / (n_points - 1)) for index in range(n_points)]


def _counts(
    times: Sequence[tuple[FrozenTrial, datetime | None, datetime | None]],
    first: datetime,
    seconds: float,
    n_points: int,
) -> dict[str, list[Any]]:
    """Trials that ran, and trials that had ended by state, at evenly spaced times."""
    moments = [seconds * index / (n_points - 1) for index in range(n_points)] if seconds > 0 else [0.0]
    started, finished = [0] * len(moments), {state: [0] * len(moments) for state in ENDED}
    per_point = seconds / (n_points - 1) if seconds > 0 else 1.0

    def point_of(moment: datetime) -> int:
        """The first point that is not before a moment."""
        after = max(0.0, (moment - first).total_seconds())
        return min(len(moments) - 1, math.ceil(after / per_point - 1e-9))

    for trial, begun, done in times:
        if begun is not None:
            started[point_of(begun)] += 1
        if done is not None and trial.state in finished:
            finished[trial.state][point_of(done)] += 1
            started[point_of(done)] -= begun is not None
    summed = {"RUNNING": started, **{state.name: counts for state, counts in finished.items()}}
    return {"seconds": moments, **{name: _cumulated(counts) for name, counts in summed.items()}}


def _cumulated(counts: Sequence[int]) -> list[int]:
    total, found = 0, []
    for count in counts:
        total += count
        found.append(total)
    return found
