"""One study in memory: what claims, reports and ends of leases share, behind one lock."""

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager

from optuna import Study
from optuna.samplers import BaseSampler
from optuna.trial import Trial

from service.clock import Clock
from service.errors import StudyNotFoundError
from service.events.study_events import StudyEvents
from service.pruning.ask import pruning_of
from service.pruning.promotion import Promotion
from service.sampling.imported import frozen_trials
from service.sampling.round_view import RoundView
from service.sampling.samplers import close_sampler, rest_sampler
from service.schemas.artifacts import CHECKPOINT
from service.schemas.protocol import Resume
from service.schemas.study.definition import Definition
from service.schemas.study.definition_fields import MIN_FAILURES_IN_A_ROW, Params
from service.schemas.study.resolve import fixed_fields
from service.study.call_costs import CallCosts
from service.study.failing_workers import FailingWorkers
from service.study.failures import FailuresInARow
from service.study.grant_fault import GrantFault
from service.study.open_leases import OpenLeases
from service.study.rounds import Rounds
from service.study.study_end import StudyEnd
from service.study.study_lock import StudyLock
from service.study.trial_queue import TrialQueue
from storage import FinalRecord, RoundRecord, Store, StudyRecord

RAISED = frozenset({"n_trials", "max_total_epochs", "max_device_hours"})
"""The fields of a definition that users can raise."""
DATA_ATTR = "data"
"""User attribute of a trial in which a worker says what the trial trains on."""


