"""One study at work: claims in, reports and ends in, decisions out. Every call is safe to repeat."""

import math
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager

from optuna import Study
from optuna.trial import TrialState

from service.clock import Clock
from service.errors import (
    BudgetExhaustedError,
    InvalidError,
    ReportConflictError,
    StateConflictError,
    StudyNotFoundError,
)
from service.lease_book import LeaseBook
from service.schemas.checks import params_errors
from service.schemas.definition import Definition, Params
from service.schemas.protocol import Claim, Lease
from service.schemas.resolve import fixed_fields, resolve
from service.schemas.training import Training
from service.study_end import StudyEnd
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
        self._fixed = fixed_fields(definition.training)
        self.end = StudyEnd(definition)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Hold the lock while memory changes, and wait for the commit without it. All of it is one transaction."""
        with self.lock, self._store.deferred() as committed:
            yield
        self._store.wait(committed)

    # Claims

    def claim(self, claim: Claim, n_trials: int) -> list[Lease]:
        """Grant up to so many trials. Their leases are in the database when this returns."""
        with self.working():
            self.tick()
            if self.deleted or self.record.state != "running" or self.stop_reason() is not None:
                return []
            taken: list[PreparedTrial] = []
            try:
                while len(taken) < n_trials and (trial := self._queue.next(self.record.n_trials)) is not None:
                    taken.append(trial)
                records = [self._lease_record(trial, claim) for trial in taken]
                if records:
                    self._grant(records, claim)
            except BaseException:
                for trial in reversed(taken):
                    self._queue.put_back(trial.trial_id)
                raise
            return [self.lease(record, trial.params) for record, trial in zip(records, taken, strict=True)]

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
            resume=None,
            expires_in_seconds=self.leases.remaining_seconds(record.lease_id),
        )

    # Reports

    def check_report(self, lease: LeaseRecord, step: int, metrics: Mapping[str, float]) -> None:
        """Raises ReportConflictError when the step was reported with other metrics."""
        known = self._known_epoch(lease, step)
        if known is not None and not same_metrics(known.metrics, metrics):
            raise ReportConflictError(f"step {step} of lease {lease.lease_id} was reported with other metrics")

    def report(self, lease: LeaseRecord, step: int, metrics: Metrics) -> tuple[str, Future[None]]:
        """Keep the metrics of an epoch, and decide whether the trial goes on; true once the future is done."""
        with self.lock, self._store.deferred() as committed:
            return self._report(lease, step, metrics), committed

    def _report(self, lease: LeaseRecord, step: int, metrics: Metrics) -> str:
        self.tick()
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
        if decision == "prune":
            self._finish(lease, "prune", TrialState.PRUNED)
        elif decision == "stop":
            self._finish(lease, "stop", TrialState.FAIL, reason=f"stopped: {self.stop_reason()}")
        return decision

    def _known_epoch(self, lease: LeaseRecord, step: int) -> EpochRecord | None:
        """What was reported at a step under this very lease."""
        if self.leases.get(lease.lease_id) is not None:
            return self.leases.epoch(lease.lease_id, step)
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

    def renew(self, lease_id: str) -> float:
        """Give a lease a fresh term, and answer its seconds; 0 when it is lost."""
        with self.working():
            self.tick()
            if self.leases.get(lease_id) is None:
                return 0.0
            self.leases.renew(lease_id)
            return self.leases.remaining_seconds(lease_id)

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
        last = {epoch.trial_id: epoch.metrics for epoch in self._store.last_epochs([lease.trial_id])}
        known = {**last.get(lease.trial_id, {}), **metrics}
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
        return self._finish(lease, "fail", TrialState.FAIL, reason=reason)

    def release(self, lease: LeaseRecord) -> str:
        """Take a trial back untouched: it does not count as an attempt."""
        return self._requeue(lease, "release", None)

    def _expire(self, lease: LeaseRecord) -> None:
        reason = f"worker {lease.worker_id} was not heard of for {self.leases.term_seconds:g} s"
        if self.stop_reason() is not None:
            self._finish(lease, "expire", TrialState.FAIL, reason=f"{reason}; {self.stop_reason()}")
        elif lease.attempt < self.definition.max_attempts:
            self._requeue(lease, "expire", reason)
        else:
            earlier = self._store.leases_of_trials([lease.trial_id])
            reasons = [f"attempt {past.attempt}: {past.reason}" for past in earlier if past.reason]
            reasons.append(f"attempt {lease.attempt}: {reason}")
            self._finish(lease, "expire", TrialState.FAIL, reason="; ".join(reasons))

    def _requeue(self, lease: LeaseRecord, outcome: Outcome, reason: str | None) -> str:
        self._store.requeue(lease, outcome, reason, self._clock.now(), clear=True)
        self.leases.remove(lease.lease_id)
        self._queue.retry(lease.trial_id)
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
    ) -> str:
        result = ResultRecord(lease.trial_id, lease.study_id, state.name, values, metrics or {}, reason)
        self._store.finish(lease, outcome, result, self._clock.now())
        self.leases.remove(lease.lease_id)
        self.study.tell(lease.trial_number, values, state=state, skip_if_finished=True)
        if values is not None:
            self.end.completed(lease.trial_number, values)
        self.tick()
        self.notify()
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
