"""All studies in memory. A trial is replaced, never changed, so a reader's trial does not change.

Nothing here uses the database: `GroupCommitStorage` writes the same changes there. Callers hold a lock.
"""

import copy
import uuid
from bisect import insort
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, cast

from optuna.distributions import BaseDistribution, check_distribution_compatibility
from optuna.exceptions import DuplicatedStudyError
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from storage.optuna_seam.objects import DEFAULT_STUDY_NAME_PREFIX, FrozenStudy, set_trial_id, trial_id_of
from storage.trials.step_values import StepValues

FINISHED = COMPLETE, PRUNED, FAIL = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL
RUNNING, WAITING = TrialState.RUNNING, TrialState.WAITING
_number = attrgetter("number")


@dataclass
class StudyMemory:
    """One study. `trials` are sorted by number; `unfinished` has the numbers of WAITING and RUNNING trials.

    `n_changes` counts how often trials were added or replaced.
    """

    study_id: int
    name: str
    directions: list[StudyDirection]
    user_attrs: dict[str, Any] = field(default_factory=dict)
    system_attrs: dict[str, Any] = field(default_factory=dict)
    trials: list[FrozenTrial] = field(default_factory=list)
    counts: dict[TrialState, int] = field(default_factory=lambda: dict.fromkeys(TrialState, 0))
    unfinished: dict[int, None] = field(default_factory=dict)
    distributions: dict[str, BaseDistribution] = field(default_factory=dict)
    best: FrozenTrial | None = None
    n_changes: int = 0
    # Finished trials by state filter. The key has a flag for each state of FINISHED, because hashing a state is slow.
    _finished: dict[tuple[bool, ...], list[FrozenTrial]] = field(default_factory=dict)

    def append(self, trial: FrozenTrial) -> None:
        """Add the next trial."""
        self.n_changes += 1
        self.trials.append(trial)
        self.distributions.update(trial.distributions)
        self._entered(trial)

    def replace(self, trial: FrozenTrial) -> None:
        """Put a trial in the place of the one with its number."""
        self.n_changes += 1
        old = self.trials[trial.number]
        self.trials[trial.number] = trial
        if old.state != trial.state:
            self.counts[old.state] -= 1
            self.unfinished.pop(trial.number, None)
            self._entered(trial)

    def _entered(self, trial: FrozenTrial) -> None:
        self.counts[trial.state] += 1
        if not trial.state.is_finished():
            self.unfinished[trial.number] = None
            return
        index = FINISHED.index(trial.state)
        for wanted, known in self._finished.items():
            if wanted[index]:
                insort(known, trial, key=_number)
        if trial.state == TrialState.COMPLETE and len(self.directions) == 1 and self._is_better(trial):
            self.best = trial

    def in_states(self, states: Container[TrialState]) -> list[FrozenTrial]:
        """The trials in these states, in the order of their numbers, as a new list.

        Pruners ask for finished trials at every report. Finished trials never change, so they are filtered once.
        """
        trials = self._finished_in((COMPLETE in states, PRUNED in states, FAIL in states)).copy()
        if self.unfinished and (WAITING in states or RUNNING in states):
            trials += [trial for number in self.unfinished if (trial := self.trials[number]).state in states]
            trials.sort(key=_number)
        return trials

    def _finished_in(self, wanted: tuple[bool, ...]) -> list[FrozenTrial]:
        known = self._finished.get(wanted)
        if known is None:
            states = [state for state, is_wanted in zip(FINISHED, wanted, strict=True) if is_wanted]
            known = self._finished[wanted] = [trial for trial in self.trials if trial.state in states]
        return known

    def n_trials(self, state: tuple[TrialState, ...] | TrialState | None = None) -> int:
        """Number of all trials, or of those in some states."""
        if state is None:
            return len(self.trials)
        states = (state,) if isinstance(state, TrialState) else state
        return sum(self.counts[wanted] for wanted in set(states))

    def best_trial(self) -> FrozenTrial:
        """The best complete trial. Raises RuntimeError with several objectives, ValueError without such a trial."""
        if len(self.directions) > 1:
            raise RuntimeError("Best trial can be obtained only for single-objective optimization.")
        if self.best is None:
            raise ValueError("No trials are completed yet.")
        return self.best

    def _is_better(self, trial: FrozenTrial) -> bool:
        if self.best is None or self.best.value is None:
            return True
        if trial.value is None:
            return False
        if self.directions[0] == StudyDirection.MAXIMIZE:
            return trial.value > self.best.value
        return trial.value < self.best.value


