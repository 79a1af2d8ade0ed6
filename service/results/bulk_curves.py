"""The learning curves of many trials in one answer."""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from optuna.trial import FrozenTrial, TrialState

from service.errors import InvalidError
from service.results.ranking import ranked_trials
from service.results.trial_facts import Facts, TrialFacts
from service.schemas.locations import short
from service.study.live_study import LiveStudy
from storage import trial_id_of

MAX_TRIALS = 1_000
MAX_READ = 500_000
"""Most values that are read for one answer."""
READ_AT_ONCE = 20_000
"""Reports that are read in one go."""
N_SAMPLED = 20
SELECTION = re.compile(
    r"(?P<how>best|last):(?P<n>[0-9]{1,4})|(?P<running>running)|(?P<numbers>[0-9]{1,10}(,[0-9]{1,10})*)"
)

Curve = tuple[list[int], list[list[float | None]]]
"""Steps, and the values of each metric at these steps."""


def select_trials(live: LiveStudy, selection: str) -> list[FrozenTrial]:
    """The trials that a text such as `best:100`, `last:100`, `running` or `3,5` stands for.

    `best` ends with trials that are not among the ranked ones, the newest first. Raises InvalidError.
    """
    match = SELECTION.fullmatch(selection)
    if match is None:
        raise InvalidError([("trials", f"trials must be best:N, last:N, running or numbers: {short(selection)}")])
    if match["running"]:
        return live.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))[:MAX_TRIALS]
    every: Sequence[FrozenTrial] = live.study.get_trials(deepcopy=False)
    if match["numbers"]:
        numbers = list(dict.fromkeys(map(int, match["numbers"].split(","))))
        _check_number(len(numbers))
        unknown = [number for number in numbers if number >= len(every)]
        if unknown:
            raise InvalidError([("trials", f"trials must be trials of the study: there is no trial {unknown[0]}")])
        return [every[number] for number in numbers]
    n_wanted = int(match["n"])
    _check_number(n_wanted)
    if match["how"] == "last":
        return list(every[max(0, len(every) - n_wanted) :])
    ranked = ranked_trials(live, every)[:n_wanted]
    known = {trial.number for trial in ranked}
    others = (trial for trial in reversed(every) if trial.number not in known and trial.state != TrialState.WAITING)
    return [*ranked, *(trial for trial, _ in zip(others, range(n_wanted - len(ranked)), strict=False))]


def _check_number(n_trials: int) -> None:
    if not 1 <= n_trials <= MAX_TRIALS:
        raise InvalidError([("trials", f"trials must be from 1 to {MAX_TRIALS}: {n_trials}")])


def bulk_curves(
    live: LiveStudy, facts: TrialFacts, trials: Sequence[FrozenTrial], metrics: Sequence[str], max_points: int
) -> bytes:
    """The schema BulkCurves as JSON, with at most `max_points` steps of each trial."""
    sample = [*trials[:N_SAMPLED], *trials[N_SAMPLED:][-N_SAMPLED:]]
    available = dict.fromkeys(name for known in facts.of(live, sample) for name in known.metrics)
    parts: list[str] = []
    n_read = 0
    for trial, (steps, values) in _curves(live, facts, trials, metrics):
        n_read += len(steps) * len(metrics)
        if n_read > MAX_READ and parts:
            break
        kept = _thinned(len(steps), max_points)
        value = trial.values[0] if trial.state == TrialState.COMPLETE else None
        entry = {
            "number": trial.number,
            "state": trial.state.name,
            "value": _on_wire(value),
            "steps": [steps[index] for index in kept],
            "curves": [[_on_wire(one[index]) for index in kept] if one else [] for one in values],
        }
        parts.append(json.dumps(entry))
    head = {"metrics": list(metrics), "available": list(available), "truncated": len(parts) < len(trials)}
    return f'{json.dumps(head, ensure_ascii=False)[:-1]}, "trials": [{",".join(parts)}]}}'.encode()


def _curves(
    live: LiveStudy, facts: TrialFacts, trials: Sequence[FrozenTrial], metrics: Sequence[str]
) -> Iterator[tuple[FrozenTrial, Curve]]:
    """Each trial with its curves, read as far as they are asked for."""
    objectives = live.definition.objectives
    if list(metrics) == [objectives[0].metric] and len(objectives) == 1:  # Optuna's intermediate values, in memory
        yield from ((trial, _own_curve(trial)) for trial in trials)
        return
    for group in _groups(trials, facts.of(live, trials)):
        reports = _reports(live, group)
        for trial in group:
            steps = reports.get(trial_id_of(trial), {})
            if steps:
                yield trial, _curve(steps, metrics)
            else:  # a trial of another program
                own_steps, (own,) = _own_curve(trial)
                yield trial, (own_steps, [own if name == objectives[0].metric else [] for name in metrics])


def _groups(trials: Sequence[FrozenTrial], facts: Sequence[Facts]) -> Iterator[list[FrozenTrial]]:
    """The trials in groups with about READ_AT_ONCE reports each."""
    group: list[FrozenTrial] = []
    n_reports = 0
    for trial, known in zip(trials, facts, strict=True):
        n_own = (known.step or 0) + 1
        if group and n_reports + n_own > READ_AT_ONCE:
            yield group
            group, n_reports = [], 0
        group.append(trial)
        n_reports += n_own
    if group:
        yield group


def _reports(live: LiveStudy, trials: Sequence[FrozenTrial]) -> dict[int, dict[int, Mapping[str, float]]]:
    """By trial id, the metrics of each step; of a single trial no more than MAX_READ steps."""
    if len(trials) == 1:
        trial_id = trial_id_of(trials[0])
        epochs = zip(live.store.every_epoch(trial_id), range(MAX_READ), strict=False)
        return {trial_id: {epoch.step: epoch.metrics for epoch, _ in epochs}}
    found: dict[int, dict[int, Mapping[str, float]]] = {}
    for trial_id, step, metrics in live.store.metrics_of_trials([trial_id_of(trial) for trial in trials]):
        found.setdefault(trial_id, {})[step] = metrics
    return found


def _curve(reports: Mapping[int, Mapping[str, float]], metrics: Sequence[str]) -> Curve:
    values: list[list[float | None]] = []
    for name in metrics:
        column = [reported.get(name) for reported in reports.values()]
        values.append(column if any(value is not None for value in column) else [])
    return list(reports), values


def _own_curve(trial: FrozenTrial) -> Curve:
    reports = sorted(trial.intermediate_values.items())
    return [step for step, _ in reports], [[value for _, value in reports]]


def _thinned(n_steps: int, max_points: int) -> Iterable[int]:
    """Indexes of at most `max_points` steps, evenly spread, the first and the last one included."""
    if n_steps <= max_points:
        return range(n_steps)
    return [round(index * (n_steps - 1) / (max_points - 1)) for index in range(max_points)]


def _on_wire(value: float | None) -> float | str | None:
    return value if value is None or math.isfinite(value) else str(value)
