"""Ask the pruner, by what a trial reported of the first objective.

Optuna prunes nothing in a study with several objectives, and has no place for intermediate values there: its samplers
fail over them. Where a definition names a pruner all the same, it is shown a study of the first objective alone, with
the values that our own table of epochs has.
"""

import copy
import logging
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Protocol

from optuna import Study
from optuna.samplers import RandomSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from service.sampling.ask import ServiceStudy
from service.sampling.overlay_storage import FinishedOnce, OverlayStorage
from service.schemas.study.definition import Definition
from storage import DATABASE_ERRORS, Store, storage_of, study_id_of, trial_id_of

log = logging.getLogger(__name__)


class Pruning(Protocol):
    """The values of the first objective by trial and step, and what the pruner makes of them."""

    def note(self, trial_id: int, step: int, value: float) -> None: ...

    def forget(self, trial_id: int, after_step: int | None) -> None:
        """Drop what came after a step, or with None all, of a trial that is tried again."""

    def says_prune(self, trial_id: int) -> bool: ...


def pruning_of(store: Store, study: Study, definition: Definition) -> Pruning:
    if len(definition.objectives) == 1:
        return OneObjective(study)
    if not definition.pruner.prunes:
        return NoPruning()
    return FirstObjective(store, study, definition.objectives[0].metric)


class NoPruning:
    def note(self, trial_id: int, step: int, value: float) -> None:
        """Nothing is kept."""

    def forget(self, trial_id: int, after_step: int | None) -> None:
        """Nothing was kept."""

    def says_prune(self, _trial_id: int) -> bool:
        return False


class OneObjective:
    """As Optuna does it: the values are in its own tables, where the storage forgets them too."""

    def __init__(self, study: Study) -> None:
        self._study = study

    def note(self, trial_id: int, step: int, value: float) -> None:
        storage_of(self._study).set_trial_intermediate_value(trial_id, step, value)

    def forget(self, trial_id: int, after_step: int | None) -> None:
        """The storage has, with the trial's epochs."""

    def says_prune(self, trial_id: int) -> bool:
        return should_prune(self._study, storage_of(self._study).get_trial(trial_id))


class FirstObjective:
    """A pruner's view of a study with several objectives. Its caller holds the study's lock."""

    def __init__(self, store: Store, study: Study, metric: str) -> None:
        self._study = study
        self._values: defaultdict[int, dict[int, float]] = defaultdict(dict)
        self._see = FinishedOnce(self._look_at)
        trials = study.get_trials(deepcopy=False)
        for trial_id, step, metrics in store.metrics_of_trials([trial_id_of(trial) for trial in trials]):
            if metric in metrics:
                self.note(trial_id, step, metrics[metric])

    def note(self, trial_id: int, step: int, value: float) -> None:
        self._values[trial_id][step] = value

    def forget(self, trial_id: int, after_step: int | None) -> None:
        known = self._values.pop(trial_id, {})
        if after_step is not None:
            self._values[trial_id] = {step: value for step, value in known.items() if step <= after_step}

    def says_prune(self, trial_id: int) -> bool:
        storage, study_id = storage_of(self._study), study_id_of(self._study)
        trial = storage.get_trial(trial_id)
        shadow = _FirstAlone(storage, study_id, [], self._look_at(trial), seen=self._see)
        viewed = ServiceStudy(self._study.study_name, shadow, RandomSampler(), self._study.pruner)
        answer = should_prune(viewed, shadow.trial)
        for name, value in shadow.noted.items():  # such as the rungs that it has reached
            storage.set_trial_system_attr(trial_id, name, value)
        return answer

    def _look_at(self, trial: FrozenTrial) -> FrozenTrial:
        seen = copy.copy(trial)
        seen.values = trial.values[:1] if trial.values else None
        seen.intermediate_values = self._values.get(trial_id_of(trial), {})
        return seen


class _FirstAlone(OverlayStorage):
    """What the pruner notes with its trial is kept apart: it must not compare the trial with itself."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.noted: dict[str, Any] = {}

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        self.noted[key] = value

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        directions: Sequence[StudyDirection] = super().get_study_directions(study_id)
        return list(directions[:1])


def should_prune(study: Study, trial: FrozenTrial) -> bool:
    """Ask the pruner. One that fails must not keep a worker from reporting: the trial goes on, and the log says so."""
    try:
        return study.pruner.prune(study, trial)
    except DATABASE_ERRORS:
        raise
    except Exception:
        log.exception("the pruner of study %s failed: trial %d goes on", study.study_name, trial.number)
        return False
