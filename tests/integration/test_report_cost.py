"""A report costs the same however many steps its trial has reported."""

import cProfile
import pstats
import tracemalloc
from typing import Any

import pytest

from service.leases.lease_operations import answer_reports
from service.schemas.protocol import Report
from tests.integration.service_driver import Json, Service

EARLY, LATE = 100, 3_000
N_MEASURED = 5
"""Some reports make a table in memory grow; the least costly of a few does not."""
MAX_OTHER_BYTES = 4 * (LATE - EARLY)
"""What other threads do meanwhile counts too. A list of all steps would take twice as much."""
MAX_OTHER_CALLS = 40
"""What the moment decides (a garbage collection, a longer number); one call for each step would be thousands."""
OBJECTIVES = [
    {"metric": "validation_accuracy", "direction": "maximize"},
    {"metric": "validation_loss", "direction": "minimize"},
]
STUDIES: dict[str, Json] = {
    "no pruner": {},
    "median": {"pruner": {"name": "median", "n_startup_trials": 0}},
    "patient": {"pruner": {"name": "patient", "patience": 3, "min_delta": 1.0}},
    "halving": {"pruner": {"name": "successive_halving", "min_resource": 10_000}},
    "promotion": {"pruner": {"name": "successive_halving", "min_resource": 10_000, "promote": True}},
    "two objectives": {"pruner": {"name": "median", "n_startup_trials": 0}, "objectives": OBJECTIVES},
}


def reports(lease: Json, first: int, n: int) -> list[Report]:
    metrics: dict[str, Any] = {"validation_accuracy": 0.5, "validation_loss": 0.5}
    return [Report(lease_id=lease["lease_id"], step=first + index, metrics=metrics) for index in range(n)]


def claim(service: Service, study: str) -> Json:
    (lease,) = service.claim(study, allow=["package"])
    return lease


def cost(service: Service, lease: Json, first: int) -> tuple[int, int]:
    """Calls of functions and bytes of memory that a report of the trial takes."""
    registry = service.app.state.registry
    calls, memory = [], []
    for step in range(first, first + 2 * N_MEASURED, 2):
        profile = cProfile.Profile()
        profile.runcall(answer_reports, registry, reports(lease, step, 1))
        calls.append(int(pstats.Stats(profile).total_calls))  # type: ignore[attr-defined]
        tracemalloc.start()
        answer_reports(registry, reports(lease, step + 1, 1))
        memory.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    return min(calls), min(memory)


@pytest.mark.parametrize("kind", STUDIES)
def test_a_report_costs_the_same_at_every_step(service: Service, kind: str) -> None:
    name = service.create(training={"entrypoint": "package.module:train"}, n_trials=2, **STUDIES[kind])
    before = claim(service, name)
    answer_reports(service.app.state.registry, reports(before, 0, 2 * LATE))
    service.complete(before, 0.5)
    lease = claim(service, name)
    registry = service.app.state.registry

    answer_reports(registry, reports(lease, 0, EARLY))
    early_calls, early_bytes = cost(service, lease, EARLY)
    answer_reports(registry, reports(lease, EARLY + 2 * N_MEASURED, LATE))
    late_calls, late_bytes = cost(service, lease, EARLY + 2 * N_MEASURED + LATE)

    assert late_calls < early_calls + MAX_OTHER_CALLS
    assert late_bytes < early_bytes + MAX_OTHER_BYTES
