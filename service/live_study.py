"""One study at work: claims in, reports and ends in, decisions out. Every call is safe to repeat."""

import math
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager

from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from service.clock import Clock
from service.errors import (
    BudgetExhaustedError,
    InvalidError,
    ReportConflictError,
    StateConflictError,
    StudyNotFoundError,
)
from service.lease_book import LeaseBook
from service.schemas.artifacts import CHECKPOINT
from service.schemas.checks import params_errors
from service.schemas.definition import Definition, Params
from service.schemas.protocol import Claim, Lease, Resume
from service.schemas.resolve import fixed_fields, resolve
from service.schemas.training import Training
from service.study_end import StudyEnd
from service.study_news import StudyNews
from service.suggest import should_prune, trial_seed
from service.trial_queue import PreparedTrial, TrialQueue
from storage import EpochRecord, LeaseRecord, Outcome, ResultRecord, Store, StudyRecord, WorkerRecord

Metrics = dict[str, float]


class LiveStudy:
    """A study, its open leases and its queue of trials, behind one lock."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        record: StudyRecord,
        definition: Definition,
        study: Study,
        queue: TrialQueue,
        leases: LeaseBook,
        notify: Callable[[], None],
        wake: Callable[[], None],
    ) -> None:
        self.record = record
        self.definition = definition
        self.study = study
        self.leases = leases
        self.lock = threading.RLock()
        self.deleted = False
        self._store = store
        self._clock = clock
        self._queue = queue
        self.notify = notify
        self._wake = wake
        self._fixed = fixed_fields(definition.training)
        self.end = StudyEnd(definition)
        self.news = StudyNews(store, clock, record.name)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Hold the lock while memory changes, and wait for the commit without it. All of it is one transaction."""
        with self.lock, self._store.deferred() as committed:
            yield
        self._store.wait(committed)

    @contextmanager
    def changing(self) -> Iterator[Future[None]]:
        """As `working`, after what time has brought; who waits for the commit is the caller, by the future."""
        with self.lock, self._store.deferred() as committed:
            self.tick()
            yield committed

    # Claims

    def claim(self, claim: Claim, n_trials: int) -> tuple[list[Lease], Future[None]]:
        """Grant up to so many trials. Their leases are in the database once the future is done."""
        while True:
            with self.changing() as committed:
                may_start = self._may_start()
                lacking, n_new = self._to_sample(n_trials) if may_start else ([], 0)
                leases = self._granted(claim, n_trials) if may_start and not (lacking or n_new) else []
            if not (lacking or n_new):
                self._want_suggestions()
                return leases, committed
            self._sample(lacking, n_new)

    @property
    def has_quick_sampler(self) -> bool:
        """Whether its sampler takes no more time than the rest of a claim."""
        return self._queue.suggestions.is_quick

    def _may_start(self) -> bool:
        return not self.deleted and self.record.state == "running" and self.stop_reason() is None

    def _to_sample(self, n_trials: int) -> tuple[list[FrozenTrial], int]:
        return self._queue.to_sample(n_trials, self.record.n_trials, len(self.leases))

    def _sample(self, lacking: Sequence[FrozenTrial], n_new: int) -> None:
        """Ask the sampler, while others work on the study."""
        try:
            for trial in lacking:
                self._queue.suggestions.sample_rest(trial)
            self._queue.suggestions.sample_new(n_new)
        except KeyError:
            if not self.deleted:  # else the study has gone meanwhile
                raise

    def _want_suggestions(self) -> None:
        """Say that new suggestions may be wanted, when they are worth making ahead."""
        if self._queue.suggestions.depth(len(self.leases)) > 0:
            self._wake()

    def wants_suggestions(self) -> bool:
        """Whether something should be sampled ahead of the next claims."""
        with self.lock:
            return self._n_ahead() > 0

    def _n_ahead(self) -> int:
        """How many suggestions should be ready; 0 when enough are."""
        if not self._may_start():
            return 0
        n_running = len(self.leases)
        n_new = min(self._queue.suggestions.depth(n_running), self._queue.n_new(self.record.n_trials))
        return n_new if self._queue.suggestions.n_ready(n_running) < n_new else 0

    def prepare(self) -> bool:
        """Sample one suggestion ahead of the next claims; whether there was one to sample."""
        with self.lock:
            n_ahead = self._n_ahead()
            n_ready = self._queue.suggestions.n_ready(len(self.leases))
        if n_ahead > 0:
            self._sample([], min(n_ahead, n_ready + 1))
        return n_ahead > 0

    def _granted(self, claim: Claim, n_trials: int) -> list[Lease]:
        taken: list[PreparedTrial] = []
        try:
            while len(taken) < n_trials and (trial := self._next_trial()) is not None:
                taken.append(trial)
            records = [self._lease_record(trial, claim) for trial in taken]
            if records:
                self._grant(records, claim)
        except BaseException:
            for trial in reversed(taken):
                self._queue.put_back(trial.trial_id)
            raise
        granted = list(zip(records, taken, strict=True))
        for record, trial in granted:
            self.news.trial_started(record, trial.params)
        return [self.lease(record, trial.params) for record, trial in granted]

    def _next_trial(self) -> PreparedTrial | None:
        n_known = self._queue.n_created
        trial = self._queue.next(self.record.n_trials)
        for number in range(n_known, self._queue.n_created):
            self.news.trial_created(number)
        return trial

    def _grant(self, records: Sequence[LeaseRecord], claim: Claim) -> None:
        now = self._clock.now()
        worker = WorkerRecord(claim.worker.id, claim.worker.host, claim.worker.device, claim.worker.n_lanes, now, now)
        if self.record.started_at is None:
            self.record = self._store.change_study(self.record, started_at=now)
        self._store.grant(records, worker)
        for record in records:
            self.leases.add(record)

    def _lease_record(self, trial: PreparedTrial, claim: Claim) -> LeaseRecord:
        return LeaseRecord(
            lease_id=secrets.token_hex(16),
            study_id=self.record.study_id,
            trial_id=trial.trial_id,
            trial_number=trial.number,
            attempt=1 + self._n_attempts(trial.trial_id),
            claim_id=claim.claim_id,
            worker_id=claim.worker.id,
            granted_at=self._clock.now(),
        )

    def _n_attempts(self, trial_id: int) -> int:
        """How many attempts at a trial have ended; a release does not count."""
        earlier = self._store.leases_of_trials([trial_id])
        return sum(lease.outcome in ("expire", "fail") for lease in earlier)

    def lease(self, record: LeaseRecord, params: Params) -> Lease:
        """An open lease as the worker sees it."""
        return Lease(
            lease_id=record.lease_id,
            study=self.record.name,
            trial_number=record.trial_number,
            attempt=record.attempt,
            params=params,
            training=Training.model_validate(resolve(self._fixed, params)),
            seed=trial_seed(self.definition.training.seed, record.trial_number),
            resume=self._resume(record.trial_id),
            expires_in_seconds=self.leases.remaining_seconds(record.lease_id),
        )

    def _resume(self, trial_id: int) -> Resume | None:
        """Where a trial goes on: its checkpoint, as long as it has one."""
        checkpoint = self._store.artifacts.get(trial_id, CHECKPOINT)
        if checkpoint is None or checkpoint.step is None:
            return None
        return Resume(step=checkpoint.step, artifact=checkpoint.name)

    # Reports

    def check_report(self, lease: LeaseRecord, step: int, metrics: Mapping[str, float]) -> None:
        """Raises ReportConflictError when the step was reported with other metrics under this lease, if it is alive."""
        known = self._known_epoch(lease, step)
        if known is not None and not same_metrics(known.metrics, metrics):
            raise ReportConflictError(f"step {step} of lease {lease.lease_id} was reported with other metrics")

    def report(self, lease: LeaseRecord, step: int, metrics: Metrics) -> tuple[str, Future[None]]:
        """Keep the metrics of an epoch, and decide whether the trial goes on; true once the future is done.

        The caller holds the lock and has let time take effect.
        """
        with self._store.deferred() as committed:
            return self._report(lease, step, metrics), committed

    def _report(self, lease: LeaseRecord, step: int, metrics: Metrics) -> str:
        is_open = self.leases.get(lease.lease_id) is not None
        if is_open:
            self.leases.renew(lease.lease_id)
        known = self._known_epoch(lease, step)
        if known is not None:
            return known.decision
        if not is_open:
            return self._closed_decision(lease.lease_id)
        decision = self._decide(lease, step, metrics)
        epoch = EpochRecord(lease.trial_id, step, lease.study_id, lease.lease_id, metrics, decision)
        self._store.add_epoch(epoch)
        self.leases.add_epoch(epoch)
        self.news.trial_reported(lease, step, metrics)
        if decision == "prune":
            self._finish(lease, "prune", TrialState.PRUNED)
        elif decision == "stop":
            self._finish(lease, "stop", TrialState.FAIL, reason=f"stopped: {self.stop_reason()}")
        return decision

    def _known_epoch(self, lease: LeaseRecord, step: int) -> EpochRecord | None:
        """What was reported at a step under this very lease."""
        if self.leases.get(lease.lease_id) is not None:
            return self.leases.epoch(lease.lease_id, step)
        closed = self._store.lease(lease.lease_id)
        if closed is None or closed.outcome == "expire" or closed.state == TrialState.WAITING.name:
            return None  # what it reported may live on with the trial, but no longer under this lease
        known = self._store.epoch(lease.trial_id, step)
        return known if known is not None and known.lease_id == lease.lease_id else None

    def _closed_decision(self, lease_id: str) -> str:
        closed = self._store.lease(lease_id)
        return closed.outcome if closed is not None and closed.outcome in ("prune", "stop") else "lost"

    def _decide(self, lease: LeaseRecord, step: int, metrics: Metrics) -> str:
        objective = self.definition.objectives[0].metric
        if len(self.definition.objectives) == 1 and objective in metrics:
            self._store.optuna.set_trial_intermediate_value(lease.trial_id, step, metrics[objective])
        if self.stop_reason() is not None:
            return "stop"
        if self.definition.pruner.name == "none" or objective not in metrics:
            return "continue"
        trial = self._store.optuna.get_trial(lease.trial_id)
        return "prune" if should_prune(self.study, trial) else "continue"

    def renew(self, lease_id: str) -> tuple[float, Future[None]]:
        """Give a lease a fresh term, and answer its seconds; 0 when it is lost."""
        with self.changing() as committed:
            if self.leases.get(lease_id) is None:
                return 0.0, committed
            self.leases.renew(lease_id)
            return self.leases.remaining_seconds(lease_id), committed

    # Ends

    def complete(self, lease: LeaseRecord, metrics: Metrics, values: Sequence[float] | None) -> str:
        """End a trial with its objective values. Raises InvalidError when they are missing."""
        values = list(values) if values is not None else self._values_from(lease, metrics)
        if len(values) != len(self.definition.objectives):
            raise InvalidError([("values", f"values must have one number for each objective: {len(values)} given")])
        for objective, value in zip(self.definition.objectives, values, strict=True):
            if math.isnan(value):
                reason = f"{objective.metric} is nan"
                return self._finish(lease, "complete", TrialState.FAIL, metrics=metrics, reason=reason)
        return self._finish(lease, "complete", TrialState.COMPLETE, metrics=metrics, values=values)

    def _values_from(self, lease: LeaseRecord, metrics: Metrics) -> list[float]:
        last = self.leases.last_epoch(lease.lease_id)
        if last is None:  # reported under an earlier lease, if at all
            last = next(iter(self._store.last_epochs([lease.trial_id])), None)
        known = {**(last.metrics if last is not None else {}), **metrics}
        missing = [objective.metric for objective in self.definition.objectives if objective.metric not in known]
        if missing:
            raise InvalidError(
                [(f"metrics.{metric}", "an objective must be in metrics or reported before") for metric in missing]
            )
        return [known[objective.metric] for objective in self.definition.objectives]

    def fail(self, lease: LeaseRecord, reason: str, retry: bool) -> str:
        """End an attempt: the trial is tried again if that may help and attempts are left."""
        if retry and lease.attempt < self.definition.max_attempts and self.stop_reason() is None:
            return self._requeue(lease, "fail", reason)
        reasons = self._all_reasons(lease, reason) if retry and lease.attempt > 1 else reason
        return self._finish(lease, "fail", TrialState.FAIL, reason=reasons, lease_reason=reason)

    def release(self, lease: LeaseRecord) -> str:
        """Take a trial back untouched: it does not count as an attempt."""
        return self._requeue(lease, "release", None)

    def _expire(self, lease: LeaseRecord) -> None:
        reason = f"worker {lease.worker_id} was not heard of for {self.leases.term_seconds:g} s"
        self.news.lease_expired(lease, reason)
        if self.stop_reason() is not None:
            self._finish(lease, "expire", TrialState.FAIL, reason=f"{reason}; {self.stop_reason()}")
        elif lease.attempt < self.definition.max_attempts:
            self._requeue(lease, "expire", reason)
        else:
            reasons = self._all_reasons(lease, reason)
            self._finish(lease, "expire", TrialState.FAIL, reason=reasons, lease_reason=reason)

    def _all_reasons(self, lease: LeaseRecord, reason: str) -> str:
        """Why each attempt at a trial has ended, this last one included."""
        earlier = self._store.leases_of_trials([lease.trial_id])
        reasons = [f"attempt {past.attempt}: {past.reason}" for past in earlier if past.reason]
        return "; ".join([*reasons, f"attempt {lease.attempt}: {reason}"])

    def _requeue(self, lease: LeaseRecord, outcome: Outcome, reason: str | None) -> str:
        resume = self._resume(lease.trial_id)
        after_step = None if resume is None else resume.step
        self._store.requeue(lease, outcome, reason, self._clock.now(), after_step=after_step)
        self.leases.remove(lease.lease_id)
        self._queue.retry(lease.trial_id)
        self.news.trial_requeued(lease, outcome, reason, after_step)
        self.notify()
        return "WAITING"

    def _finish(
        self,
        lease: LeaseRecord,
        outcome: Outcome,
        state: TrialState,
        *,
        metrics: Metrics | None = None,
        values: list[float] | None = None,
        reason: str | None = None,
        lease_reason: str | None = None,
    ) -> str:
        result = ResultRecord(lease.trial_id, lease.study_id, state.name, values, metrics or {}, reason)
        self._store.finish(lease, outcome, result, self._clock.now(), reason=lease_reason)
        self._store.artifacts.remove(lease.trial_id, CHECKPOINT)
        self.leases.remove(lease.lease_id)
        self.study.tell(lease.trial_number, values, state=state, skip_if_finished=True)
        self.news.trial_ended(lease, state, metrics, values, reason)
        if values is not None:
            self.end.completed(lease.trial_number, values)
        self.tick()
        self.notify()
        self._want_suggestions()
        return state.name

    # The study itself

    def tick(self) -> None:
        """Let time and results take effect: expired leases, and the end of the study."""
        with self.working():
            for lease in self.leases.expired():
                if self.leases.get(lease.lease_id) is not None:  # an end ticks too, and may have expired it
                    self._expire(lease)
            if self.deleted or self.record.state != "running" or len(self.leases) > 0:
                return
            reason = self.stop_reason() or self.end.when_done(self._queue, self.record)
            if reason is not None:
                self.record = self._store.change_study(
                    self.record, state="finished", finished_at=self._clock.now(), finished_reason=reason
                )
                self.news.study_finished(reason)
                self.notify()

    def stop_reason(self) -> str | None:
        """Why running trials should end now, or None."""
        if self.record.state == "stopped":
            return "the study was stopped"
        return self.end.early(self.record, self._clock.now())

    def close(self) -> None:
        """Forget the open leases of a study that is deleted, and take part in nothing any more."""
        self.deleted = True
        for lease in self.leases:
            self.leases.remove(lease.lease_id)

    def enqueue(self, params: Params) -> int:
        """Add a configuration to try next, and answer its trial number."""
        with self.working():
            self.tick()
            self.check_not_deleted()
            errors = [(f"params.{name}", text) for name, text in params_errors(self.definition.search_space, params)]
            if errors:
                raise InvalidError(errors)
            if self._queue.n_created >= self.record.n_trials:
                raise BudgetExhaustedError(
                    f"all {self.record.n_trials} trials of study {self.record.name} exist: extend n_trials first"
                )
            if self.record.state == "finished":
                raise StateConflictError(
                    f"study {self.record.name} has ended, more trials would not run: {self.record.finished_reason}"
                )
            number = self._queue.enqueue(params)
            self.news.trial_created(number, params)
            self.notify()
            return number

    def check_not_deleted(self) -> None:
        """Raises StudyNotFoundError when the study was deleted since it was looked up."""
        if self.deleted:
            raise StudyNotFoundError(f"no study of this name: {self.record.name}")


def same_metrics(left: Mapping[str, float], right: Mapping[str, float]) -> bool:
    """Equality of metrics in which nan is nan."""
    return left.keys() == right.keys() and all(
        left[name] == right[name] or (math.isnan(left[name]) and math.isnan(right[name])) for name in left
    )
