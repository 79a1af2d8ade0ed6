"""Which trial a claim gets next: a trial to retry, a promoted one, an enqueued one, or a new one."""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from optuna import Study
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from service.pruning.promotion import Promotion
from service.sampling.ask import has_all_params, known_params, suggest, with_random_sampler
from service.sampling.paused import paused_at
from service.sampling.samplers import chosen_sampler
from service.sampling.suggestions import Suggestions
from service.schemas.fields import Scalar
from service.schemas.study.checks import MAX_GRID
from service.schemas.study.counting import n_configurations
from service.schemas.study.definition import Definition
from service.schemas.study.definition_fields import Params
from service.schemas.study.models import Mlp
from service.schemas.study.search_space import same
from service.schemas.study.training import Training
from service.study.fusion_params import Fusion, fusion_params, fusion_with
from service.study.retried import RETRY_OF
from storage import FIXED_PARAMS_ATTR, storage_of, study_id_of, trial_id_of

FusionWith = Callable[[Mapping[str, Scalar]], Fusion]
"""How a trial with these parameters can train together with a given trial."""


@dataclass(frozen=True)
class PreparedTrial:
    """A RUNNING trial with all its parameters, not yet under a lease."""

    trial_id: int
    number: int
    params: Params


class TrialQueue:
    """Hands out the trials of one study. The caller of any method holds the study's lock.

    `n_trials` is always the number of trials that may exist now, and `n_running` the number of open leases.
    """

    def __init__(
        self,
        study: Study,
        definition: Definition,
        retries: Iterable[int],
        sampled: Callable[[float], None],
        promotion: Promotion | None,
    ) -> None:
        """`retries` are the IDs of trials to try again; `sampled` is told the seconds that sampling a trial took."""
        self.promotion = promotion
        self._study = study
        self._storage: BaseStorage = storage_of(study)
        self._space = definition.search_space
        self._is_user_code = definition.is_user_code
        self._fusion_params = () if self._is_user_code else fusion_params(self._space)
        self._pads = isinstance(definition.training, Training) and isinstance(definition.training.model, Mlp)
        self._retries = deque(retries)
        self._complete: set[int] = set()
        """IDs of the waiting trials that are known to have all parameters."""
        self.suggestions = Suggestions(study, definition, sampled=sampled)
        self.n_created = self._storage.get_n_trials(study_id_of(study))
        exhaustive = chosen_sampler(definition).exhaustive
        self._n_configurations = n_configurations(self._space, MAX_GRID) if exhaustive else None

    def to_sample(self, n: int, n_trials: int, n_running: int) -> tuple[list[FrozenTrial], int]:
        """What must be sampled before `n` trials can be handed out.

        Returns the waiting trials that lack parameters, and the number of suggestions to have ready for new trials,
        which is 0 if enough are ready.
        """
        waiting = self._upcoming(n_trials)[:n]
        lacking = [trial for trial in waiting if not self._is_ready(trial)]
        n_new = min(n - len(waiting), self.n_new(n_trials))
        return lacking, n_new if self.suggestions.n_ready(n_running) < n_new else 0

    def next_trials(self, n: int, n_trials: int, like: Params | None) -> Iterator[PreparedTrial]:
        """Start up to `n` next trials and yield each; fewer if there are no more to start now.

        Retries come first, then promoted, then enqueued, then new trials, then finalists. Within each of these groups a
        trial that trains together best with one of the parameters `like` comes first, or without these with the first.
        """
        if like is None and self.mixes_fusion_keys:
            first = next(self._started(n_trials, None), None)
            if first is None:
                return
            yield first
            n, like = n - 1, first.params
        yield from itertools.islice(self._started(n_trials, like), n)

    def _started(self, n_trials: int, like: Params | None) -> Iterator[PreparedTrial]:
        """Start one trial after the other. The waiting ones are put in order once."""
        how = self._fusion_with(like)
        for trial in self._waiting_in_order(how, n_trials):
            if not self._is_ready(trial):
                return  # later ones must not overtake it: its parameters are sampled first
            if self._start(trial):
                self._write_params(trial)
                yield self._prepared(trial_id_of(trial))
        while self.has_new(n_trials) and (new := self.suggestions.take(how)) is not None:
            self.n_created += 1
            yield self._prepared(self._storage.create_new_trial(study_id_of(self._study), new))

    @property
    def mixes_fusion_keys(self) -> bool:
        """Whether the study may have trials that cannot train together, or only with padding."""
        return bool(self._fusion_params)

    def _fusion_with(self, like: Params | None) -> FusionWith:
        if like is None:
            return lambda _params: Fusion.SAME_SIZES
        return fusion_with(like, self._fusion_params, pads=self._pads)

    def _waiting_in_order(self, how: FusionWith, n_trials: int) -> list[FrozenTrial]:
        """The trials that may start, in the order of `next_trials`; one that lacks parameters keeps its place."""
        upcoming = self._upcoming(n_trials)
        if not self.mixes_fusion_keys:
            return upcoming
        retries = set(self._retries)

        def place(trial: FrozenTrial) -> tuple[bool, bool, Fusion]:
            is_paused = paused_at(trial) is not None
            fusion = how(known_params(trial)) if self._is_ready(trial) else Fusion.APART
            return trial_id_of(trial) not in retries, not is_paused, fusion

        return sorted(upcoming, key=place)

    def _start(self, trial: FrozenTrial) -> bool:
        """Make a waiting trial RUNNING. Returns False if another program has started or ended it."""
        self._complete.discard(trial_id_of(trial))
        with suppress(ValueError):
            self._retries.remove(trial_id_of(trial))
        with suppress(UpdateFinishedTrialError):
            if self.promotion is not None:
                self.promotion.resume(trial)
            return self._storage.set_trial_state_values(trial_id_of(trial), TrialState.RUNNING)
        return False

    def retries(self) -> list[FrozenTrial]:
        """The trials to try again, the next one first."""
        trials = [self._storage.get_trial(trial_id) for trial_id in self._retries]
        trials = [trial for trial in trials if trial.state == TrialState.WAITING]  # another program may have ended one
        self._retries = deque(trial_id_of(trial) for trial in trials)
        return trials

    def _upcoming(self, n_trials: int) -> list[FrozenTrial]:
        """The existing trials that may start: retries, then paused trials that go on, then the others that wait."""
        retries = self.retries()
        retry_ids = set(self._retries)
        waiting = [trial for trial in self._waiting() if trial_id_of(trial) not in retry_ids]
        return retries + self._going_on(n_trials) + waiting

    def _going_on(self, n_trials: int) -> list[FrozenTrial]:
        """The paused trials that may go on: promoted ones, or finalists if nothing else is left to start."""
        if self.promotion is None or self.promotion.n_paused == 0:
            return []
        promoted = self.promotion.promoted()
        if promoted or self.has_new(n_trials) or self._waiting():
            return promoted
        return self.promotion.finalists()

    def _is_ready(self, trial: FrozenTrial) -> bool:
        trial_id = trial_id_of(trial)
        if trial_id not in self._complete and has_all_params(trial, self._space):
            self._complete.add(trial_id)
        return trial_id in self._complete or self.suggestions.is_filled_in(trial_id)

    def _write_params(self, trial: FrozenTrial) -> None:
        """Write the parameters of a started trial: those sampled for it, and those it was enqueued with."""
        sampled = self.suggestions.take_filled_in(trial_id_of(trial))
        if sampled is not None:
            for key in sampled.system_attrs.keys() - trial.system_attrs.keys():
                self._storage.set_trial_system_attr(trial_id_of(trial), key, sampled.system_attrs[key])
            for name in [name for name in sampled.params if name not in trial.params]:  # samplers depend on the order
                distribution = sampled.distributions[name]
                internal = distribution.to_internal_repr(sampled.params[name])
                self._storage.set_trial_param(trial_id_of(trial), name, internal, distribution)
        # Every parameter is known now, so that the random sampler has nothing to sample.
        suggest(with_random_sampler(self._study), trial_id_of(trial), self._space)

    def _prepared(self, trial_id: int) -> PreparedTrial:
        trial = self._storage.get_trial(trial_id)
        names = trial.params if self._is_user_code else self._space
        return PreparedTrial(
            trial_id, trial.number, {name: trial.params[name] for name in names if name in trial.params}
        )

    def put_back(self, trial_id: int) -> None:
        """Make a trial that could not be granted WAITING again, first in the queue."""
        self._storage.set_trial_state_values(trial_id, TrialState.WAITING)
        self.retry(trial_id)

    def retry(self, trial_id: int) -> None:
        """Put a WAITING trial at the front of the queue."""
        self._retries.appendleft(trial_id)

    def n_new(self, n_trials: int) -> int:
        """How many new trials may still be made."""
        if self._exhausted():
            return 0
        left = n_trials - self.n_created
        if self._n_configurations is not None:
            left = min(left, self._n_configurations - min(self.n_created, self._n_configurations - 1))
        return max(0, left)

    def n_left(self, n_trials: int) -> int:
        """How many trials are still to be handed out, as far as is known now."""
        return len(self._going_on(n_trials)) + len(self._waiting()) + self.n_new(n_trials)

    def has_new(self, n_trials: int) -> bool:
        """Whether new trials may still be made."""
        return self.n_created < n_trials and not self._exhausted()

    def is_empty(self, n_trials: int) -> bool:
        """Whether no trial is left to hand out."""
        return not (self.has_new(n_trials) or self._waiting() or self._going_on(n_trials))

    @property
    def is_exhaustive(self) -> bool:
        """Whether the sampler tries every configuration of the search space once."""
        return self._n_configurations is not None

    def is_exhausted(self, n_trials: int) -> bool:
        """Whether every configuration was made into a trial before `n_trials` was reached."""
        return self.n_created < n_trials and self._exhausted()

    def enqueue(self, params: Params) -> int:
        """Make a WAITING trial with these parameters and return its number. Raises NothingLeftError."""
        self._study.enqueue_trial(dict(self.suggestions.fill_in(params)))
        return self._count_enqueued()

    def find(self, params: Params) -> int | None:
        """The number of a trial that has exactly these parameters, or was enqueued with them; None if there is none.

        A sampler of whole configurations adds values to what is enqueued, so there the given ones must only be among
        them.
        """
        is_part = self.suggestions.fills_in
        for trial in self._study.get_trials(deepcopy=False):
            for known in (trial.system_attrs.get(FIXED_PARAMS_ATTR), trial.params or None):
                if known is None or (len(known) != len(params) and not is_part):
                    continue
                if all(name in known and same(known[name], value) for name, value in params.items()):
                    return trial.number
        return None

    def enqueue_retry(self, params: Params, retry_of: int) -> int:
        """Make a WAITING trial with the parameters of a failed one and return its number."""
        attrs = {FIXED_PARAMS_ATTR: dict(params), RETRY_OF: retry_of}
        self._study.add_trial(create_trial(state=TrialState.WAITING, system_attrs=attrs))
        return self._count_enqueued()

    def _count_enqueued(self) -> int:
        """Count the trial that was just enqueued and return its number."""
        number = self.n_created
        self.n_created += 1
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(study_id_of(self._study), number)
        self.suggestions.tried(self._storage.get_trial(trial_id))
        return number

    def _waiting(self) -> list[FrozenTrial]:
        """The WAITING trials that are not paused at a rung."""
        trials = self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        promotion = self.promotion
        return trials if promotion is None else [trial for trial in trials if not promotion.is_paused(trial.number)]

    def _exhausted(self) -> bool:
        """Whether an exhaustive sampler has made every configuration into a trial."""
        if self._n_configurations is None or self.n_created < self._n_configurations:
            return False
        return len(self._configurations()) >= self._n_configurations

    def _configurations(self, *, without: TrialState | None = None) -> set[str]:
        """The different configurations of the trials, leaving out those in one state."""
        trials = [trial for trial in self._study.get_trials(deepcopy=False) if trial.params]
        return {repr(sorted(trial.params.items())) for trial in trials if trial.state != without}

    def tried_configurations(self) -> tuple[int, int]:
        """Number of different configurations that are trials, and of those whose trials have all failed."""
        tried = self._configurations()
        return len(tried), len(tried - self._configurations(without=TrialState.FAIL))
