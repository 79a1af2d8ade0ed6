"""An Optuna sampler that asks a custom sampler in a process of its own."""

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from optuna import Study
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    json_to_distribution,
)
from optuna.pruners import HyperbandPruner
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from service.sampling.custom.errors import CustomSamplerError, SamplerEndedError, SamplerSkippedError
from service.sampling.custom.messages import Ask, Method, Start, pickled
from service.sampling.custom.sampler_process import SamplerProcess
from service.sampling.custom.study_mirror import ENDED_ATTR, StudyMirror
from storage import storage_of, study_id_of, trial_id_of

log = logging.getLogger(__name__)

START_SECONDS = 60.0
"""How long the imports of a custom sampler may take, and the function that makes it."""
MAX_PAUSE_SECONDS = 300.0
"""Longest pause before a process that has ended again and again is started anew."""
TOLERANCE = 1e-8
"""Of a value beside a step, as Optuna's own."""

StartProcess = Callable[[], SamplerProcess]


class ProcessSampler(BaseSampler):
    """Asks the process of one study. It is started when it is first needed, and again after it has ended.

    Every method but `close` raises CustomSamplerError for a sampler that fails, and is called by one thread at a time.
    """

    def __init__(
        self,
        entrypoint: str,
        options: dict[str, Any],
        timeout_seconds: float,
        *,
        has_trials: bool,
        start_process: StartProcess,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`has_trials`: whether the sampler has made suggestions for the study before the service started."""
        self._entrypoint, self._options = entrypoint, options
        self._timeout_seconds = timeout_seconds
        self._start_process = start_process
        self._monotonic = monotonic
        self._process: SamplerProcess | None = None
        self._mirror = StudyMirror()
        self._has_suggested = has_trials
        self._closed = False
        self._lock = threading.Lock()
        self._ended: deque[tuple[int, TrialState, Sequence[float] | None]] = deque()
        """Trials that have ended and of which the sampler is told before its next suggestion, because it may be slow
        and the call that ends a trial must not wait for it."""
        self._begins: set[int] = set()
        self._failed: dict[int, str] = {}
        self._relative: dict[str, Any] = {}
        self._seconds_left = (0, timeout_seconds)
        """The trial that it was asked for last, and how long it may still take for that."""
        self._n_deaths = 0
        self._next_start = -float("inf")
        self._last_death = ""

    # As Optuna calls a sampler

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Begin a trial. The process is told when it is first asked for the trial's parameters."""
        trial_id = trial_id_of(trial)
        if self._process is not None and self._seconds_left[0] not in self._failed:
            self._n_deaths = 0  # the process has done all of the trial before
        self._begins.add(trial_id)
        self._failed.pop(trial_id, None)
        self._seconds_left = (trial_id, self._timeout_seconds)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The parameters that are sampled together, with their values, which `sample_relative` returns."""
        answer = self._ask_for(study, trial, None)
        space = {name: json_to_distribution(text) for name, text in answer["space"].items()}
        self._relative = {name: self._checked(name, space[name], value) for name, value in answer["params"].items()}
        return space

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The values that came with the search space, which Optuna asks for right before."""
        return self._relative

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The value of one parameter."""
        answer = self._ask_for(study, trial, (param_name, param_distribution))
        return self._checked(param_name, param_distribution, answer["value"])

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Remember that a trial has ended."""
        self._ended.append((trial_id_of(trial), state, values))

    def _checked(self, name: str, distribution: BaseDistribution, value: float) -> Any:
        found = _external(distribution, value)
        if not found:
            rule = f"{name} must be in {distribution}"
            raise CustomSamplerError(f"{self._entrypoint}: {rule}: {value:g}")
        return found[0]

    # The process

    def rest(self) -> None:
        """Kill the process until the sampler is asked again, because its study has ended."""
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            process.kill()

    def close(self) -> None:
        """Kill the process for good, because its study was deleted or has got another sampler."""
        self._closed = True
        self.rest()

    def _ask_for(
        self, study: Study, trial: FrozenTrial, parameter: tuple[str, BaseDistribution] | None
    ) -> dict[str, Any]:
        trial_id = trial_id_of(trial)
        if trial_id in self._failed:
            raise SamplerSkippedError(f"{self._failed[trial_id]} (for another parameter of the trial)")
        if self._seconds_left[0] != trial_id:
            self._seconds_left = (trial_id, self._timeout_seconds)
        try:
            self._tell_ended(study)
            begins = trial_id in self._begins
            self._begins.discard(trial_id)
            method: Method = "sample_relative" if parameter is None else "sample_independent"
            answer = self._asked(study, Ask(method, trial_id, begins, parameter, pruner=_brackets(study)))
        except CustomSamplerError as error:
            self._failed[trial_id] = str(error)
            raise
        storage, written = storage_of(study), answer["written"]
        for key, value in written["trial_system"].items():
            storage.set_trial_system_attr(trial_id, key, value)
        for key, value in written["trial_user"].items():
            storage.set_trial_user_attr(trial_id, key, value)
        return answer

    def _tell_ended(self, study: Study) -> None:
        """Call `after_trial` for the trials that have ended since the last suggestion."""
        while self._ended:
            trial_id, state, values = self._ended.popleft()
            ask = Ask("after_trial", trial_id, state=state, values=values, pruner=_brackets(study))
            answer = self._asked(study, ask)
            system, user = answer["written"]["trial_system"], answer["written"]["trial_user"]
            if system or user:
                attrs = {"system": system, "user": user}
                storage_of(study).set_study_system_attr(study_id_of(study), f"{ENDED_ATTR}{trial_id}", attrs)

    def _asked(self, study: Study, ask: Ask) -> dict[str, Any]:
        """The answer of the process, after it was told what is new. Writes the study's attributes that it has set."""
        storage, study_id = storage_of(study), study_id_of(study)
        trials = storage.get_all_trials(study_id, deepcopy=False)
        process = self._running(study)

        def messages() -> Iterator[bytes]:
            attrs = storage.get_study_user_attrs(study_id), storage.get_study_system_attrs(study_id)
            yield from self._mirror.changes(trials, *attrs)
            yield pickled(ask)

        answer = self._timed(process, messages())
        self._has_suggested = True
        for key, value in answer["written"]["study_system"].items():
            storage.set_study_system_attr(study_id, key, value)
        for key, value in answer["written"]["study_user"].items():
            storage.set_study_user_attr(study_id, key, value)
        return answer

    def _timed(self, process: SamplerProcess, messages: Iterator[bytes]) -> dict[str, Any]:
        trial_id, seconds = self._seconds_left
        started = self._monotonic()
        try:
            return process.ask(messages, seconds, self._timeout_seconds)
        except CustomSamplerError as error:
            named = self._named(error)
            if isinstance(error, SamplerEndedError):
                self._note_end(process, named)
            raise named from error
        finally:
            self._seconds_left = (trial_id, max(0.0, seconds - (self._monotonic() - started)))

    def _running(self, study: Study) -> SamplerProcess:
        """The process, which is started if there is none."""
        if self._closed:
            raise SamplerSkippedError("its study has no more use for it")
        if self._process is not None:
            return self._process
        wait = self._next_start - self._monotonic()
        if wait > 0:
            raise CustomSamplerError(f"{self._last_death}; it starts again in {math.ceil(wait)} s")
        try:
            process = self._start_process()
        except SamplerEndedError as error:
            named = self._named(error)
            self._note_end(None, named)
            raise named from error
        with self._lock:
            self._process = process
        self._mirror = StudyMirror()
        directions = storage_of(study).get_study_directions(study_id_of(study))
        start = Start(
            self._entrypoint,
            self._options,
            self._has_suggested,
            study_id_of(study),
            study.study_name,
            list(directions),
        )
        try:
            process.ask([pickled(start)], START_SECONDS)
        except CustomSamplerError as error:
            process.kill()
            named = self._named(error)
            self._note_end(process, named)
            raise named from error
        return process

    def _note_end(self, process: SamplerProcess | None, error: CustomSamplerError) -> None:
        """Plan the next start. Raises SamplerSkippedError if the process was killed because nobody needs it."""
        with self._lock:
            is_wanted = process is None or self._process is process
            self._process = None
        if not is_wanted or self._closed:
            raise SamplerSkippedError("its study has ended meanwhile") from error
        self._last_death = str(error)
        pause = min(MAX_PAUSE_SECONDS, 2.0**self._n_deaths - 1)
        self._n_deaths += 1
        self._next_start = self._monotonic() + pause
        log.warning("%s: the next process may start in %g s", self._last_death, pause)

    def _named(self, error: CustomSamplerError) -> CustomSamplerError:
        """The error, with the name of the sampler before it."""
        if error.details:
            log.warning("the sampler %s: %s\n%s", self._entrypoint, error, error.details)
        return type(error)(f"{self._entrypoint}: {error}")


def check_start(entrypoint: str, options: dict[str, Any], start_process: StartProcess) -> None:
    """Make a sampler in a process that is killed after that. Raises CustomSamplerError."""
    process = start_process()
    try:
        process.ask([pickled(Start(entrypoint, options, False, 0, "", []))], START_SECONDS)
    finally:
        process.kill()


def _brackets(study: Study) -> HyperbandPruner | None:
    """The pruner of a study whose trials are divided among several brackets."""
    return study.pruner if isinstance(study.pruner, HyperbandPruner) else None


def _external(distribution: BaseDistribution, value: float) -> list[Any]:
    """The value of a parameter as a list, from its internal representation; an empty list outside of its range."""
    if isinstance(distribution, CategoricalDistribution):
        return [distribution.to_external_repr(value)] if value in range(len(distribution.choices)) else []
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    if not distribution.low <= value <= distribution.high:
        return []
    n_steps = 0.0 if distribution.step is None else (value - distribution.low) / distribution.step
    return [distribution.to_external_repr(value)] if abs(n_steps - round(n_steps)) < TOLERANCE else []
