"""Which trial a claim gets next: one to be tried again, one that a user enqueued, or a new one."""

from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from optuna import Study
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from service.samplers import EXHAUSTIVE, chosen_sampler
from service.schemas.checks import MAX_GRID
from service.schemas.definition import Definition, Params
from service.schemas.search_space import n_configurations
from service.suggest import suggest


@dataclass(frozen=True)
class PreparedTrial:
    """A RUNNING trial with all its parameters, not yet under a lease."""

    trial_id: int
    number: int
    params: Params


class TrialQueue:
    """Hands out the trials of one study. Its caller holds the study's lock."""

    def __init__(self, study: Study, definition: Definition, retries: Iterable[int]) -> None:
        self._study = study
        self._storage: BaseStorage = study._storage
        self._space = definition.search_space
        self._retries = deque(retries)
        self.n_created = self._storage.get_n_trials(study._study_id)
        exhaustive = chosen_sampler(definition).name in EXHAUSTIVE
        self._size = n_configurations(self._space, MAX_GRID) if exhaustive else None

    def next(self, n_trials: int) -> PreparedTrial | None:
        """The next trial, or None when there is none to start now. New ones are made up to n_trials."""
        trial_id = self._begin(n_trials)
        if trial_id is None:
            return None
        try:
            params = suggest(self._study, trial_id, self._space)
        except BaseException:
            self.put_back(trial_id)
            raise
        return PreparedTrial(trial_id, self._storage.get_trial_number_from_id(trial_id), params)

    def _begin(self, n_trials: int) -> int | None:
        """Make one trial RUNNING, if there is one to start."""
        waiting = deque(trial._trial_id for trial in self._waiting()) if not self._retries else self._retries
        while waiting:
            trial_id = waiting.popleft()
            with suppress(UpdateFinishedTrialError):  # another tool has ended it
                if self._storage.set_trial_state_values(trial_id, TrialState.RUNNING):
                    return trial_id
        if not self.has_new(n_trials):
            return None
        self.n_created += 1
        return self._storage.create_new_trial(self._study._study_id)

    def put_back(self, trial_id: int) -> None:
        """Keep a trial that could not be granted for the next claim."""
        self._storage.set_trial_state_values(trial_id, TrialState.WAITING)
        self.retry(trial_id)

    def retry(self, trial_id: int) -> None:
        """Put a WAITING trial at the front."""
        self._retries.appendleft(trial_id)

    def has_new(self, n_trials: int) -> bool:
        """Whether new trials may still be made."""
        return self.n_created < n_trials and not self._exhausted()

    def is_empty(self, n_trials: int) -> bool:
        """Whether no trial will come any more."""
        return not (self._retries or self.has_new(n_trials) or self._waiting())

    def is_exhausted(self, n_trials: int) -> bool:
        """Whether the search space ended before n_trials did."""
        return self.n_created < n_trials and self._exhausted()

    def enqueue(self, params: Params) -> int:
        """Make a WAITING trial with these parameters, and answer its number."""
        self._study.enqueue_trial(params)
        self.n_created += 1
        return self.n_created - 1

    def _waiting(self) -> list[FrozenTrial]:
        return self._storage.get_all_trials(self._study._study_id, deepcopy=False, states=(TrialState.WAITING,))

    def _exhausted(self) -> bool:
        """Whether an exhaustive sampler has handed out every configuration."""
        if self._size is None or self.n_created < self._size:
            return False
        trials = self._storage.get_all_trials(self._study._study_id, deepcopy=False)
        return len({repr(sorted(trial.params.items())) for trial in trials if trial.params}) >= self._size
