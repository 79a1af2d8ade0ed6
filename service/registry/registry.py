"""All studies of a service by name: create, find and delete them."""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from pydantic import ValidationError

from service.clock import Clock
from service.errors import StateConflictError, StudyExistsError, StudyNotFoundError, TrialLeasedError
from service.events.study_events import StudyEvents
from service.imports.import_trials import BY_DEFINITION, FittingTrials, save_import, warm_start_imports
from service.registry.background_sampler import BackgroundSampler
from service.registry.creation_checks import check_new_definition, check_replaceable
from service.registry.known_workers import WorkerAllowances, WorkerLastSeen, WorkerTimes, record_of
from service.registry.waiting_claims import WaitingClaims
from service.sampling.custom.custom_samplers import CustomSamplers
from service.schemas.locations import first_error
from service.schemas.protocol import Claim
from service.schemas.study.definition import Definition
from service.study.live_study import LiveStudy
from service.study.loading import load_study
from service.study.open_leases import OpenLeases
from service.study.stalls import StallDetector
from storage import (
    DATABASE_ERRORS,
    DatabaseOwnedError,
    DatabaseUnavailableError,
    DuplicateStudyError,
    FinalRecord,
    StorageClosedError,
    StorageFailedError,
    Store,
    StudyRecord,
)

log = logging.getLogger(__name__)

NO_DATABASE = (*DATABASE_ERRORS, DatabaseUnavailableError, DatabaseOwnedError, StorageFailedError, StorageClosedError)
"""Errors after which no study can be worked on."""


