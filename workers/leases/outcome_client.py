"""Calls that end a lease."""

import logging
from collections.abc import Callable

from service.client import Client, ClientError, ServiceError
from service.client.retries import Retries
from service.schemas.code_calls import NewUserAttrs
from service.schemas.protocol import Closed, Complete, Decision, Fail, Lease
from service.schemas.results import TrialState
from workers.faults import Fault
from workers.fleet.stopping import Stopping
from workers.leases.reporter import LOST_CODES
from workers.scheduling.leased_trial import title
from workers.sinks.metric_fanout import NO_SINKS, MetricFanout

logger = logging.getLogger("narrows.worker")

AWAY_LIMIT_SECONDS = 3600.0
CLOSING_SECONDS = 5.0
CLOSING_DECISIONS: dict[Decision, tuple[TrialState, str]] = {
    "prune": ("PRUNED", "PRUNED"),
    "stop": ("FAIL", "stopped with its study"),
}
"""The state in which each decision leaves the trial, and the log's words."""


class OutcomeClient:
    """Sends a trial's outcome, logs it in one line, and tells the sinks. A lease that is lost by then is no error."""

    def __init__(self, client: Client, stopping: Stopping, fanout: MetricFanout = NO_SINKS) -> None:
        self._client = client
        self._fanout = fanout
        self._stopping = stopping
        self._patiently = Retries(AWAY_LIMIT_SECONDS, stopping)
        self._briefly = Retries(CLOSING_SECONDS)

    def complete(self, lease: Lease, metrics: dict[str, float], values: list[float] | None = None) -> None:
        """Complete a trial. `values` are its objective values; None to take them from the metrics."""
        complete = Complete(metrics=metrics, values=values)
        try:
            closed = self._close(lease, lambda: self._client.complete(lease.lease_id, complete), metrics=metrics)
        except ServiceError as error:
            if error.status != 422:
                raise
            self.fail(lease, Fault(f"the service refused the result: {error}"))
        else:
            if closed is not None:
                logger.info("%s: %s, %s", title(lease), closed.state, summary(metrics))

    def fail(self, lease: Lease, fault: Fault) -> None:
        """Fail a trial, or give it to another attempt, as the fault says."""
        # an exception's text may be no Unicode; an escape says what it was, for example in the path of a file
        reason = fault.reason.encode(errors="backslashreplace").decode()
        fail = Fail(reason=reason, retry=fault.retry)
        closed = self._close(lease, lambda: self._client.fail(lease.lease_id, fail))
        if closed is not None:
            logger.warning("%s: %s: %s", title(lease), closed.state, fault.reason)

    def add_user_attrs(self, lease: Lease, user_attrs: dict[str, str]) -> None:
        """Add user attributes to a trial. A failure is logged: the trial does without them."""
        attrs = NewUserAttrs(user_attrs=user_attrs)
        try:
            self._briefly(lambda: self._client.set_user_attrs(lease.lease_id, attrs))
        except ClientError as error:
            logger.warning("%s: %s are not noted: %s", title(lease), user_attrs, error)

    def prune(self, lease: Lease) -> None:
        """End a trial that its own code has pruned."""
        closed = self._close(lease, lambda: self._client.prune(lease.lease_id))
        if closed is not None:
            logger.info("%s: %s by its own code", title(lease), closed.state)

    def pause(self, lease: Lease) -> None:
        """Leave a trial paused. If the service has not decided to pause it, it is released."""
        try:
            closed = self._close(lease, lambda: self._client.pause(lease.lease_id))
        except ServiceError as error:
            if error.code != "state_conflict":
                raise
            logger.warning("%s: %s", title(lease), error)
            self.release(lease)
            return
        if closed is not None:
            logger.info("%s: %s", title(lease), "paused" if closed.state == "WAITING" else closed.state)

    def release(self, lease: Lease) -> None:
        """Give a trial back. A service that cannot be reached finds out when the lease expires."""
        closed = self._close(lease, lambda: self._client.release(lease.lease_id), self._briefly)
        if closed is not None:
            logger.info("%s: given back", title(lease))

    def note_lost(self, lease: Lease) -> None:
        """Log that the trial is no longer this worker's, and why."""
        logger.warning("%s: %s", title(lease), self._why_lost(lease, "lost to another worker"))

    def note_closed(self, lease: Lease, decision: Decision) -> None:
        """Log a trial that the service has pruned or stopped with its decision on a report, and tell the sinks."""
        state, words = CLOSING_DECISIONS[decision]
        self._fanout.end_lease(lease.lease_id, state)
        logger.info("%s: %s", title(lease), words)

    def _close(
        self,
        lease: Lease,
        call: Callable[[], Closed],
        retries: Retries | None = None,
        metrics: dict[str, float] | None = None,
    ) -> Closed | None:
        """Make a call that ends a lease, and tell the sinks. None if the lease is lost or the service stays away."""
        if retries is None:
            retries = self._briefly if self._stopping.is_set() else self._patiently
        try:
            closed = retries(call)
        except ClientError as error:
            if isinstance(error, ServiceError) and error.code not in LOST_CODES and error.status < 500:
                raise
            logger.warning("%s: %s", title(lease), self._why_lost(lease, f"lost: {error}"))
            return None
        self._fanout.end_lease(lease.lease_id, closed.state, metrics)
        if closed.note is not None:
            logger.warning("%s: %s", lease.study, closed.note)
        return closed

    def _why_lost(self, lease: Lease, otherwise: str) -> str:
        """That the trial's study was deleted, if the service says so; `otherwise` if not."""
        try:
            self._client.study(lease.study)
        except ClientError as error:
            if isinstance(error, ServiceError) and error.code == "study_not_found":
                return "lost: its study was deleted"
        return otherwise


def summary(metrics: dict[str, float]) -> str:
    """The metrics that the log shows of a complete trial, in one line."""
    parts = [f"{name} {metrics[name]:.4g}" for name in ("validation_accuracy", "validation_loss") if name in metrics]
    for name in ("training_seconds", "waiting_seconds"):
        if name in metrics:
            parts.append(f"{metrics[name]:.2f} s {name.removesuffix('_seconds')}")
    return ", ".join(parts)
