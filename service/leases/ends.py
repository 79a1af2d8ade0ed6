"""The five ways in which a worker ends a lease. `lease_operations.end_lease` says when their methods are called."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from service.errors import InvalidError, LeaseClosedError, StateConflictError
from service.finals.trials import check_test_metrics, record_test_score
from service.leases.trial_ends import all_reasons, finish_trial, may_be_retried, reached_rung, requeue_trial
from service.leases.trial_results import (
    Metrics,
    completed_result,
    failed_result,
    interrupted_result,
    last_metrics,
    pruned_result,
    same_metrics,
)
from service.sampling.failures import mark_own_failure
from service.study.live_study import LiveStudy
from storage import LeaseRecord, Outcome, ResultRecord, TrialStateName


@dataclass(frozen=True)
class EndedTrial:
    """What is known of a trial whose lease has ended: its result, if it has one, and the metrics of its last report."""

    lease: LeaseRecord
    result: ResultRecord | None
    last_metrics: Metrics


def read_ended_trial(live: LiveStudy, lease: LeaseRecord) -> EndedTrial:
    """Read the trial of a lease that has ended from the database."""
    result = next(iter(live.store.results([lease.trial_id])), None)
    last = next(iter(live.store.last_epochs([lease.trial_id])), None)
    return EndedTrial(lease, result, {} if last is None else last.metrics)


class LeaseEnd(ABC):
    """One way to end a lease. All methods but `check` are called with the study locked, after its `tick`."""

    answered_after: ClassVar[tuple[Outcome, ...]]
    """A lease that has ended by one of these outcomes is answered with its trial's state again.

    They are the call's own outcome and the decisions that it may have crossed on its way.
    """

    def check(self, live: LiveStudy, lease: LeaseRecord) -> None:
        """Check the call before its lease is looked at. Raises InvalidError."""
        return

    @abstractmethod
    def apply(self, live: LiveStudy, lease: LeaseRecord) -> TrialStateName:
        """End an open lease and return the state of its trial."""

    def apply_again(self, live: LiveStudy, trial: EndedTrial) -> None:
        """Handle the call for a lease that has already ended by one of `answered_after`.

        Raises LeaseClosedError if the call differs from the one that ended the lease.
        """
        return


@dataclass(frozen=True)
class TrialCompletion(LeaseEnd):
    """The trial has trained to its end. `values` are its objective values; None if they are in the metrics."""

    metrics: Metrics
    values: Sequence[float] | None
    answered_after = ("complete", "prune", "stop")

    def check(self, live: LiveStudy, lease: LeaseRecord) -> None:
        """Raises InvalidError for metrics of the test split that must not be there, or are missing."""
        check_test_metrics(live, lease, self.metrics)

    def apply(self, live: LiveStudy, lease: LeaseRecord) -> TrialStateName:
        """End a trial with its objective values. Raises InvalidError if they are missing.

        The metrics of the test split are recorded even if the trial has no objective value, because the split was read.
        """
        result = completed_result(live, lease, self.metrics, self.values, last_metrics(live, lease))
        if result.state == "FAIL":  # a value is nan or unknown
            mark_own_failure(live.store.optuna, lease.trial_id)
        record_test_score(live, lease, self.metrics)
        return finish_trial(live, lease, "complete", result)

    def apply_again(self, live: LiveStudy, trial: EndedTrial) -> None:
        """Handle `complete` for a lease that has ended by an earlier `complete`, or by a decision that it crossed.

        After a prune or stop decision, the metrics are kept as the trial's final ones. Raises LeaseClosedError if the
        results differ from those that are known.
        """
        ended, known = trial.lease, trial.result
        assert known is not None, "a trial that has ended has a result"
        if ended.outcome == "complete":
            is_same = self._gives(live, trial, known)
        else:
            is_same = not (known.metrics and self.metrics) or same_metrics(known.metrics, self.metrics)
        if not is_same:
            raise LeaseClosedError(
                f"lease {ended.lease_id} has ended by {ended.outcome}, with other results than these"
            )
        if self.metrics and not known.metrics:
            live.late_results.add(ended.trial_id)
            live.store.set_result(replace(known, metrics=self.metrics))
            if live.final is not None:
                live.final_metrics[ended.trial_id] = self.metrics

    def _gives(self, live: LiveStudy, trial: EndedTrial, known: ResultRecord) -> bool:
        try:
            given = completed_result(live, trial.lease, self.metrics, self.values, trial.last_metrics)
        except InvalidError:
            return False
        same_end = (given.state, given.values, given.reason) == (known.state, known.values, known.reason)
        return same_end and same_metrics(given.metrics, known.metrics)


@dataclass(frozen=True)
class AttemptFailure(LeaseEnd):
    """The attempt has failed for a reason; `retry` says whether another attempt may help."""

    reason: str
    retry: bool
    answered_after = ("fail",)

    def apply(self, live: LiveStudy, lease: LeaseRecord) -> TrialStateName:
        """Requeue the trial, or let it wait at its rung, if `retry` is set and attempts are left; end it otherwise."""
        stop_reason = live.stop_reason()
        if self.retry and stop_reason is None:
            live.failing_workers.note_fault(lease.worker_id, self.reason, live.clock.now())
        if self.retry and stop_reason is None and may_be_retried(live, lease):
            return requeue_trial(live, lease, "fail", self.reason)
        reasons = all_reasons(live, lease, self.reason) if self.retry and lease.attempt > 1 else self.reason
        is_interrupted = self.retry and stop_reason is not None  # it would be tried again, had its study not ended
        result = interrupted_result(live, lease, reasons) if is_interrupted else failed_result(lease, reasons)
        if not self.retry:  # the worker says so of what every machine would do
            mark_own_failure(live.store.optuna, lease.trial_id)
        return finish_trial(live, lease, "fail", result, lease_reason=self.reason)

    def apply_again(self, live: LiveStudy, trial: EndedTrial) -> None:
        """Raises LeaseClosedError if the lease has failed for another reason, or was retried and must not be."""
        ended = trial.lease
        if ended.reason != self.reason or (ended.state == "WAITING" and not self.retry):
            raise LeaseClosedError(f"lease {ended.lease_id} has ended by fail, with another reason than this")


class TrialRelease(LeaseEnd):
    """The worker gives the trial back untouched, which counts as no attempt."""

    answered_after = ("release",)

    def apply(self, live: LiveStudy, lease: LeaseRecord) -> TrialStateName:
        """Put the trial back into the queue; end it if its study has ended."""
        stop_reason = live.stop_reason()
        if stop_reason is None:
            return requeue_trial(live, lease, "release", None)
        return finish_trial(live, lease, "release", interrupted_result(live, lease, f"stopped: {stop_reason}"))


class TrialPruning(LeaseEnd):
    """The trial's own code has given it up, as by Optuna's TrialPruned."""

    answered_after = ("prune", "stop")

    def apply(self, live: LiveStudy, lease: LeaseRecord) -> TrialStateName:
        """End the trial as pruned."""
        return finish_trial(live, lease, "prune", pruned_result(lease))


class TrialPause(LeaseEnd):
    """The trial waits at the rung where a decision told it to pause."""

    answered_after = ("pause", "prune")

    def apply(self, live: LiveStudy, lease: LeaseRecord) -> TrialStateName:
        """Pause the trial. Without a checkpoint of its rung, or if its study has ended, it is pruned.

        Raises StateConflictError for a trial that was not told to pause.
        """
        if live.leases.pause_step(lease.lease_id) is None:
            raise StateConflictError(f"trial {lease.trial_number} of study {live.record.name} was not told to pause")
        if reached_rung(live, lease) is None or live.stop_reason() is not None:
            return finish_trial(live, lease, "prune", pruned_result(lease))
        state = requeue_trial(live, lease, "pause", None)
        live.tick()  # nothing may be left to do
        return state