class LiveStudy:
    """A study with its open leases and its queue of trials. Hold `lock` while changing any of them."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        record: StudyRecord,
        definition: Definition,
        study: Study,
        queue: TrialQueue,
        leases: OpenLeases,
        make_sampler: Callable[[int], BaseSampler],
        notify: Callable[["LiveStudy"], None],
        wake: Callable[[], None],
        tick: Callable[["LiveStudy"], None],
    ) -> None:
        """Take the parts of a loaded study, and four callbacks.

        `make_sampler` builds the sampler for a study that has some number of trials.

        `notify` wakes claims that wait for the study's trials, `wake` wakes the background sampler, and `tick` lets
        time take effect: it ends expired leases, starts due rounds and ends the study when nothing is left to do.
        """
        self.store = store
        self.clock = clock
        self.record = record
        self.definition = definition
        self.needs = definition.needs
        """What a worker must allow to train its trials."""
        self.fixed = fixed_fields(definition.training)
        self.study = study
        self.queue = queue
        self.leases = leases
        self._make_sampler = make_sampler
        self._notify = notify
        self.end = StudyEnd(definition)
        self.pruning = pruning_of(store, study, definition)
        self.rounds = Rounds(store, record.study_id, definition)
        self.failing_workers = FailingWorkers()
        self.failures = FailuresInARow(self._machine_of)
        self.events = StudyEvents(store, clock, record.name)
        self.lock = StudyLock()
        self.deleted = False
        self.grant_fault = GrantFault(clock)
        self.costs = CallCosts()
        self.define_by_run_trials: dict[str, Trial] = {}
        """By lease ID, the sampler's view of each trial whose code asks for parameters as it runs."""
        self.final_metrics: dict[int, Mapping[str, float]] = {}
        """By trial ID, the final metrics of the trials of a final evaluation; empty for a study of a user."""
        self.data: str | None = None
        """What the newest trial that has told it trains on; None before, and for an objective."""
        self.late_results: set[int] = set()
        """Ids of the trials whose final metrics came after their end, since the service started."""
        self._wake = wake
        self._tick = tick
        final = self.final
        evaluated = () if final is None else (store.study(final.study_id).name,)
        self.claimed_as: tuple[str, ...] = (record.name, *evaluated)
        """Its name; for the trials of a final evaluation also the name of the evaluated study."""

    @property
    def final(self) -> FinalRecord | None:
        """The final evaluation whose trials this study holds; None for a study of a user."""
        return self.store.finals.of_linked(self.record.study_id)

    def is_defined_by(self, definition: Definition) -> bool:
        """Whether a definition equals the study's, with its first or the present number of trials and limits."""
        has_old_default = definition.has_default_pruner and "pruner" not in self.record.definition
        left_out = {*RAISED, "pruner"} if has_old_default else set(RAISED)

        def comparable(value: Definition) -> str:
            # As JSON, because Python takes 0, 0.0 and False for the same choice.
            return json.dumps(value.model_dump(mode="json", exclude=left_out), sort_keys=True)

        present = self.present_definition
        return comparable(definition) == comparable(present) and all(
            getattr(definition, name) in (getattr(self.definition, name), getattr(present, name)) for name in RAISED
        )

    @property
    def present_definition(self) -> Definition:
        """The definition with the present number of trials and limits."""
        changed = {name: value for name in sorted(RAISED) if (value := getattr(self.record, name)) is not None}
        return self.definition.model_copy(update=changed)

    @contextmanager
    def committed_change(self) -> Iterator[None]:
        """Hold the lock for the block, whose writes are one transaction; wait for its commit after the lock is free."""
        with self.lock, self.store.deferred() as committed:
            yield
        self.store.wait(committed)

    @contextmanager
    def deferred_change(self) -> Iterator[Future[None]]:
        """Hold the lock for the block, after a `tick`. The block's writes are committed once the future is done."""
        with self.lock, self.store.deferred() as committed:
            self.tick()
            yield committed

    def tick(self) -> None:
        """Expire overdue leases, start a due round, and end the study if nothing is left to do."""
        self._tick(self)

    def tick_if_free(self) -> None:
        """Let time take effect, unless another thread works on the study, whose calls do the same.

        It waits for the commit of what was written before: nobody who reads then acts on what a crash may undo.
        """
        if self.lock.is_free:
            self.tick()

    def notify(self) -> None:
        """Wake claims that wait for trials of the study, if trials can start now."""
        self._notify(self)

    def n_startable(self) -> int:
        """How many trials can start now, as far as is known. The caller holds the lock."""
        if not self.may_start() or self.grant_fault.is_recent:
            return 0
        return self.queue.n_left(self.n_trials_now)

    def enqueue(self, params: Params, *, retry_of: int | None = None) -> int:
        """Add a trial with these parameters to the queue and return its number. The caller holds the lock.

        `retry_of` is the number of the failed trial with these parameters. Raises NothingLeftError without it.
        """
        number = self.queue.enqueue(params) if retry_of is None else self.queue.enqueue_retry(params, retry_of)
        self.events.trial_created(number, params)
        self.notify()
        return number

    def may_start(self) -> bool:
        """Whether trials may start now."""
        return not self.deleted and self.record.state == "running" and self.stop_reason() is None

    def fits_turn(self, kind: str, n_leases: int) -> bool:
        """Whether a call for this many leases, with what it may end besides, fits one turn of the event loop.

        A final evaluation and narrowing may take a long step after any of their trials.
        """
        if self.definition.narrowing is not None or self.final is not None:
            return False
        n_ending = n_leases + len(self.leases.expired())
        return self.costs.fits_turn(kind, n_ending + self._n_paused_to_end(n_ending))

    def _n_paused_to_end(self, n_ending: int) -> int:
        """How many paused trials end with the study if this many leases end: all of them, or none if it goes on."""
        if self.promotion is None:
            return 0
        may_end = len(self.leases) <= n_ending or self.end.may_end_early or self.stop_reason() is not None
        return self.promotion.n_paused if may_end else 0

    def stop_reason(self) -> str | None:
        """Why running trials should end now; None if they may go on."""
        if self.record.state == "stopped":
            return "the study was stopped"
        return self.end.early_reason(self.record, self.clock.now())

    @property
    def max_failures_in_a_row(self) -> int:
        """How many trials in a row may fail before the study is paused."""
        return self.definition.max_failures_in_a_row or max(MIN_FAILURES_IN_A_ROW, self.record.n_trials // 4)

    def note_user_attrs(self, user_attrs: Mapping[str, object]) -> None:
        """Keep what a worker tells of the data of a trial, unless the attribute is that of an objective's own code."""
        data = user_attrs.get(DATA_ATTR)
        if isinstance(data, str) and not self.definition.is_user_code:
            self.data = data

    def forget_failures(self) -> None:
        """Let the study and all its workers go on as if no trial had failed, also after a restart."""
        self.record = self.store.change_study(self.record, resumed_at=self.clock.now())
        self.failures.reset()
        self.failing_workers.reset()

    def _machine_of(self, worker_id: str) -> str:
        """The name of a worker's machine; the worker's id if it has not said on which machine it runs."""
        worker = self.store.workers.get(worker_id)
        return worker_id if worker is None else worker.host or worker_id

    def resume(self, trial_id: int) -> Resume | None:
        """The checkpoint that a trial can be resumed from, or None."""
        checkpoint = self.store.artifacts.get(trial_id, CHECKPOINT)
        if checkpoint is None or checkpoint.step is None:
            return None
        return Resume(step=checkpoint.step, artifact=checkpoint.name)

    @property
    def promotion(self) -> Promotion | None:
        """The trials that are paused at rungs; None if the study's pruner pauses none."""
        return self.queue.promotion

    @property
    def n_trials_now(self) -> int:
        """How many trials may exist now. A round's trials have all ended before those of the next round are made."""
        return self.rounds.limit(self.record.n_trials)

    def sample_from(self, round: RoundRecord) -> None:
        """Sample from a round's ranges from now on, with a new sampler that has not seen the earlier ranges."""
        close_sampler(self.study.sampler)
        self.study.sampler = self._make_sampler(self.queue.n_created)
        space, promotes = self.definition.search_space, self.definition.promotes
        self.queue.suggestions.narrow(RoundView(space, round, self.study.sampler, promotes=promotes))

    def learn_from_imports(self) -> None:
        """Show the sampler all imported trials."""
        records = self.store.imports.of_study(self.record.study_id)
        self.queue.suggestions.learn_from(frozen_trials(self.definition, records))

    def want_suggestions(self) -> None:
        """Wake the background sampler, if the study's suggestions are sampled ahead of claims."""
        if self.queue.suggestions.depth(len(self.leases)) > 0:
            self._wake()

    def rest(self) -> None:
        """Free what only a running study needs, because the study has ended. It may be extended."""
        rest_sampler(self.study.sampler)

    def close(self) -> None:
        """Mark the study as deleted and forget its open leases."""
        self.deleted = True
        close_sampler(self.study.sampler)
        for lease in self.leases:
            self.leases.remove(lease.lease_id)

    def was_deleted(self) -> bool:
        """Whether the study was deleted after it was looked up. Waits for a thread that is deleting it now."""
        with self.lock:
            return self.deleted

    def check_not_deleted(self) -> None:
        """Raises StudyNotFoundError if the study was deleted after it was looked up."""
        if self.was_deleted():
            raise StudyNotFoundError(f"no study of this name: {self.record.name}")
