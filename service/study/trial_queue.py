"""Which trial a claim gets next: one to be tried again, one that a user enqueued, or a new one."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from optuna import Study
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from service.pruning.promotion import Promotion
from service.sampling.ask import is_complete, suggest, with_random_sampler
from service.sampling.paused import paused_at
from service.sampling.samplers import chosen_sampler
from service.sampling.suggestions import Suggestions, known_params
from service.schemas.fields import Scalar
from service.schemas.study.checks import MAX_GRID
from service.schemas.study.definition import Definition
from service.schemas.study.definition_fields import Params
from service.schemas.study.search_space import n_configurations
from service.study.shapes import shape_of, structural
from storage import storage_of, study_id_of, trial_id_of

Alike = Callable[[Mapping[str, Scalar]], bool]


@dataclass(frozen=True)
class PreparedTrial:
    """A RUNNING trial with all its parameters, not yet under a lease."""

    trial_id: int
    number: int
    params: Params


class TrialQueue:
    """Hands out the trials of one study. Its caller holds the study's lock."""

    def __init__(
        self,
        study: Study,
        definition: Definition,
        retries: Iterable[int],
        sampled: Callable[[float], None],
        promotion: Promotion | None = None,
    ) -> None:
        self.promotion = promotion
        self._study = study
        self._storage: BaseStorage = storage_of(study)
        self._space = definition.search_space
        self._is_user_code = definition.is_user_code
        self._structural = () if self._is_user_code else structural(self._space)
        self._retries = deque(retries)
        self.suggestions = Suggestions(study, definition, sampled=sampled)
        self.n_created = self._storage.get_n_trials(study_id_of(study))
        is_exhaustive = chosen_sampler(definition).exhaustive
        self._size = n_configurations(self._space, MAX_GRID) if is_exhaustive else None

    def to_sample(self, n: int, n_trials: int, n_running: int) -> tuple[list[FrozenTrial], int]:
        """What is still to be sampled for `n` trials: the waiting ones that lack parameters, and how many new ones
        must be ready; 0 when they are."""
        waiting = self._upcoming()[:n]
        lacking = [trial for trial in waiting if not self._is_ready(trial)]
        n_new = min(n - len(waiting), self.n_new(n_trials))
        return lacking, n_new if self.suggestions.n_ready(n_running) < n_new else 0

    def next(self, n_trials: int, like: Params | None = None) -> PreparedTrial | None:
        """The next trial, or None when there is none to start now. New ones are made up to n_trials.

        Of those to be tried again, of those that wait, and of new ones, one that can train together with a trial
        `like` this comes first.
        """
        is_alike = self._alike(like)
        for trial in self._alike_first(is_alike):
            if not self._is_ready(trial):
                return None  # its turn comes when it is sampled
            if self._start(trial):
                self._fix_params(trial)
                return self._prepared(trial_id_of(trial))
        new = self.suggestions.take(is_alike) if self.has_new(n_trials) else None
        if new is None:
            return None
        self.n_created += 1
        return self._prepared(self._storage.create_new_trial(study_id_of(self._study), new))

    @property
    def mixes_shapes(self) -> bool:
        """Whether there are trials of this study that cannot train together."""
        return bool(self._structural)

    def _alike(self, like: Params | None) -> Alike:
        if like is None:
            return lambda _params: True
        shape = shape_of(like, self._structural)
        return lambda params: shape_of(params, self._structural) == shape

    def _alike_first(self, is_alike: Alike) -> list[FrozenTrial]:
        """The trials that wait; one whose parameters are still to be sampled keeps its place."""
        upcoming = self._upcoming()
        if not self.mixes_shapes:
            return upcoming
        again = set(self._retries)

        def place(trial: FrozenTrial) -> tuple[bool, bool, bool]:
            is_paused, is_next = paused_at(trial) is not None, self._is_ready(trial) and is_alike(known_params(trial))
            return trial_id_of(trial) not in again, not is_paused, not is_next

        return sorted(upcoming, key=place)

    def _start(self, trial: FrozenTrial) -> bool:
        """Make a waiting trial RUNNING; False when another tool has."""
        with suppress(ValueError):
            self._retries.remove(trial_id_of(trial))
        with suppress(UpdateFinishedTrialError):
            if self.promotion is not None:
                self.promotion.resume(trial)
            return self._storage.set_trial_state_values(trial_id_of(trial), TrialState.RUNNING)
        return False

    def retries(self) -> list[FrozenTrial]:
        """The trials that wait to be tried again, the next one first."""
        again = [self._storage.get_trial(trial_id) for trial_id in self._retries]
        again = [trial for trial in again if trial.state == TrialState.WAITING]  # another tool may have ended one
        self._retries = deque(trial_id_of(trial) for trial in again)
        return again

    def _upcoming(self) -> list[FrozenTrial]:
        """The trials that may start: those to be tried again come first, then those that are promoted."""
        again = self.retries()
        known = set(self._retries)
        return again + self._promoted() + [trial for trial in self._waiting() if trial_id_of(trial) not in known]

    def _promoted(self) -> list[FrozenTrial]:
        return [] if self.promotion is None else self.promotion.promoted()

    def _is_ready(self, trial: FrozenTrial) -> bool:
        return is_complete(trial, self._space) or self.suggestions.has_completed(trial_id_of(trial))

    def _fix_params(self, trial: FrozenTrial) -> None:
        """Write the parameters of a trial that waited: those that it lacked, and those that it was enqueued with."""
        sampled = self.suggestions.completed(trial_id_of(trial))
        if sampled is not None:
            for key in sampled.system_attrs.keys() - trial.system_attrs.keys():
                self._storage.set_trial_system_attr(trial_id_of(trial), key, sampled.system_attrs[key])
            for name in [name for name in sampled.params if name not in trial.params]:  # in order: samplers mind it
                distribution = sampled.distributions[name]
                internal = distribution.to_internal_repr(sampled.params[name])
                self._storage.set_trial_param(trial_id_of(trial), name, internal, distribution)
        # Nothing is left for a sampler now.
        suggest(with_random_sampler(self._study), trial_id_of(trial), self._space)

    def _prepared(self, trial_id: int) -> PreparedTrial:
        trial = self._storage.get_trial(trial_id)
        names = trial.params if self._is_user_code else self._space
        return PreparedTrial(
            trial_id, trial.number, {name: trial.params[name] for name in names if name in trial.params}
        )

    def put_back(self, trial_id: int) -> None:
        """Keep a trial that could not be granted for the next claim."""
        self._storage.set_trial_state_values(trial_id, TrialState.WAITING)
        self.retry(trial_id)

    def retry(self, trial_id: int) -> None:
        """Put a WAITING trial at the front."""
        self._retries.appendleft(trial_id)

    def n_new(self, n_trials: int) -> int:
        """How many new trials may still be made."""
        if self._exhausted():
            return 0
        left = n_trials - self.n_created
        if self._size is not None:
            left = min(left, self._size - min(self.n_created, self._size - 1))
        return max(0, left)

    def n_left(self, n_trials: int) -> int:
        """How many trials are still to be handed out, as far as is known."""
        return len(self._promoted()) + len(self._waiting()) + self.n_new(n_trials)

    def has_new(self, n_trials: int) -> bool:
        """Whether new trials may still be made."""
        return self.n_created < n_trials and not self._exhausted()

    def is_empty(self, n_trials: int) -> bool:
        """Whether no trial will come any more."""
        return not (self.has_new(n_trials) or self._waiting() or self._promoted())

    def is_exhausted(self, n_trials: int) -> bool:
        """Whether the search space ended before n_trials did."""
        return self.n_created < n_trials and self._exhausted()

    def enqueue(self, params: Params) -> int:
        """Make a WAITING trial with these parameters, and answer its number. Raises NothingLeftError."""
        self._study.enqueue_trial(dict(self.suggestions.completion(params)))
        self.n_created += 1
        self.suggestions.tried(self._waiting()[-1])
        return self.n_created - 1

    def _waiting(self) -> list[FrozenTrial]:
        """All that wait, but for those that are paused."""
        trials = self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        promotion = self.promotion
        return trials if promotion is None else [one for one in trials if not promotion.is_paused(one.number)]

    def _exhausted(self) -> bool:
        """Whether an exhaustive sampler has handed out every configuration."""
        if self._size is None or self.n_created < self._size:
            return False
        return self._n_distinct() >= self._size

    def _n_distinct(self) -> int:
        trials = self._study.get_trials(deepcopy=False)
        return len({repr(sorted(trial.params.items())) for trial in trials if trial.params})
