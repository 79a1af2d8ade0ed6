"""All studies of a service, and the calls that span them."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from service.clock import Clock
from service.errors import (
    InvalidError,
    StateConflictError,
    StudyExistsError,
    StudyNotFoundError,
    TrialLeasedError,
)
from service.events.study_events import StudyEvents
from service.events.work_signal import WorkSignal
from service.imports.take import BY_DEFINITION, keep, warm_start
from service.registry.known_workers import WorkerEntrypoints, WorkerLastSeen
from service.registry.preparation import Preparation
from service.sampling.configurations import first_configurations
from service.sampling.samplers import missing_package
from service.schemas.final import RESERVED
from service.schemas.protocol import Claim
from service.schemas.study.definition import Definition
from service.study.live_study import LiveStudy
from service.study.loading import load_study
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
    WorkerRecord,
)

log = logging.getLogger(__name__)

NO_DATABASE = (*DATABASE_ERRORS, DatabaseUnavailableError, DatabaseOwnedError, StorageFailedError, StorageClosedError)
"""No study can be worked on."""


class Registry:
    """Studies by name. Studies are made and deleted under one lock, and work under locks of their own."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        term_seconds: float,
        signal: WorkSignal,
        sampled: Callable[[str, float], None],
        tick: Callable[[LiveStudy], None],
    ) -> None:
        """`sampled` is told the name of a sampler and the seconds that a trial's parameters took.

        `tick` lets time take effect in one study.
        """
        self.store = store
        self.clock = clock
        self.signal = signal
        self._term_seconds = term_seconds
        self._sampled = sampled
        self._tick = tick
        self._lock = threading.Lock()
        self.claim_locks = [threading.Lock() for _ in range(64)]
        self._studies: dict[str, LiveStudy] = {}
        self._by_id: dict[int, LiveStudy] = {}
        self.preparation = Preparation(self.every)
        self.allowances = WorkerEntrypoints(clock)
        self.sightings = WorkerLastSeen(clock)
        for record in store.studies():
            self.load(record)

    def load(self, record: StudyRecord) -> LiveStudy:
        """Bring a study to life that is in the database."""
        notify, wake = self.signal.notify, self.preparation.wake
        live = load_study(self.store, self.clock, record, self._term_seconds, notify, wake, self._sampled, self._tick)
        self._studies[record.name] = self._by_id[record.study_id] = live
        return live

    def every(self) -> list[LiveStudy]:
        """All studies, oldest first."""
        return list(self._studies.values())

    def get(self, name: str) -> LiveStudy:
        """Raises StudyNotFoundError."""
        live = self._studies.get(name)
        if live is None:
            raise StudyNotFoundError(f"no study of this name: {name}")
        return live

    def find(self, name: str) -> LiveStudy | None:
        """The study of that name, or None."""
        return self._studies.get(name)

    def by_id(self, study_id: int) -> LiveStudy | None:
        return self._by_id.get(study_id)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the list of studies; what the block writes is one transaction, and committed when it is left."""
        with self._lock, self.store.deferred() as committed:
            yield
        self.store.wait(committed)
        self.signal.notify()

    def create(self, definition: Definition) -> tuple[LiveStudy, bool]:
        """Make a study, or find the same one; True when it is new. Raises StudyExistsError and InvalidError."""
        with self.changing():
            existing = self._studies.get(definition.name)
            if existing is not None and not existing.is_defined_by(definition):
                raise StudyExistsError(f"a study of this name exists with another definition: {definition.name}")
            live = existing or self._create(definition)
        return live, existing is None

    def _create(self, definition: Definition) -> LiveStudy:
        check_name(definition.name)
        package = missing_package(definition)
        if package is not None:
            raise InvalidError(
                [("sampler", f"sampler {definition.sampler.name} needs {package} on the service's machine")]
            )
        first_configurations(definition)  # or there is no study
        taken = warm_start(definition, self.get)
        try:
            record = self.add(definition)
        except DuplicateStudyError as error:
            raise StudyExistsError(str(error)) from error
        for one in taken:
            keep(self.store, record.study_id, one, self.clock.now(), BY_DEFINITION)
        return self.load(record)

    def add(self, definition: Definition) -> StudyRecord:
        """Write a new study down. The caller is changing the list. Raises DuplicateStudyError."""
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
        """Delete a study with its trials and its final evaluations; its open leases are lost.

        Raises StudyNotFoundError, StateConflictError for a study that is part of a final evaluation, and
        TrialLeasedError when there are leases and it must not be `leased`.
        """
        with self.changing(), ExitStack() as held:
            live = self.get(name)
            if live.final is not None:
                original = self.store.study(live.final.study_id).name
                raise StateConflictError(f"study {name} is a final evaluation: it is deleted with study {original}")
            studies = [live, *self.linked_to(live)]
            for each in studies:
                held.enter_context(each.lock)
            n_leases = sum(len(each.leases) for each in studies)
            if n_leases > 0 and not leased:
                raise TrialLeasedError(f"study {name} has trials with workers ({n_leases}): stop it first")
            for each in reversed(studies):
                self._remove(each)

    def linked(self, final: FinalRecord) -> LiveStudy | None:
        """The study that holds the trials of a final evaluation; None while that is only about to begin."""
        return self._by_id.get(final.linked_study_id)

    def linked_to(self, live: LiveStudy) -> list[LiveStudy]:
        """The studies of all its final evaluations, oldest first."""
        finals = self.store.finals.of_study(live.record.study_id)
        return [linked for final in finals if (linked := self.linked(final)) is not None]

    def _remove(self, live: LiveStudy) -> None:
        self.store.delete_study(live.record)
        live.news.study_deleted()
        live.close()
        del self._studies[live.record.name]
        del self._by_id[live.record.study_id]

    def seen(self, claim: Claim) -> None:
        """Note that a worker asked, even if there was no work for it. Nobody waits for this to be committed."""
        now = self.clock.now()
        worker = claim.worker
        with self.store.deferred():
            self.store.workers.put(WorkerRecord(worker.id, worker.host, worker.device, worker.n_lanes, now, now))

    def waits_for(self, live: LiveStudy) -> str | None:
        """Why no trial of a study begins, when no worker allows its entrypoint."""
        entrypoints = live.definition.entrypoints
        if not entrypoints or live.record.state != "running" or len(live.leases) > 0:
            return None
        busy = {lease.worker_id for other in self.every() for lease in other.leases}
        if live.queue.is_empty(live.n_trials_now) or self.allowances.has(entrypoints, busy):
            return None
        flags = " ".join(dict.fromkeys(f"--allow {one.partition(':')[0].partition('.')[0]}" for one in entrypoints))
        return f"no worker allows {' and '.join(entrypoints)}: start one with {flags}"

    def tick(self) -> None:
        """Let time take effect in every study."""
        self.for_each(LiveStudy.tick)

    def for_each(self, do: Callable[[LiveStudy], None]) -> None:
        """Do something with every study; one with which it fails holds up no other, and the log says so.

        Raises what the database raises.
        """
        for live in self.every():
            try:
                do(live)
            except NO_DATABASE:
                raise
            except Exception:
                log.exception("study %s: what is due now failed; the next tick tries again", live.record.name)


def check_name(name: str) -> None:
    """Raises InvalidError for a name that a user's study may not have."""
    if RESERVED.search(name):
        raise InvalidError([("name", f"name must not end as those of final evaluations do: {name!r}")])
