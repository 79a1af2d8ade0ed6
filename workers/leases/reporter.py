"""Reports and renewals, sent by a background thread, so that training never waits for the service."""

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from service.client import Client, ClientError, ServiceError
from service.client.retries import Retries, will_pass
from service.schemas.fields import Scalar
from service.schemas.protocol import Decision, Lease, Report, Reports
from service.schemas.renewals import Renew
from workers.sinks.metric_fanout import NO_SINKS, MetricFanout

logger = logging.getLogger("narrows.worker")

MAX_BATCH = 1024
RENEWALS_PER_TERM = 3
PAUSES_PER_TERM = 12
"""While the service is away it is called this often in the shortest term, so that no lease expires once it is back."""
LONGEST_PAUSE_SECONDS = 5.0
SHORTEST_PAUSE_SECONDS = 0.05
OPEN_DECISIONS = ("continue", "pause")
"""Decisions after which this worker still holds the lease."""
LOST_CODES = ("lease_lost", "lease_closed", "lease_not_found", "study_not_found")


@dataclass
class _Followed:
    """One lease. `renew_at` is in seconds of the clock; `queue` holds the reports without an answer."""

    renew_at: float
    term_seconds: float
    decision: Decision = "continue"
    refusal: ClientError | None = None
    queue: deque[Report] = field(default_factory=deque)


