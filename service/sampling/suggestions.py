"""Parameters for the trials to come, sampled before a worker asks and without holding up anybody else.

Sampling is slow (TPE 60 ms at 10,000 trials, GP 300 ms at 300) and Optuna's samplers are not safe for threads: one
call at a time, under a lock of its own, on a view of the study in which what is ready but not handed out is running.
"""

import copy
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from optuna import Study
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial, Trial, TrialState

from service.sampling.ask import ServiceStudy, is_complete, suggest, suggest_one_of
from service.sampling.configurations import Configurations
from service.sampling.constraints import constraint_names
from service.sampling.overlay_storage import ImportedTrials, OverlayStorage
from service.sampling.round_view import RoundView
from service.sampling.samplers import chosen_sampler
from service.schemas.fields import Scalar
from service.schemas.optuna import distribution as optuna_distribution
from service.schemas.study.definition import Definition
from service.schemas.study.search_space import Distribution
from storage import FIXED_PARAMS_ATTR, storage_of, study_id_of, trial_id_of

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
CHEAP_SECONDS = 0.005
"""A sampler this quick is asked when a worker claims: its suggestion is then as fresh as can be."""
MAX_REPEATS = 5
QUICK_SECONDS = 0.001
"""A sampler that takes so little of a processor, and is idle, may be asked on the event loop."""
WEIGHT = 0.3
"""Of the newest measurement in a moving average."""


@dataclass(frozen=True)
class Suggestion:
    """A trial with all its parameters, not in the database yet; sampled when `n_finished` trials had ended."""

    trial: FrozenTrial
    n_finished: int


