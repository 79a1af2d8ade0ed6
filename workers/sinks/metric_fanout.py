"""Copies of what trials report for sinks. Each sink has a thread of its own, so that no trial waits for it."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from service.schemas.fields import Scalar
from service.schemas.protocol import Lease
from service.schemas.results import TrialState

logger = logging.getLogger("narrows.worker")

MAX_QUEUED = 10_000
"""Events that may wait for a sink; further ones are lost."""
PAUSE_SECONDS = 30.0
"""A sink that has failed is not called for this long, and the events of that time are lost."""
CLOSING_SECONDS = 5.0


@dataclass(frozen=True)
class MetricsReported:
    """A report that the service has accepted. `params` are those known by then: code may ask for more as it runs."""

    lease: Lease
    params: Mapping[str, Scalar]
    step: int
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class LeaseEnded:
    """A lease has ended.

    state: the trial's; WAITING if the trial is to continue, None if another worker has it.
    metrics: the final metrics of a complete trial, those of the last report of any other.
    """

    lease: Lease
    params: Mapping[str, Scalar]
    state: TrialState | None
    metrics: Mapping[str, float]


class Sink(Protocol):
    """Where reports are copied to. It may raise any error; one thread calls it."""

    name: str

    def write(self, event: MetricsReported | LeaseEnded) -> None:
        """Write an event. Events of a lease come in order."""

    def close(self) -> None:
        """Write what is still buffered."""


@dataclass
class _Followed:
    lease: Lease
    params: dict[str, Scalar]
    metrics: dict[str, float] = field(default_factory=dict)


class MetricFanout:
    """Tells every sink what happens to the leases that are followed. No method but `close` waits."""

    def __init__(self, sinks: Sequence[Sink] = (), clock: Callable[[], float] = time.monotonic) -> None:
        self._sink_threads = [SinkThread(sink, clock) for sink in sinks]
        self._followed: dict[str, _Followed] = {}
        self._lock = threading.Lock()

    def follow(self, lease: Lease) -> None:
        """Tell the sinks of this lease from now on."""
        if self._sink_threads:
            with self._lock:
                self._followed[lease.lease_id] = _Followed(lease, dict(lease.params))

    def add_param(self, lease_id: str, name: str, value: Scalar) -> None:
        """Add a parameter that a trial's code has asked for. An unknown lease is no error."""
        with self._lock:
            if (followed := self._followed.get(lease_id)) is not None:
                followed.params[name] = value

    def report(self, lease_id: str, step: int, metrics: Mapping[str, float]) -> None:
        """Tell the sinks of an accepted report. An unknown lease is no error."""
        with self._lock:
            if (followed := self._followed.get(lease_id)) is not None:
                followed.metrics = dict(metrics)
                self._send(MetricsReported(followed.lease, dict(followed.params), step, dict(metrics)))

    def end_lease(
        self, lease_id: str, state: TrialState | None = None, metrics: Mapping[str, float] | None = None
    ) -> None:
        """Tell the sinks of the end of a lease. One that has ended already is no error."""
        with self._lock:
            if (followed := self._followed.pop(lease_id, None)) is not None:
                self._send(LeaseEnded(followed.lease, followed.params, state, dict(metrics or followed.metrics)))

    def close(self) -> None:
        """Wait until the sinks have written what is queued, for CLOSING_SECONDS at most."""
        deadline = time.monotonic() + CLOSING_SECONDS
        for thread in self._sink_threads:
            thread.tell(None)
        for thread in self._sink_threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _send(self, event: MetricsReported | LeaseEnded) -> None:
        for thread in self._sink_threads:
            thread.tell(event)


class SinkThread:
    """The thread of one sink. When the sink fails, this is logged once; it is called again after a pause."""

    def __init__(self, sink: Sink, clock: Callable[[], float] = time.monotonic) -> None:
        self._sink = sink
        self._clock = clock
        self._events: queue.Queue[MetricsReported | LeaseEnded | None] = queue.Queue(MAX_QUEUED)
        self._failing = False
        self._n_lost = 0
        self._paused_until = -float("inf")
        self._thread = threading.Thread(target=self._run, name=sink.name, daemon=True)
        self._thread.start()

    def tell(self, event: MetricsReported | LeaseEnded | None) -> None:
        """Queue an event; it is lost if the queue is full. None ends the thread, and then replaces the oldest event."""
        while True:
            try:
                self._events.put_nowait(event)
            except queue.Full:
                self._lost(f"{MAX_QUEUED:,} reports wait for it")
                if event is not None:
                    return
                with suppress(queue.Empty):  # the sink has taken one meanwhile
                    self._events.get_nowait()
                    self._events.task_done()
            else:
                return

    def wait_until_idle(self) -> None:
        """Wait until every queued event is written or lost."""
        self._events.join()

    def join(self, timeout_seconds: float) -> None:
        """Wait until the thread has ended, or for the timeout."""
        self._thread.join(timeout_seconds)

    def _run(self) -> None:
        while (event := self._events.get()) is not None:
            self._write(event)
            self._events.task_done()
        try:
            self._sink.close()
        except Exception as error:  # noqa: BLE001 - an error of a sink must not end the process
            self._lost(_in_a_line(error))
        self._events.task_done()

    def _write(self, event: MetricsReported | LeaseEnded) -> None:
        if self._clock() < self._paused_until:
            self._n_lost += 1
            return
        try:
            self._sink.write(event)
        except Exception as error:  # noqa: BLE001 - an error of a sink must not fail a trial
            self._paused_until = self._clock() + PAUSE_SECONDS
            self._lost(_in_a_line(error))
        else:
            self._recovered()

    def _lost(self, reason: str) -> None:
        self._n_lost += 1
        if not self._failing:
            self._failing = True
            logger.warning("%s is not written to, trials go on without it: %s", self._sink.name, reason)

    def _recovered(self) -> None:
        if self._failing:
            logger.info("%s is written to again; it lacks %d reports", self._sink.name, self._n_lost)
            self._failing, self._n_lost = False, 0


def _in_a_line(error: Exception) -> str:
    text = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


NO_SINKS = MetricFanout()
