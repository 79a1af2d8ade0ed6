"""Parameters for the next trials, sampled before a worker claims and without blocking other calls.

Sampling is slow (TPE takes 60 ms at 10,000 trials, GP 300 ms at 300) and Optuna's samplers are not thread-safe. So one
call at a time is made, under its own lock, on a view of the study in which suggestions not handed out yet are running.
"""

import copy
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from optuna import Study
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial, Trial, TrialState

from service.sampling.ask import ServiceStudy, has_all_params, known_params, suggest, suggest_param_or_random
from service.sampling.configurations import Configurations
from service.sampling.constraints import constraint_names
from service.sampling.failures import learns_from_failures
from service.sampling.first_lowest import first_lowest
from service.sampling.overlay_storage import ImportedTrials, OverlayStorage
from service.sampling.round_view import RoundView
from service.sampling.sampler_note import SamplerFailures
from service.sampling.samplers import chosen_sampler
from service.sampling.sampling_times import SamplingTimes
from service.schemas.fields import Scalar
from service.schemas.optuna import distribution as optuna_distribution
from service.schemas.study.custom_sampler import CustomSampler
from service.schemas.study.definition import Definition
from service.schemas.study.search_space import Distribution
from storage import FIXED_PARAMS_ATTR, storage_of, study_id_of, trial_id_of

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
MAX_REPEATS = 5


@dataclass(frozen=True)
class Suggestion:
    """A trial with all its parameters that is not saved yet. It was sampled when `n_finished` trials had ended."""

    trial: FrozenTrial
    n_finished: int