class Suggestions:
    """The suggestions of one study. Safe for threads."""

    def __init__(
        self,
        study: Study,
        definition: Definition,
        monotonic: Callable[[], float] = time.monotonic,
        sampled: Callable[[float], None] = lambda _seconds: None,
        processor: Callable[[], float] = time.thread_time,
    ) -> None:
        """`sampled` is told the seconds that each trial's parameters took."""
        self._study = study
        self._storage, self._study_id = storage_of(study), study_id_of(study)
        self._view = RoundView(definition.search_space, None, study.sampler, promotes=definition.promotes)
        self._monotonic, self._processor = monotonic, processor
        self._sampled = sampled
        self._imported: ImportedTrials | None = None
        # Code may set more than the definition has, and GP cannot go on with more than it has begun with.
        self._first_constraints = set() if definition.is_user_code else constraint_names(definition)
        self._ready: deque[Suggestion] = deque()
        self._completed: dict[int, FrozenTrial] = {}
        self._lock = threading.Lock()
        self._sampling = threading.Lock()
        self._sample_seconds = 0.0
        self._busy_seconds = 0.0
        self._claim_seconds = math.inf
        self._last_taken = -math.inf
        self._configurations = self._tried_in(self._view)
        self._sampler = chosen_sampler(definition)

    def _tried_in(self, view: RoundView) -> Configurations:
        trials = self._study.get_trials(deepcopy=False)
        return Configurations(view.space, map(known_params, trials))

    # Handing out: the caller holds the study's lock

    def narrow(self, view: RoundView) -> None:
        """Sample from a round's ranges. What is ready, or being sampled at this moment, is of others and is dropped."""
        configurations = self._tried_in(view)
        with self._lock:
            self._view, self._configurations = view, configurations
            self._ready.clear()
            self._completed.clear()

    def learn_from(self, imported: Sequence[FrozenTrial]) -> None:
        """Show the sampler trials from elsewhere before the study's own. What is ready knew less, and is dropped."""
        with self._lock:
            self._imported = ImportedTrials(imported) if imported else None
            self._ready.clear()

    def n_ready(self, n_running: int) -> int:
        """How many are ready. One that is older than a finished trial for each running one is dropped."""
        oldest = self._n_finished() - max(1, n_running)
        with self._lock:
            self._ready = deque(suggestion for suggestion in self._ready if suggestion.n_finished >= oldest)
            self._drop_repetitions()
            return len(self._ready)

    def _drop_repetitions(self) -> None:
        """Drop what was tried, unless nothing else is left: it was sampled when the last untried ones were ready."""
        fresh = [ready for ready in self._ready if ready.trial.params not in self._configurations]
        if len(fresh) < len(self._ready) and self._configurations.untried([]) is not None:
            self._ready = deque(fresh)

    def take(self, is_wanted: Callable[[Mapping[str, Scalar]], bool] = lambda _params: True) -> FrozenTrial | None:
        """A new trial as it is to be written, a wanted one if there is one, or None when none is ready."""
        now = self._monotonic()
        with self._lock:
            self._drop_repetitions()
            if not self._ready:
                return None
            self._claim_seconds = _average(self._claim_seconds, now - self._last_taken)
            self._last_taken = now
            index = next((i for i, ready in enumerate(self._ready) if is_wanted(ready.trial.params)), 0)
            trial = copy.copy(self._ready[index].trial)
            del self._ready[index]
            self._configurations.add(trial.params)
        trial.datetime_start = datetime.now()
        return trial

    def completed(self, trial_id: int) -> FrozenTrial | None:
        """A trial that waited without all its parameters, with them; None when it was not sampled yet."""
        with self._lock:
            return self._completed.pop(trial_id, None)

    def has_completed(self, trial_id: int) -> bool:
        return trial_id in self._completed

    def tried(self, trial: FrozenTrial) -> None:
        """Note the configuration of a trial that did not come from here; what is ready must not repeat it."""
        with self._lock:
            self._configurations.add(known_params(trial))
            fresh = [ready for ready in self._ready if ready.trial.params not in self._configurations]
            self._ready = deque(fresh)

    def completion(self, params: Mapping[str, Scalar]) -> Mapping[str, Scalar]:
        """The configuration to enqueue for the parameters that a user gives: the same, or a whole configuration if the
        sampler hands out only whole ones. Raises NothingLeftError.
        """
        with self._lock:
            return self._configurations.completion(params) if self._sampler.whole_configurations else params

    @property
    def is_quick(self) -> bool:
        return 0 < self._busy_seconds < QUICK_SECONDS

    @property
    def is_sampling(self) -> bool:
        """Whether the sampler is at work at this moment."""
        return self._sampling.locked()

    def depth(self, n_running: int) -> int:
        """How many to keep ready: what is claimed while one is sampled, and never more than there are running."""
        if self._sample_seconds < CHEAP_SECONDS:
            return 0
        claimed = self._sample_seconds / max(self._claim_seconds, 1e-3)
        return min(1 + math.ceil(claimed), max(1, n_running))

    # Sampling: the caller does not hold the study's lock

    def sample_new(self, n_ready: int) -> None:
        """Sample until so many are ready."""
        while True:
            with self._sampling, self._measured():
                n_finished = self._n_finished()
                with self._lock:
                    view, pending = self._view, [suggestion.trial for suggestion in self._ready]
                if len(pending) >= n_ready:
                    return
                trial = self._new(view, pending)
                with self._lock:
                    if view is self._view:
                        self._ready.append(Suggestion(trial, n_finished))

    def sample_rest(self, waiting: FrozenTrial) -> None:
        """Sample the parameters that a waiting trial lacks."""
        with self._sampling, self._measured():
            with self._lock:
                view, pending = self._view, [suggestion.trial for suggestion in self._ready]
            if self._is_settled(waiting):
                return
            trial = self._new(view, pending, waiting)
            with self._lock:
                if view is self._view:
                    self._completed[trial_id_of(trial)] = trial
                    self._configurations.add(trial.params)

    def ask(self, running: FrozenTrial) -> Trial:
        """A running trial as the sampler sees it now, to be asked for more parameters; nothing of it is written."""
        with self._sampling:
            with self._lock:
                view, pending = self._view, [suggestion.trial for suggestion in self._ready]
            shadow = self._shadow(view, pending, running)
            return Trial(self._seen_through(shadow, view.sampler), trial_id_of(running))

    def sample_more(self, asked: Trial, name: str, distribution: Distribution) -> FrozenTrial:
        """One more parameter of such a trial. Raises ValueError for a value that it cannot have."""
        started = self._monotonic()
        with self._sampling:
            if isinstance(asked.storage, OverlayStorage):
                asked.storage.leave_out_unlike(name, optuna_distribution(distribution))
            suggest_one_of(asked, name, distribution)
        self._sampled(self._monotonic() - started)
        return asked.storage.get_trial(trial_id_of(asked))

    def _is_settled(self, waiting: FrozenTrial) -> bool:
        """Whether another claim has sampled the rest meanwhile, has started the trial, or even given it back since."""
        trial_id = trial_id_of(waiting)
        if trial_id in self._completed:
            return True
        trial = self._storage.get_trial(trial_id)
        return trial.state != TrialState.WAITING or is_complete(trial, self._view.space)

    def _new(self, view: RoundView, pending: list[FrozenTrial], waiting: FrozenTrial | None = None) -> FrozenTrial:
        """A suggestion that is no repetition, while there are configurations that were not tried."""
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
        shadow = self._shadow(view, pending, waiting)
        space = view.space_with(known_params(shadow.trial))
        started = self._monotonic()
        suggest(self._seen_through(shadow, view.sampler), trial_id_of(shadow.trial), space)
        self._sampled(self._monotonic() - started)
        return view.as_written(shadow.trial)

    def _fixed(
        self,
        view: RoundView,
        params: Mapping[str, Scalar],
        pending: list[FrozenTrial],
        waiting: FrozenTrial | None,
    ) -> FrozenTrial:
        """A suggestion of these very parameters."""
        shadow = self._shadow(view, pending, waiting)
        shadow.trial.system_attrs[FIXED_PARAMS_ATTR] = params
        suggest(self._seen_through(shadow, RandomSampler()), trial_id_of(shadow.trial), view.space_with(params))
        del shadow.trial.system_attrs[FIXED_PARAMS_ATTR]  # it was not enqueued
        return view.as_written(shadow.trial)

    def _shadow(self, view: RoundView, pending: list[FrozenTrial], waiting: FrozenTrial | None) -> OverlayStorage:
        shadow = view.shadow(self._storage, self._study_id, pending, waiting, self._imported)
        if self._sampler.same_constraints:
            shadow.leave_out_otherwise_constrained(self._first_constraints)
        return shadow

    def _seen_through(self, shadow: OverlayStorage, sampler: BaseSampler) -> Study:
        return ServiceStudy(self._study.study_name, shadow, sampler, self._study.pruner)

    @contextmanager
    def _measured(self) -> Iterator[None]:
        started, busy = self._monotonic(), self._processor()
        yield
        self._sample_seconds = _average(self._sample_seconds, self._monotonic() - started)
        self._busy_seconds = _average(self._busy_seconds, self._processor() - busy)

    def _n_finished(self) -> int:
        return self._storage.get_n_trials(self._study_id, FINISHED)


def known_params(trial: FrozenTrial) -> dict[str, Scalar]:
    """What is decided of a trial's parameters, which is what it was enqueued with while it waits."""
    return {**trial.system_attrs.get(FIXED_PARAMS_ATTR, {}), **trial.params}


def _average(before: float, newest: float) -> float:
    return newest if not math.isfinite(before) else (1 - WEIGHT) * before + WEIGHT * newest