class Reporter:
    """Sends the reports of each lease in order, and renews the leases, from `follow` to `forget`.

    While the service is away, reports stay queued, and `retries` repeats the calls. `fanout` is told of every report
    that the service has accepted.
    """

    def __init__(
        self,
        client: Client,
        retries: Retries,
        clock: Callable[[], float] = time.monotonic,
        fanout: MetricFanout = NO_SINKS,
    ) -> None:
        self._client = client
        self._retries = retries
        self._clock = clock
        self._fanout = fanout
        self._changed = threading.Condition()
        self._followed: dict[str, _Followed] = {}
        self._n_closed = 0
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)
        self._thread.start()

    def follow(self, lease: Lease) -> None:
        """Renew a lease from now on, and accept its reports."""
        with self._changed:
            term_seconds = lease.expires_in_seconds
            self._followed[lease.lease_id] = _Followed(self._next_renewal(term_seconds), term_seconds)
            self._fanout.follow(lease)
            self._changed.notify_all()

    def forget(self, lease_id: str) -> None:
        """Renew a lease no more, and drop its queued reports. An unknown lease is no error."""
        with self._changed:
            followed = self._followed.pop(lease_id, None)
            self._fanout.end_lease(lease_id)
            if followed is not None and followed.decision not in OPEN_DECISIONS:
                self._n_closed -= 1
            self._changed.notify_all()

    def report(self, lease_id: str, step: int, metrics: Mapping[str, float]) -> None:
        """Queue a report; dropped if the lease is closed. Does not wait for the service. Raises KeyError."""
        with self._changed:
            followed = self._followed[lease_id]
            if followed.decision in OPEN_DECISIONS:
                followed.queue.append(Report(lease_id=lease_id, step=step, metrics=dict(metrics)))
                self._changed.notify_all()

    def add_param(self, lease_id: str, name: str, value: Scalar) -> None:
        """Tell the sinks of a parameter that a trial's code has asked for."""
        self._fanout.add_param(lease_id, name, value)

    def decision(self, lease_id: str) -> Decision:
        """The last decision on a lease. Raises KeyError if it is not followed."""
        return self._followed[lease_id].decision

    def refusal(self, lease_id: str) -> ClientError | None:
        """The error with which the service refused a report of this lease, if it did; the decision is then `lost`."""
        return self._followed[lease_id].refusal

    @property
    def has_closed(self) -> bool:
        """Whether a decision has closed any followed lease; cheap enough to ask after every batch."""
        return self._n_closed > 0

    def flush(self, lease_id: str, timeout_seconds: float) -> bool:
        """Wait until every report of a lease is answered. False after the timeout. Raises KeyError."""
        followed = self._followed[lease_id]
        with self._changed:
            return self._changed.wait_for(lambda: not followed.queue, timeout_seconds)

    def close(self, timeout_seconds: float = 5.0) -> None:
        """End the thread, and drop the reports that are still queued."""
        with self._changed:
            self._closed = True  # errands that are still under way may ask for decisions
            self._changed.notify_all()
        self._thread.join(timeout_seconds)

    def _run(self) -> None:
        while True:
            with self._changed:
                reports = self._batch()
                if not reports and not self._closed:
                    self._changed.wait(self._seconds_to_renewal())
                if self._closed:
                    return
                reports = self._batch()
                stale = [lease_id for lease_id, lease in self._open().items() if lease.renew_at <= self._clock()]
            if reports:
                self._send(reports)
            elif stale:
                self._renew(stale)

    def _open(self) -> dict[str, _Followed]:
        return {lease_id: lease for lease_id, lease in self._followed.items() if lease.decision in OPEN_DECISIONS}

    def _batch(self) -> list[Report]:
        """The oldest reports, up to MAX_BATCH. They stay queued until they are answered."""
        queued = [report for followed in self._followed.values() for report in followed.queue]
        return queued[:MAX_BATCH]

    def _send(self, reports: list[Report]) -> None:
        try:
            answer = self._retries(lambda: self._client.report(Reports(reports=reports)), self._longest_pause())
        except ClientError as error:
            lease_ids = dict.fromkeys(report.lease_id for report in reports)
            if len(lease_ids) == 1 or will_pass(error):
                self._refused(lease_ids, error)
                return
            for lease_id in lease_ids:  # the service refuses a whole batch, perhaps because of one trial
                self._send([report for report in reports if report.lease_id == lease_id])
            return
        accepted = {(answered.lease_id, answered.step) for answered in answer.decisions if answered.decision != "lost"}
        with self._changed:
            for report in reports:
                if (report.lease_id, report.step) in accepted:  # before `decision` changes, which may end the trial
                    self._fanout.report(report.lease_id, report.step, report.metrics)
            for decision in answer.decisions:
                self._decided(decision.lease_id, decision.decision)
            for report in reports:
                self._answered(report)
            self._changed.notify_all()

    def _answered(self, report: Report) -> None:
        followed = self._followed.get(report.lease_id)
        if followed is None:
            return
        followed.renew_at = self._next_renewal(followed.term_seconds)
        if followed.queue and followed.queue[0] is report:
            followed.queue.popleft()

    def _decided(self, lease_id: str, decision: Decision) -> None:
        followed = self._followed.get(lease_id)
        if followed is None or followed.decision not in OPEN_DECISIONS or decision == "continue":
            return
        followed.decision = decision
        if decision not in OPEN_DECISIONS:
            followed.queue.clear()
            self._n_closed += 1

    def _renew(self, lease_ids: list[str]) -> None:
        try:
            answer = self._retries(lambda: self._client.renew(Renew(lease_ids=lease_ids)), self._longest_pause())
        except ClientError as error:
            self._refused(lease_ids, error)
            return
        with self._changed:
            for lease in answer.leases:
                followed = self._followed.get(lease.lease_id)
                if not lease.alive:
                    self._decided(lease.lease_id, "lost")
                elif followed is not None:  # a lease from a repeated claim had less than a whole term left
                    followed.term_seconds = lease.expires_in_seconds
                    followed.renew_at = self._next_renewal(followed.term_seconds)
            self._changed.notify_all()

    def _refused(self, lease_ids: Iterable[str], error: ClientError) -> None:
        """Pause if the service stays away longer than `retries` waits; otherwise close the leases that it refused."""
        if will_pass(error):
            logger.warning("%s; still training, reports are kept", error)
            with self._changed:
                self._changed.wait_for(lambda: self._closed, min(1.0, self._longest_pause()))
            return
        with self._changed:
            for lease_id in lease_ids:
                followed = self._followed.get(lease_id)
                if followed is None:
                    continue
                if not (isinstance(error, ServiceError) and error.code in LOST_CODES):
                    followed.refusal = error
                self._decided(lease_id, "lost")
            self._changed.notify_all()

    def _next_renewal(self, term_seconds: float) -> float:
        return self._clock() + term_seconds / RENEWALS_PER_TERM

    def _longest_pause(self) -> float:
        """Longest wait between two calls, short enough that no lease expires meanwhile."""
        with self._changed:
            terms = [followed.term_seconds for followed in self._open().values()]
        shortest = min(terms, default=math.inf) / PAUSES_PER_TERM
        return min(LONGEST_PAUSE_SECONDS, max(SHORTEST_PAUSE_SECONDS, shortest))

    def _seconds_to_renewal(self) -> float | None:
        due = [followed.renew_at for followed in self._open().values()]
        return max(0.0, min(due) - self._clock()) if due else None
