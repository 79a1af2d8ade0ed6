"""What trials report goes to sinks too, on threads of their own: whatever becomes of a sink, no trial waits for it."""

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

logger = logging.getLogger("narrows.worker")

MOST_WAITING = 10_000
REST_SECONDS = 30.0
"""A sink that has failed is left alone for so long; what comes meanwhile is not written."""
CLOSING_SECONDS = 5.0


@dataclass(frozen=True)
class MetricsReported:
    """A report that the service has taken. `params` are those known by then: code may ask for more as it runs."""

    lease: Lease
    params: Mapping[str, Scalar]
    step: int
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class LeaseEnded:
    """A lease is over. `state` is the trial's: WAITING when it is to go on, None when another worker has it.

    `metrics` are the final ones: of a complete trial those that it ends with, else those of its last report.
    """

    lease: Lease
    params: Mapping[str, Scalar]
    state: str | None
    metrics: Mapping[str, float]


class Sink(Protocol):
    """May raise anything; is called by one thread."""

    name: str

    def write(self, event: MetricsReported | LeaseEnded) -> None: ...

    def close(self) -> None: ...


@dataclass
class _Followed:
    lease: Lease
    params: dict[str, Scalar]
    metrics: dict[str, float] = field(default_factory=dict)


class MetricFanout:
    """Tells every sink what becomes of the leases that are followed. No method waits."""

    def __init__(self, sinks: Sequence[Sink] = (), clock: Callable[[], float] = time.monotonic) -> None:
        self._outlets = [SinkThread(sink, clock) for sink in sinks]
        self._followed: dict[str, _Followed] = {}
        self._lock = threading.Lock()

    def follow(self, lease: Lease) -> None:
        if self._outlets:
            with self._lock:
                self._followed[lease.lease_id] = _Followed(lease, dict(lease.params))

    def add_param(self, lease_id: str, name: str, value: Scalar) -> None:
        """A trial's code has asked for a parameter."""
        with self._lock:
            if (followed := self._followed.get(lease_id)) is not None:
                followed.params[name] = value

    def report(self, lease_id: str, step: int, metrics: Mapping[str, float]) -> None:
        with self._lock:
            if (followed := self._followed.get(lease_id)) is not None:
                followed.metrics = dict(metrics)
                self._tell(MetricsReported(followed.lease, dict(followed.params), step, dict(metrics)))

    def end_lease(self, lease_id: str, state: str | None = None, metrics: Mapping[str, float] | None = None) -> None:
        """Follow no more; what has been left already is no error."""
        with self._lock:
            if (followed := self._followed.pop(lease_id, None)) is not None:
                self._tell(LeaseEnded(followed.lease, followed.params, state, dict(metrics or followed.metrics)))

    def close(self) -> None:
        """Let the sinks write what waits, if they do so soon."""
        deadline = time.monotonic() + CLOSING_SECONDS
        for outlet in self._outlets:
            outlet.tell(None)
        for outlet in self._outlets:
            outlet.join(max(0.0, deadline - time.monotonic()))

    def _tell(self, event: MetricsReported | LeaseEnded) -> None:
        for outlet in self._outlets:
            outlet.tell(event)


class SinkThread:
    """The thread of one sink. When the sink fails, it says so once, rests, and says when it writes again."""

    def __init__(self, sink: Sink, clock: Callable[[], float] = time.monotonic) -> None:
        self._sink = sink
        self._clock = clock
        self._events: queue.Queue[MetricsReported | LeaseEnded | None] = queue.Queue(MOST_WAITING)
        self._failing = False
        self._n_lost = 0
        self._rest_until = -float("inf")
        self._thread = threading.Thread(target=self._run, name=sink.name, daemon=True)
        self._thread.start()

    def tell(self, event: MetricsReported | LeaseEnded | None) -> None:
        """None is the last, for which the oldest ones make room if need be."""
        while True:
            try:
                self._events.put_nowait(event)
            except queue.Full:
                self._lost(f"{MOST_WAITING:,} reports wait for it")
                if event is not None:
                    return
                with suppress(queue.Empty):  # the sink has taken one meanwhile
                    self._events.get_nowait()
                    self._events.task_done()
            else:
                return

    def wait_until_idle(self) -> None:
        """Return when all that was told is written or lost."""
        self._events.join()

    def join(self, timeout_seconds: float) -> None:
        self._thread.join(timeout_seconds)

    def _run(self) -> None:
        while (event := self._events.get()) is not None:
            self._write(event)
            self._events.task_done()
        try:
            self._sink.close()
        except Exception as error:  # noqa: BLE001 - a sink is no reason to end otherwise
            self._lost(_in_a_line(error))
        self._events.task_done()

    def _write(self, event: MetricsReported | LeaseEnded) -> None:
        if self._clock() < self._rest_until:
            self._n_lost += 1
            return
        try:
            self._sink.write(event)
        except Exception as error:  # noqa: BLE001 - a sink is no reason for a trial to fail
            self._rest_until = self._clock() + REST_SECONDS
            self._lost(_in_a_line(error))
        else:
            self._writes()

    def _lost(self, reason: str) -> None:
        self._n_lost += 1
        if not self._failing:
            self._failing = True
            logger.warning("%s is not written to, trials go on without it: %s", self._sink.name, reason)

    def _writes(self) -> None:
        if self._failing:
            logger.info("%s is written to again; it lacks %d reports", self._sink.name, self._n_lost)
            self._failing, self._n_lost = False, 0


def _in_a_line(error: Exception) -> str:
    text = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


NO_SINKS = MetricFanout()
