"""Ask the pruner about a trial, by the reported values of the first objective.

Optuna does not prune in a study with several objectives, and its samplers fail if such a study has intermediate values.
If the definition of such a study names a pruner, that pruner sees a study with only the first objective. The
intermediate values are kept in memory; they are read from our table of epochs when the study is loaded.
"""

import copy
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Protocol, cast

from optuna import Study
from optuna.samplers import RandomSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from service.pruning.decisive_values import DecisiveViews
from service.sampling.ask import ServiceStudy
from service.sampling.overlay_storage import FinishedOnce, OverlayStorage
from service.schemas.study.definition import Definition
from storage import DATABASE_ERRORS, StepValues, Store, storage_of, study_id_of, trial_id_of

log = logging.getLogger(__name__)


class Pruning(Protocol):
    """The values of the first objective by trial and step, and the pruner's decision on them."""

    def note(self, trial_id: int, step: int, value: float) -> None:
        """Save the value that a trial reported at a step."""

    def forget(self, trial_id: int, after_step: int | None) -> None:
        """Drop the values of a trial after a step, or all if None, because the trial is tried again."""

    def end(self, trial_id: int) -> None:
        """Drop what is only needed while a trial runs."""

    def says_prune(self, trial_id: int) -> bool:
        """Whether the trial is to be pruned now."""


def pruning_of(store: Store, study: Study, definition: Definition) -> Pruning:
    """The pruning of a study, by its number of objectives and its pruner."""
    if len(definition.objectives) == 1:
        return OneObjective(study, definition)
    if not definition.pruner.prunes:
        return NoPruning()
    return FirstObjective(store, study, definition)


def _views(definition: Definition) -> DecisiveViews:
    return DecisiveViews(definition.pruner, maximize=definition.objectives[0].direction == "maximize")


class NoPruning:
    """No trial is pruned: the study has several objectives and no pruner."""

    def note(self, trial_id: int, step: int, value: float) -> None:
        """Do nothing."""

    def forget(self, trial_id: int, after_step: int | None) -> None:
        """Do nothing."""

    def end(self, trial_id: int) -> None:
        """Do nothing."""

    def says_prune(self, _trial_id: int) -> bool:
        """Whether the trial is to be pruned now."""
        return False


class OneObjective:
    """Pruning as in Optuna, with the intermediate values in Optuna's tables."""

    def __init__(self, study: Study, definition: Definition) -> None:
        self._study = study
        self._views = _views(definition)

    def note(self, trial_id: int, step: int, value: float) -> None:
        """Save the value that a trial reported at a step."""
        storage = storage_of(self._study)
        is_new = step not in storage.get_trial(trial_id).intermediate_values
        storage.set_trial_intermediate_value(trial_id, step, value)
        self._views.note(trial_id, step, value, is_new=is_new)

    def forget(self, trial_id: int, after_step: int | None) -> None:
        """Forget the view of a trial. The storage deletes the values together with the trial's epochs."""
        self._views.forget(trial_id)

    def end(self, trial_id: int) -> None:
        """Forget the view of a trial."""
        self._views.forget(trial_id)

    def says_prune(self, trial_id: int) -> bool:
        """Whether the trial is to be pruned now."""
        trial = storage_of(self._study).get_trial(trial_id)
        return should_prune(self._study, self._views.view(trial, trial.intermediate_values))


class FirstObjective:
    """Pruning by the first of several objectives. The caller holds the study's lock."""

    def __init__(self, store: Store, study: Study, definition: Definition) -> None:
        self._study = study
        self._views = _views(definition)
        self._values: defaultdict[int, StepValues] = defaultdict(partial(StepValues.of, {}))
        self._see = FinishedOnce(self._look_at)
        metric = definition.objectives[0].metric
        trials = study.get_trials(deepcopy=False)
        for trial_id, step, metrics in store.metrics_of_trials([trial_id_of(trial) for trial in trials]):
            if metric in metrics:
                self.note(trial_id, step, metrics[metric])

    def note(self, trial_id: int, step: int, value: float) -> None:
        """Save the value that a trial reported at a step."""
        values = self._values[trial_id]
        self._views.note(trial_id, step, value, is_new=step not in values)
        self._values[trial_id] = values.with_value(step, value)

    def forget(self, trial_id: int, after_step: int | None) -> None:
        """Drop the values of a trial after a step, or all if None."""
        self._views.forget(trial_id)
        known: Mapping[int, float] = self._values.pop(trial_id, {})
        if after_step is not None:
            kept = {step: value for step, value in known.items() if step <= after_step}
            self._values[trial_id] = StepValues.of(kept)

    def end(self, trial_id: int) -> None:
        """Forget the view of a trial. Its values stay: other trials are compared with them."""
        self._views.forget(trial_id)

    def says_prune(self, trial_id: int) -> bool:
        """Whether the trial is to be pruned now."""
        storage, study_id = storage_of(self._study), study_id_of(self._study)
        trial = storage.get_trial(trial_id)
        viewed_trial = self._views.view(self._look_at(trial), self._values.get(trial_id, {}))
        shadow = _FirstObjectiveStorage(storage, study_id, [], viewed_trial, seen=self._see)
        viewed = ServiceStudy(self._study.study_name, shadow, RandomSampler(), self._study.pruner)
        answer = should_prune(viewed, shadow.trial)
        for name, value in shadow.pruner_attrs.items():  # for example the rungs it has reached
            storage.set_trial_system_attr(trial_id, name, value)
        return answer

    def _look_at(self, trial: FrozenTrial) -> FrozenTrial:
        seen = copy.copy(trial)
        seen.values = trial.values[:1] if trial.values else None
        values: Mapping[int, float] = self._values.get(trial_id_of(trial), {})
        seen.intermediate_values = cast("dict[int, float]", values)  # pruners only read it
        return seen


class _FirstObjectiveStorage(OverlayStorage):
    """The study with its first objective only. The attributes that the pruner sets are collected in `pruner_attrs`.

    They are not set on the trial: the pruner must not compare the trial with itself.
    """

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.pruner_attrs: dict[str, Any] = {}

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Collect an attribute that the pruner sets."""
        self.pruner_attrs[key] = value

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """The direction of the first objective."""
        directions: Sequence[StudyDirection] = super().get_study_directions(study_id)
        return list(directions[:1])


def should_prune(study: Study, trial: FrozenTrial) -> bool:
    """Ask the pruner. If it fails, the failure is logged and the trial goes on, so that workers can still report."""
    try:
        return study.pruner.prune(study, trial)
    except DATABASE_ERRORS:
        raise
    except Exception:
        log.exception("the pruner of study %s failed: trial %d goes on", study.study_name, trial.number)
        return False
