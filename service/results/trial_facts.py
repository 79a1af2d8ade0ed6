"""What the database has of trials besides Optuna's tables, kept in memory for those that have ended."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from sys import intern
from typing import NamedTuple

from optuna.trial import FrozenTrial

from service.schemas.results import Metrics
from service.study.live_study import LiveStudy
from storage import trial_id_of

MAX_KEPT = 200_000
"""Ended trials of all studies whose facts are kept, in about 500 bytes each."""
CHUNK = 1_000


class Facts(NamedTuple):
    """Final metrics of a trial, or its last reported ones; the step of the last report; why the trial failed.

    `has_result` says whether the trial has ended in the database.
    """

    metrics: Metrics
    step: int | None
    reason: str | None
    has_result: bool


NO_FACTS = Facts({}, None, None, has_result=False)


class TrialFacts:
    """Reads the facts of trials. Those of an ended trial do not change, so they are read once."""

    def __init__(self, max_kept: int = MAX_KEPT) -> None:
        """`max_kept`: the facts of the study that was asked for longest ago are forgotten when there are more."""
        self._max_kept = max_kept
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, dict[int, Facts]] = OrderedDict()
        """By study and trial id."""

    def of(self, live: LiveStudy, trials: Sequence[FrozenTrial]) -> list[Facts]:
        """The facts of trials of one study, in the given order."""
        with self._lock:
            kept = self._kept.setdefault(live.record.study_id, {})
            self._kept.move_to_end(live.record.study_id)
        found: dict[int, Facts] = {}
        late = live.late_results
        missing = [trial for trial in trials if (known := trial_id_of(trial)) not in kept or known in late]
        for start in range(0, len(missing), CHUNK):
            chunk = missing[start : start + CHUNK]
            read = _read(live, [trial_id_of(trial) for trial in chunk])
            found |= read
            self._keep(live, {trial_id: read[trial_id] for one in chunk if (trial_id := _final_id(live, one, read))})
        return [found.get(trial_id_of(trial)) or kept[trial_id_of(trial)] for trial in trials]

    def _keep(self, live: LiveStudy, facts: dict[int, Facts]) -> None:
        with self._lock:
            self._kept.setdefault(live.record.study_id, {}).update(facts)
            while len(self._kept) > 1 and sum(map(len, self._kept.values())) > self._max_kept:
                self._kept.popitem(last=False)
            if sum(map(len, self._kept.values())) > self._max_kept:
                self._kept.clear()


def _final_id(live: LiveStudy, trial: FrozenTrial, facts: dict[int, Facts]) -> int | None:
    """The id of a trial whose facts will not change; None for others.

    A trial that is just ending has ended in memory before its result is in the database.
    """
    trial_id = trial_id_of(trial)
    is_final = facts[trial_id].has_result and trial_id not in live.late_results
    return trial_id if trial.state.is_finished() and is_final else None


def _read(live: LiveStudy, ids: Sequence[int]) -> dict[int, Facts]:
    epochs = {epoch.trial_id: epoch for epoch in live.store.last_epochs(ids)}
    results = {result.trial_id: result for result in live.store.results(ids)}
    found: dict[int, Facts] = {}
    for trial_id in ids:
        epoch, result = epochs.get(trial_id), results.get(trial_id)
        metrics = {**(epoch.metrics if epoch else {}), **(result.metrics if result else {})}
        own = {intern(name): value for name, value in metrics.items()}
        reason = result.reason if result else None
        found[trial_id] = Facts(own, epoch.step if epoch else None, reason, result is not None)
    return found
