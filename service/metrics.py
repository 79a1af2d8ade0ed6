"""Prometheus metrics: requests as they come, and the state of the studies when it is asked for."""

import time
from collections.abc import Iterator
from contextlib import suppress

from optuna.trial import TrialState
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.registry import Registry

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0)


class Metrics:
    """The metrics of one application."""

    def __init__(self, registry: Registry) -> None:
        self._collectors = CollectorRegistry()
        self._collectors.register(StudiesCollector(registry))
        self.requests = Counter(
            "narrows_requests", "Requests.", ("method", "route", "status"), registry=self._collectors
        )
        self.seconds = Histogram(
            "narrows_request_seconds",
            "Time to answer a request, waiting claims included.",
            ("route",),
            buckets=BUCKETS,
            registry=self._collectors,
        )

    def render(self) -> bytes:
        return generate_latest(self._collectors)


class StudiesCollector(Collector):
    """Counts that are read from the studies when Prometheus asks."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        trials = GaugeMetricFamily("narrows_trials", "Trials by study and state.", labels=("study", "state"))
        leases = GaugeMetricFamily("narrows_open_leases", "Open leases by study.", labels=("study",))
        for live in self._registry.every():
            with suppress(KeyError):  # deleted at this moment
                for state in TrialState:
                    count = self._registry.store.optuna.get_n_trials(live.record.study_id, state)
                    trials.add_metric((live.record.name, state.name), count)
            leases.add_metric((live.record.name,), len(live.leases))
        yield trials
        yield leases
        yield GaugeMetricFamily(
            "narrows_workers", "Workers that have ever claimed.", value=len(self._registry.store.workers())
        )


class MeasureRequests:
    """Counts and times every request by its route's template, not by its path, which anybody can make up."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
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
            self._metrics.requests.labels(scope["method"], route, str(status)).inc()
            self._metrics.seconds.labels(route).observe(time.perf_counter() - started)
