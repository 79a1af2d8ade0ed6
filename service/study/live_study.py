"""One study at work: what claims, reports and ends share, behind one lock."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager

from optuna import Study
from optuna.trial import Trial

from service.clock import Clock
from service.errors import StudyNotFoundError
from service.events.study_events import StudyEvents
from service.pruning.ask import pruning_of
from service.pruning.promotion import Promotion
from service.sampling.imported import frozen_trials
from service.sampling.round_view import RoundView
from service.sampling.samplers import build_sampler
from service.schemas.artifacts import CHECKPOINT
from service.schemas.protocol import Resume
from service.schemas.study.definition import Definition
from service.schemas.study.definition_fields import Params
from service.schemas.study.resolve import fixed_fields
from service.study.open_leases import OpenLeases
from service.study.rounds import Rounds
from service.study.study_end import StudyEnd
from service.study.trial_queue import TrialQueue
from storage import FinalRecord, RoundRecord, Store, StudyRecord


class LiveStudy:
    """A study, its open leases and its queue of trials. Whoever changes them holds `lock`."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        record: StudyRecord,
        definition: Definition,
        study: Study,
        queue: TrialQueue,
        leases: OpenLeases,
        notify: Callable[[], None],
        wake: Callable[[], None],
        tick: Callable[["LiveStudy"], None],
    ) -> None:
        """`notify` wakes claims that wait for work, `wake` the preparation of suggestions.

        `tick` lets time take effect: it ends expired leases and, when nothing is left to do, the study.
        """
        self.store = store
        self.clock = clock
        self.record = record
        self.definition = definition
        self.fixed = fixed_fields(definition.training)
        self.study = study
        self.queue = queue
        self.leases = leases
        self.notify = notify
        self.end = StudyEnd(definition)
        self.pruning = pruning_of(store, study, definition)
        self.rounds = Rounds(store, record.study_id, definition)
        self.news = StudyEvents(store, clock, record.name)
        self.lock = threading.RLock()
        self.deleted = False
        self.asked: dict[str, Trial] = {}
        """By lease, the trials whose entrypoints ask for parameters as they run, as the sampler sees them."""
        self._wake = wake
        self._tick = tick

    @property
    def final(self) -> FinalRecord | None:
        """The final evaluation of another study whose trials are those of this one, if it is such a study."""
        return self.store.finals.of_linked(self.record.study_id)

    def is_defined_by(self, definition: Definition) -> bool:
        """Whether a definition is the study's own, as it was first written or since it was extended."""

        def comparable(value: Definition, n_trials: int) -> str:
            # As JSON, because Python takes 0, 0.0 and False for the same choice.
            return json.dumps({**value.model_dump(mode="json"), "n_trials": n_trials}, sort_keys=True)

        own = [comparable(self.definition, n_trials) for n_trials in (self.definition.n_trials, self.record.n_trials)]
        return comparable(definition, definition.n_trials) in own

    @contextmanager
    def working(self) -> Iterator[None]:
        """Hold the lock while memory changes, and wait for the commit without it. All of it is one transaction."""
        with self.lock, self.store.deferred() as committed:
            yield
        self.store.wait(committed)

    @contextmanager
    def changing(self) -> Iterator[Future[None]]:
        """Hold the lock after a `tick`; what the block writes is committed when the yielded future is done."""
        with self.lock, self.store.deferred() as committed:
            self.tick()
            yield committed

    def tick(self) -> None:
        """Let time and results take effect: expired leases, due rounds and evaluations, the end of the study."""
        self._tick(self)

    def enqueue(self, params: Params) -> int:
        """Add a trial with these parameters to the queue, and return its number. The caller holds the lock."""
        number = self.queue.enqueue(params)
        self.news.trial_created(number, params)
        self.notify()
        return number

    def may_start(self) -> bool:
        """Whether trials may begin now."""
        return not self.deleted and self.record.state == "running" and self.stop_reason() is None

    def stop_reason(self) -> str | None:
        """Why running trials should end now, or None."""
        if self.record.state == "stopped":
            return "the study was stopped"
        return self.end.early(self.record, self.clock.now())

    def resume(self, trial_id: int) -> Resume | None:
        """Where a trial goes on: its checkpoint, as long as it has one."""
        checkpoint = self.store.artifacts.get(trial_id, CHECKPOINT)
        if checkpoint is None or checkpoint.step is None:
            return None
        return Resume(step=checkpoint.step, artifact=checkpoint.name)

    @property
    def promotion(self) -> Promotion | None:
        """The trials that are paused at rungs, where there are such."""
        return self.queue.promotion

    @property
    def n_trials_now(self) -> int:
        """How many trials there may be for now: a round's are all done before those of the next one are made."""
        return self.rounds.limit(self.record.n_trials)

    def sample_from(self, round: RoundRecord) -> None:
        """Sample from a round's ranges from now on, with a sampler that has seen no others."""
        self.study.sampler = build_sampler(self.definition, self.queue.n_created)
        space, promotes = self.definition.search_space, self.definition.promotes
        self.queue.suggestions.narrow(RoundView(space, round, self.study.sampler, promotes=promotes))

    def learn_from_imports(self) -> None:
        """Show the sampler all trials that were imported."""
        records = self.store.imports.of_study(self.record.study_id)
        self.queue.suggestions.learn_from(frozen_trials(self.definition, records))

    def want_suggestions(self) -> None:
        """Say that new suggestions may be wanted, when they are worth making ahead."""
        if self.queue.suggestions.depth(len(self.leases)) > 0:
            self._wake()

    def close(self) -> None:
        """Forget the open leases of a study that is deleted, and take part in nothing any more."""
        self.deleted = True
        for lease in self.leases:
            self.leases.remove(lease.lease_id)

    def check_not_deleted(self) -> None:
        """Raises StudyNotFoundError when the study was deleted since it was looked up."""
        if self.deleted:
            raise StudyNotFoundError(f"no study of this name: {self.record.name}")