class Suggestions:
    """The suggestions of one study. Thread-safe."""

    def __init__(
        self,
        study: Study,
        definition: Definition,
        monotonic: Callable[[], float] = time.monotonic,
        sampled: Callable[[float], None] = lambda _seconds: None,
        processor: Callable[[], float] = time.thread_time,
    ) -> None:
        """`sampled` is called with the seconds that sampling took, for each trial."""
        self._study = study
        self._storage, self._study_id = storage_of(study), study_id_of(study)
        self._view = RoundView(definition.search_space, None, study.sampler, promotes=definition.promotes)
        self._monotonic = monotonic
        self._sampled = sampled
        self.failures = SamplerFailures()
        self._imported: ImportedTrials | None = None
        # User code may set other constraints than the definition has, and GP fails when a constraint is added later.
        self._first_constraints = set() if definition.asks_for_params else constraint_names(definition)
        self._ready: deque[Suggestion] = deque()
        self._filled_in: dict[int, FrozenTrial] = {}
        self._lock = threading.Lock()
        self._news = threading.Condition(self._lock)
        self._wanted = 0
        """How many suggestions claims have waited for in vain."""
        self._sampling = threading.Lock()
        self._configurations = self._tried_in(self._view)
        self._sampler = chosen_sampler(definition)
        self.is_apart = isinstance(self._sampler, CustomSampler)
        """Whether the sampler runs in a process of its own, and may hang."""
        self._times = SamplingTimes(is_apart=self.is_apart, monotonic=monotonic, processor=processor)
        self._learns_from_failures = partial(learns_from_failures, self._sampler, self._storage, self._study_id)

    def _tried_in(self, view: RoundView) -> Configurations:
        trials = self._study.get_trials(deepcopy=False)
        return Configurations(view.space, map(known_params, trials))

    # Handing out: the caller holds the study's lock

    def narrow(self, view: RoundView) -> None:
        """Sample from the ranges of a round from now on. Suggestions from other ranges are dropped."""
        configurations = self._tried_in(view)
        with self._lock:
            self._view, self._configurations = view, configurations
            self._ready.clear()
            self._filled_in.clear()

    def learn_from(self, imported: Sequence[FrozenTrial]) -> None:
        """Show the sampler imported trials before the study's own. Suggestions made without them are dropped."""
        with self._lock:
            self._imported = ImportedTrials(imported) if imported else None
            self._ready.clear()

    def n_ready(self, n_running: int) -> int:
        """Number of ready suggestions, without those dropped because they missed more results than trials run."""
        oldest = self._n_finished() - max(1, n_running)
        with self._lock:
            self._ready = deque(suggestion for suggestion in self._ready if suggestion.n_finished >= oldest)
            self._drop_repetitions()
            return len(self._ready)

    def _drop_repetitions(self) -> None:
        """Drop suggestions of tried configurations, unless every configuration is tried, or there are too many."""
        if self._configurations.has_untried():
            fresh = [ready for ready in self._ready if ready.trial.params not in self._configurations]
            self._ready = deque(fresh)

    def take(self, place: Callable[[Mapping[str, Scalar]], int] = lambda _params: 0) -> FrozenTrial | None:
        """A new trial to save: the first one with the lowest `place`, at least 0. None if no suggestion is ready."""
        with self._lock:
            self._drop_repetitions()
            if not self._ready:
                return None
            self._times.note_taken()
            self._wanted = max(0, self._wanted - 1)
            index = first_lowest(place(ready.trial.params) for ready in self._ready)
            trial = copy.copy(self._ready[index].trial)
            del self._ready[index]
            self._configurations.add(trial.params)
        trial.datetime_start = datetime.now()
        return trial

    def take_filled_in(self, trial_id: int) -> FrozenTrial | None:
        """Hand out a waiting trial with the parameters it lacked. None if they are not sampled yet."""
        with self._lock:
            self._wanted = max(0, self._wanted - 1)
            return self._filled_in.pop(trial_id, None)

    def is_filled_in(self, trial_id: int) -> bool:
        """Whether the missing parameters of a waiting trial are sampled."""
        return trial_id in self._filled_in

    def tried(self, trial: FrozenTrial) -> None:
        """Add the configuration of a trial that was not suggested here, and drop suggestions that repeat it."""
        with self._lock:
            self._configurations.add(known_params(trial))
            fresh = [ready for ready in self._ready if ready.trial.params not in self._configurations]
            self._ready = deque(fresh)

    def fill_in(self, params: Mapping[str, Scalar]) -> Mapping[str, Scalar]:
        """The parameters to enqueue for those that a user gives.

        They are complete if the sampler has only complete configurations, as a grid has. Raises NothingLeftError.
        """
        with self._lock:
            return self._configurations.fill_in(params) if self._sampler.whole_configurations else params

    @property
    def fills_in(self) -> bool:
        """Whether `fill_in` may add values to those that a user gives."""
        return self._sampler.whole_configurations

    @property
    def is_quick(self) -> bool:
        """Whether the sampler needs so little processor time that it may be asked on the event loop."""
        return self._times.is_quick

    @property
    def is_sampling(self) -> bool:
        """Whether the sampler is running now."""
        return self._sampling.locked()

    def depth(self, n_running: int) -> int:
        """Number of suggestions to keep ready; at least as many as claims wait for."""
        return max(self._wanted, self._times.depth(n_running))

    def want(self, n: int) -> None:
        """Have `depth` be at least `n` until as many suggestions are taken."""
        with self._lock:
            self._wanted = max(self._wanted, n)

    def wait_for_others(self, n_new: int, lacking: Sequence[FrozenTrial]) -> None:
        """Wait a little until another thread has `n_new` suggestions ready and has completed the `lacking` trials."""
        trial_ids = [trial_id_of(trial) for trial in lacking]
        with self._news:
            self._news.wait_for(
                lambda: len(self._ready) >= n_new and all(trial_id in self._filled_in for trial_id in trial_ids),
                self._times.patience_seconds(),
            )

    # Sampling: the caller does not hold the study's lock

    def sample_new(self, n_ready: int) -> None:
        """Sample new trials until `n_ready` suggestions are ready."""
        while True:
            with self._sampling, self._times.measured():
                n_finished = self._n_finished()
                with self._lock:
                    view, pending = self._view, [suggestion.trial for suggestion in self._ready]
                if len(pending) >= n_ready:
                    return
                trial = self._new(view, pending)
                with self._lock:
                    if view is self._view:
                        self._ready.append(Suggestion(trial, n_finished))
                        self._news.notify_all()

    def sample_missing(self, waiting: FrozenTrial) -> None:
        """Sample the missing parameters of a waiting trial."""
        with self._sampling, self._times.measured():
            with self._lock:
                view, pending = self._view, [suggestion.trial for suggestion in self._ready]
            if self._is_settled(waiting):
                return
            trial = self._new(view, pending, waiting)
            with self._lock:
                if view is self._view:
                    self._filled_in[trial_id_of(trial)] = trial
                    self._configurations.add(trial.params)
                    self._news.notify_all()

    def ask(self, running: FrozenTrial) -> Trial:
        """A running trial on which more parameters can be suggested, see `sample_more`. Nothing of it is saved."""
        with self._sampling:
            with self._lock:
                view, pending = self._view, [suggestion.trial for suggestion in self._ready]
            shadow = self._overlay(view, pending, running)
            return Trial(self._study_over(shadow, view.sampler), trial_id_of(running))

    def sample_more(self, asked: Trial, name: str, distribution: Distribution) -> FrozenTrial:
        """Suggest one more parameter of a trial from `ask`. Raises ValueError for another distribution than before."""
        started = self._monotonic()
        with self._sampling:
            if isinstance(asked.storage, OverlayStorage):
                asked.storage.leave_out_unlike(name, optuna_distribution(distribution))
            suggest_param_or_random(asked, name, distribution, self.failures.note)
        self._sampled(self._monotonic() - started)
        return asked.storage.get_trial(trial_id_of(asked))

    def _is_settled(self, waiting: FrozenTrial) -> bool:
        """Whether a waiting trial needs no sampling any more, because of another claim."""
        trial_id = trial_id_of(waiting)
        if trial_id in self._filled_in:
            return True
        trial = self._storage.get_trial(trial_id)
        return trial.state != TrialState.WAITING or has_all_params(trial, self._view.space)

    def _new(self, view: RoundView, pending: list[FrozenTrial], waiting: FrozenTrial | None = None) -> FrozenTrial:
        """A suggestion that repeats no configuration while there are untried ones."""
        others = [trial.params for trial in pending]
        given = {} if waiting is None else known_params(waiting)
        if waiting is not None and self._sampler.whole_configurations:
            untried = self._configurations.untried(others, given)
            if untried is not None:
                return self._fixed(view, untried, pending, waiting)
        for _ in range(MAX_REPEATS):
            trial = self._ask(view, pending, waiting)
            if trial.params not in self._configurations and trial.params not in others:
                return trial
        untried = self._configurations.untried(others, given)
        return trial if untried is None else self._fixed(view, untried, pending, waiting)

    def _ask(self, view: RoundView, pending: list[FrozenTrial], waiting: FrozenTrial | None) -> FrozenTrial:
        shadow = self._overlay(view, pending, waiting)
        space = view.space_with(known_params(shadow.trial))
        started = self._monotonic()
        suggest(self._study_over(shadow, view.sampler), trial_id_of(shadow.trial), space, self.failures.note)
        self._sampled(self._monotonic() - started)
        return view.as_written(shadow.trial)

    def _fixed(
        self,
        view: RoundView,
        params: Mapping[str, Scalar],
        pending: list[FrozenTrial],
        waiting: FrozenTrial | None,
    ) -> FrozenTrial:
        """A suggestion of exactly these parameters."""
        shadow = self._overlay(view, pending, waiting)
        shadow.trial.system_attrs[FIXED_PARAMS_ATTR] = params
        suggest(self._study_over(shadow, RandomSampler()), trial_id_of(shadow.trial), view.space_with(params))
        del shadow.trial.system_attrs[FIXED_PARAMS_ATTR]  # the trial was not enqueued
        return view.as_written(shadow.trial)

    def _overlay(self, view: RoundView, pending: list[FrozenTrial], waiting: FrozenTrial | None) -> OverlayStorage:
        taught = self._learns_from_failures()
        shadow = view.overlay(self._storage, self._study_id, pending, waiting, self._imported, with_failures=taught)
        if self._sampler.same_constraints:
            shadow.leave_out_otherwise_constrained(self._first_constraints)
        return shadow

    def _study_over(self, shadow: OverlayStorage, sampler: BaseSampler) -> Study:
        return ServiceStudy(self._study.study_name, shadow, sampler, self._study.pruner)

    def _n_finished(self) -> int:
        return self._storage.get_n_trials(self._study_id, FINISHED)