class Memory:
    """Studies by id and by name, and trials by id."""

    def __init__(self) -> None:
        self.studies: dict[int, StudyMemory] = {}
        self._ids: dict[str, int] = {}
        self._places: dict[int, tuple[StudyMemory, int]] = {}
        self.next_study_id = 1
        self.next_trial_id = 1

    def add_study(self, name: str | None, directions: Sequence[StudyDirection]) -> StudyMemory:
        """Create a study, with a random name if `name` is None. Raises DuplicatedStudyError."""
        name = f"{DEFAULT_STUDY_NAME_PREFIX}{uuid.uuid4()}" if name is None else name
        if name in self._ids:
            raise DuplicatedStudyError(f"Another study with name '{name}' already exists.")
        study = StudyMemory(self.next_study_id, name, list(directions))
        self.load_study(study)
        return study

    def load_study(self, study: StudyMemory) -> None:
        """Add a study that has an id."""
        self.studies[study.study_id] = study
        self._ids[study.name] = study.study_id
        self.next_study_id = max(self.next_study_id, study.study_id + 1)

    def load_trials(self, study: StudyMemory, trials: Iterable[FrozenTrial]) -> None:
        """Add trials that have ids to a study."""
        for trial in trials:
            study.append(trial)
            trial_id = trial_id_of(trial)
            self._places[trial_id] = (study, trial.number)
            self.next_trial_id = max(self.next_trial_id, trial_id + 1)

    def delete_study(self, study_id: int) -> StudyMemory:
        """Forget a study and return it. Raises KeyError."""
        study = self.study(study_id)
        for trial in study.trials:
            del self._places[trial_id_of(trial)]
        del self._ids[study.name]
        del self.studies[study_id]
        return study

    def study(self, study_id: int) -> StudyMemory:
        """The study with this id. Raises KeyError."""
        study = self.studies.get(study_id)
        if study is None:
            raise KeyError(f"No study with study_id {study_id} exists.")
        return study

    def study_id(self, name: str) -> int:
        """The id of the study with this name. Raises KeyError."""
        if name not in self._ids:
            raise KeyError(f"No such study {name}.")
        return self._ids[name]

    def add_trial(self, study: StudyMemory, template: FrozenTrial | None) -> FrozenTrial:
        """Add a RUNNING trial, or a copy of the template, under a new id."""
        trial = create_trial(state=TrialState.RUNNING) if template is None else copy.deepcopy(template)
        trial.number = len(study.trials)
        set_trial_id(trial, self.next_trial_id)
        self.load_trials(study, [trial])
        return trial

    def trial(self, trial_id: int) -> FrozenTrial:
        """The trial with this id. Raises KeyError."""
        study, number = self.place(trial_id)
        return study.trials[number]

    def place(self, trial_id: int) -> tuple[StudyMemory, int]:
        """The study of a trial, and its number there. Raises KeyError."""
        place = self._places.get(trial_id)
        if place is None:
            raise KeyError(f"No trial with trial_id {trial_id} exists.")
        return place


def add_intermediate_value(trial: FrozenTrial, step: int, value: float) -> None:
    """Set an intermediate value of a copy of a trial. The cost does not depend on how many values the trial has."""
    values = StepValues.of(trial.intermediate_values).with_value(step, value)
    trial.intermediate_values = cast("dict[int, float]", values)  # Optuna and its tools only read it


def check_compatible(study: StudyMemory, name: str, distribution: BaseDistribution) -> None:
    """Raises ValueError if the study has a parameter of this name with an incompatible distribution."""
    known = study.distributions.get(name)
    if known is not None:
        check_distribution_compatibility(known, distribution)


def frozen_study(study: StudyMemory) -> FrozenStudy:
    """The study as Optuna returns it, with copies of its attributes."""
    return FrozenStudy(
        study_name=study.name,
        direction=None,
        directions=study.directions,
        user_attrs=copy.deepcopy(study.user_attrs),
        system_attrs=copy.deepcopy(study.system_attrs),
        study_id=study.study_id,
    )