class Registry:
    """The studies by name. Creating and deleting takes one lock; each study has its own lock for everything else."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        term_seconds: float,
        sampled: Callable[[str, float], None],
        tick: Callable[[LiveStudy], None],
        custom_samplers: CustomSamplers | None = None,
    ) -> None:
        """Load all studies of the store. `term_seconds` is the term of a lease.

        `custom_samplers` are those that definitions may use; none of them without it.

        `sampled` is called with the name of a sampler and the seconds that a trial's parameters took. `tick` lets time
        take effect in one study.
        """
        self.store = store
        self.clock = clock
        self.waiting_claims = WaitingClaims()
        self._term_seconds = term_seconds
        self.stalls = StallDetector(clock, term_seconds, lambda: store.writing_seconds)
        self._sampled = sampled
        self.custom_samplers = custom_samplers or CustomSamplers()
        self._tick = tick
        self._lock = threading.Lock()
        self.claim_locks = [threading.Lock() for _ in range(64)]
        self._studies: dict[str, LiveStudy] = {}
        self._by_id: dict[int, LiveStudy] = {}
        self.background_sampler = BackgroundSampler(self.every)
        self.worker_allowances = WorkerAllowances(clock)
        self.worker_last_seen = WorkerLastSeen(clock)
        self.worker_times = WorkerTimes()
        self._changed: list[LiveStudy] = []
        """Studies that were loaded or removed in the present `committed_change`."""
        self._unreadable: dict[str, tuple[StudyRecord, str]] = {}
        for record in store.studies():
            self._load_if_readable(record)

    def load(self, record: StudyRecord) -> LiveStudy:
        """Load a study from the database and add it to the registry."""
        notify, wake = self.waiting_claims.wake, self.background_sampler.wake
        leases = OpenLeases(self.clock, self._term_seconds, self.stalls.listening_since)
        live = load_study(
            self.store, self.clock, record, leases, notify, wake, self._sampled, self._tick, self.custom_samplers
        )
        self._studies[record.name] = self._by_id[record.study_id] = live
        self._changed.append(live)
        return live

    def _load_if_readable(self, record: StudyRecord) -> None:
        """Load a study. One that cannot be loaded must not keep the service from serving the others."""
        try:
            self.load(record)
        except NO_DATABASE:
            raise
        except Exception as error:
            log.exception("study %s cannot be loaded; it can be deleted", record.name)
            reason = first_error(error) if isinstance(error, ValidationError) else str(error)
            self._unreadable[record.name] = (record, reason)

    def every(self) -> list[LiveStudy]:
        """All studies, oldest first."""
        return list(self._studies.values())

    def get(self, name: str) -> LiveStudy:
        """Return the study of this name. Raises StudyNotFoundError, and StateConflictError if it cannot be loaded."""
        live = self._studies.get(name)
        if live is None and name in self._unreadable:
            raise StateConflictError(f"study {name} cannot be loaded: {self._unreadable[name][1]}")
        if live is None:
            raise StudyNotFoundError(f"no study of this name: {name}")
        return live

    def find(self, name: str) -> LiveStudy | None:
        """Return the study of this name, or None."""
        return self._studies.get(name)

    def by_id(self, study_id: int) -> LiveStudy | None:
        """Return the study of this ID, or None."""
        return self._by_id.get(study_id)

    @contextmanager
    def committed_change(self) -> Iterator[None]:
        """Lock the list of studies for the block. The block's writes are one transaction; wait for its commit.

        Claims that wait for a study that was loaded or removed in the block are woken.
        """
        with self._lock:
            self._changed.clear()
            with self.store.deferred() as committed:
                yield
            changed, self._changed = self._changed, []
        self.store.wait(committed)
        for live in changed:
            if live.deleted:
                self.waiting_claims.wake_for(live.record.name)
            else:
                live.notify()

    def create(self, definition: Definition, *, replace: bool = False) -> tuple[LiveStudy, bool]:
        """Create a study; return it with True, or with False if the same definition has created it before.

        With `replace`, a study of this name with another definition is deleted if it has no complete trial; its open
        leases are lost. Raises InvalidError, StudyExistsError for another definition of the same name, and
        StateConflictError for a study that may not be replaced.
        """
        if self._same(definition, replace) is None:
            check_new_definition(definition, self.custom_samplers)
        with self.committed_change():
            same = self._same(definition, replace)
            if same is not None:
                return same, False
            existing = self._studies.get(definition.name)
            imports = warm_start_imports(definition, self.get)  # reads the database, so the lock follows
            if existing is not None:
                with existing.lock:
                    check_replaceable(existing)
                    self._remove(existing)
            return self._create(definition, imports), True

    def _same(self, definition: Definition, replace: bool) -> LiveStudy | None:
        """The study that the same definition has created, or None.

        Raises StudyExistsError for another study of its name, unless that is to be replaced.
        """
        existing = self._studies.get(definition.name)
        if existing is None or existing.is_defined_by(definition):
            return existing
        if not replace:
            raise StudyExistsError(f"a study of this name exists with another definition: {definition.name}")
        return None

    def _create(self, definition: Definition, imports: Sequence[FittingTrials]) -> LiveStudy:
        try:
            record = self.write_study(definition)
        except DuplicateStudyError as error:
            raise StudyExistsError(str(error)) from error
        for trials in imports:
            save_import(self.store, record.study_id, trials, self.clock.now(), BY_DEFINITION)
        return self.load(record)

    def write_study(self, definition: Definition) -> StudyRecord:
        """Write a new study to the database; `load` then adds it to the registry. Raises DuplicateStudyError.

        The caller holds `committed_change`.
        """
        record = self.store.create_study(
            definition.name,
            definition.model_dump(mode="json", exclude_unset=True),
            definition.n_trials,
            [objective.direction for objective in definition.objectives],
            self.clock.now(),
        )
        StudyEvents(self.store, self.clock, record.name).study_created(record.n_trials)
        return record

    def delete(self, name: str, *, leased: bool = True) -> None:
        """Delete a study with its trials and its final evaluations. Its open leases are lost.

        Raises StudyNotFoundError, StateConflictError for a study that holds the trials of a final evaluation, and, if
        `leased` is False, TrialLeasedError for a study with open leases.
        """
        with self.committed_change(), ExitStack() as held:
            if name in self._unreadable:
                self.store.delete_study(self._unreadable.pop(name)[0])
                StudyEvents(self.store, self.clock, name).study_deleted()
                return
            live = self.get(name)
            if live.final is not None:
                original = self.store.study(live.final.study_id).name
                raise StateConflictError(f"study {name} is a final evaluation: it is deleted with study {original}")
            studies = [live, *self.linked_to(live)]
            for study in studies:
                held.enter_context(study.lock)
            n_leases = sum(len(study.leases) for study in studies)
            if n_leases > 0 and not leased:
                raise TrialLeasedError(f"study {name} has trials with workers ({n_leases}): stop it first")
            for study in reversed(studies):
                self._remove(study)

    def linked(self, final: FinalRecord) -> LiveStudy | None:
        """The study that holds the trials of a final evaluation; None while the evaluation is being created."""
        return self._by_id.get(final.linked_study_id)

    def linked_to(self, live: LiveStudy) -> list[LiveStudy]:
        """The studies that hold the trials of this study's final evaluations, oldest first."""
        finals = self.store.finals.of_study(live.record.study_id)
        return [linked for final in finals if (linked := self.linked(final)) is not None]

    def _remove(self, live: LiveStudy) -> None:
        self.store.delete_study(live.record)
        live.events.study_deleted()
        live.close()
        self._changed.append(live)
        del self._studies[live.record.name]
        del self._by_id[live.record.study_id]

    def note_worker(self, claim: Claim) -> None:
        """Write that a worker has claimed, for a claim that gets no lease. Does not wait for the commit."""
        with self.store.deferred():
            self.store.workers.put(record_of(claim.worker, self.clock.now()))

    def note_left_out(self, claim: Claim) -> None:
        """Note in each study that a claim leaves out that its worker cannot train it for now."""
        for name in claim.except_studies:
            live = self._studies.get(name)
            if live is not None:
                live.failing_workers.note_left_out(claim.worker.id, self.clock.now())

    def waits_for(self, live: LiveStudy) -> str | None:
        """Why no trial of a running study can start or be trained, in words; None if nothing is known to be wrong."""
        if live.record.state != "running":
            return None
        if live.grant_fault.text is not None:
            return f"no trial can be made: {live.grant_fault.text}"
        stopped = live.failures.text(live.record.name) if len(live.leases) == 0 else None
        return self._missing_allowance(live) or stopped or live.failing_workers.text(live.leases)

    def _missing_allowance(self, live: LiveStudy) -> str | None:
        """The text that says what no worker allows; None unless a study waits for that reason."""
        if live.needs.is_empty or len(live.leases) > 0:
            return None
        busy = {lease.worker_id for other in self.every() for lease in other.leases}
        if live.queue.is_empty(live.n_trials_now) or self.worker_allowances.is_any_allowing(live.needs, busy):
            return None
        return f"no worker allows {live.needs.text()}: start one with {live.needs.flags()}"

    def tick(self) -> None:
        """Let time take effect in every study, except those that another thread works on, whose calls do the same."""
        self.for_each(LiveStudy.tick_if_free)
        self.for_each(self.waiting_claims.wake_one)

    def for_each(self, do: Callable[[LiveStudy], None]) -> None:
        """Call `do` with every study. An error in one study is logged and does not keep `do` from the others.

        Raises the errors of NO_DATABASE.
        """
        for live in self.every():
            try:
                do(live)
            except NO_DATABASE:
                raise
            except Exception:
                log.exception("study %s could not be brought up to date; the next tick tries again", live.record.name)
