"""Prometheus metrics: requests and commits as they happen, studies and workers when Prometheus asks."""

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import timedelta

from optuna.trial import TrialState
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.events.event_ring import EventRing
from service.events.event_stream import EVENTS_PATH
from service.registry.registry import Registry
from storage import Commit, WorkerRecord

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0)
ROW_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10_000)
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
SEEN_SECONDS = 120.0
"""A worker counts as seen if it holds a lease, which it must renew, or has claimed within this time."""


class Metrics:
    """The metrics of one application, in a collector registry of its own."""

    def __init__(self) -> None:
        self._collectors = CollectorRegistry()
        self._requests = Counter(
            "narrows_requests", "Requests.", ("method", "route", "status"), registry=self._collectors
        )
        self._request_seconds = Histogram(
            "narrows_request_seconds",
            "Time to answer a request, waiting claims included.",
            ("route",),
            buckets=BUCKETS,
            registry=self._collectors,
        )
        self._commit_rows = Histogram(
            "narrows_commit_rows",
            "Rows written in one transaction.",
            buckets=ROW_BUCKETS,
            registry=self._collectors,
        )
        self._commit_seconds = Histogram(
            "narrows_commit_seconds",
            "Time to write a transaction, repeats while the database is away included.",
            buckets=BUCKETS,
            registry=self._collectors,
        )
        self._sampler_seconds = Histogram(
            "narrows_sampler_seconds",
            "Time to suggest the parameters of a trial.",
            ("sampler",),
            buckets=BUCKETS,
            registry=self._collectors,
        )

    def collect_from(self, registry: Registry, events: EventRing) -> None:
        """Add the metrics that are read from the registry and the event ring whenever Prometheus asks."""
        self._collectors.register(StateCollector(registry, events))

    def observe_commit(self, commit: Commit) -> None:
        """Record the rows and the duration of a transaction."""
        self._commit_rows.observe(commit.n_rows)
        self._commit_seconds.observe(commit.seconds)

    def observe_sampling(self, sampler: str, seconds: float) -> None:
        """Record how long a sampler took to suggest the parameters of a trial."""
        self._sampler_seconds.labels(sampler).observe(seconds)

    def observe_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request and record its duration. Clients can invent methods, so unknown ones share one label."""
        self._requests.labels(method if method in METHODS else "other", route, str(status)).inc()
        if route != EVENTS_PATH:  # a stream lasts as long as its reader stays
            self._request_seconds.labels(route).observe(seconds)

    def render(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._collectors)


class StateCollector(Collector):
    """Counts trials, open leases, workers, waiting rows, event readers and events when Prometheus asks."""

    def __init__(self, registry: Registry, events: EventRing) -> None:
        self._registry = registry
        self._events = events

    def collect(self) -> Iterator[Metric]:
        """The present state of studies, workers, writer and event stream."""
        store, events = self._registry.store, self._events
        yield from self._studies()
        workers = store.workers.newest_first()
        yield GaugeMetricFamily("narrows_workers", "Workers that have ever claimed.", value=len(workers))
        yield GaugeMetricFamily(
            "narrows_workers_seen",
            f"Workers that have a lease, or have asked for one in the last {SEEN_SECONDS:g} seconds.",
            value=len(self._seen(workers)),
        )
        yield from self._worker_seconds()
        yield GaugeMetricFamily(
            "narrows_writer_waiting_rows", "Rows that are not on disk yet.", value=store.n_waiting_rows
        )
        yield GaugeMetricFamily("narrows_event_readers", "Open event streams.", value=events.n_readers)
        yield CounterMetricFamily("narrows_events", "Events published.", value=events.last_number)

    def _worker_seconds(self) -> Iterator[Metric]:
        activities = CounterMetricFamily(
            "narrows_worker_seconds", "Seconds of all worker processes by activity.", labels=("activity",)
        )
        lanes = CounterMetricFamily(
            "narrows_lane_seconds", "Seconds of training, times the lanes, by their state.", labels=("state",)
        )
        for name, seconds in self._registry.worker_times.totals().items():
            state = name.removesuffix("_lanes")
            (activities if state == name else lanes).add_metric((state,), seconds)
        yield activities
        yield lanes

    def _studies(self) -> Iterator[Metric]:
        trials = GaugeMetricFamily("narrows_trials", "Trials by study and state.", labels=("study", "state"))
        leases = GaugeMetricFamily("narrows_open_leases", "Open leases by study.", labels=("study",))
        for live in self._registry.every():
            with suppress(KeyError):  # the study was deleted meanwhile
                for state in TrialState:
                    count = self._registry.store.optuna.get_n_trials(live.record.study_id, state)
                    trials.add_metric((live.record.name, state.name), count)
            leases.add_metric((live.record.name,), len(live.leases))
        yield trials
        yield leases

    def _seen(self, workers: Sequence[WorkerRecord]) -> set[str]:
        since = self._registry.clock.now() - timedelta(seconds=SEEN_SECONDS)
        recent = {worker.worker_id for worker in workers if worker.last_seen_at >= since}
        return recent | {lease.worker_id for live in self._registry.every() for lease in live.leases}


class MeasureRequests:
    """Counts and times every request by the template of its route, not by its path, which clients can invent."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and record its status and duration."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watch)
        finally:
            route = getattr(scope.get("route"), "path", "unknown")
            self._metrics.observe_request(scope["method"], route, status, time.perf_counter() - started)
