"""A service that allows the samplers of `users_samplers`, and how a worker claims from a study that uses one."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from service.sampling.custom.custom_samplers import MEMORY_BYTES, CustomSamplers
from tests.integration.service_driver import Json, Service
from tests.waiting import until

FOLDER = Path(__file__).parent / "users_samplers"
MODULE = "samplers_of_users"


class ServiceWithSamplers(Service):
    """Allows samplers: by default those of `users_samplers`."""

    def __init__(self, url: str, memory_bytes: int, allowed: Sequence[str] = (MODULE,)) -> None:
        self.allowed = allowed
        self._memory_bytes = memory_bytes
        super().__init__(url)

    def _open(self) -> None:
        self.custom_samplers = CustomSamplers(self.allowed, self._memory_bytes)
        super()._open()


@contextmanager
def service_with_samplers(url: str, *, memory_bytes: int = MEMORY_BYTES) -> Iterator[ServiceWithSamplers]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(FOLDER))
        patch.setenv("NARROWS_TOKEN", "a-secret-of-the-service")
        with ServiceWithSamplers(url, memory_bytes) as service:
            yield service


def sampler(function: str, timeout_seconds: float = 60.0, **options: Any) -> Json:
    return {"entrypoint": f"{MODULE}:{function}", "options": options, "timeout_seconds": timeout_seconds}


def claim(service: Service, study: str, n_trials: int = 1, **more: Any) -> list[Json]:
    """Leases of trials of a study, as soon as there are some: its sampler works in the background."""
    leases: list[Json] = []

    def granted() -> list[Json]:
        leases.extend(service.claim(study, n_trials, wait_seconds=1, **more))
        return leases

    until(granted, f"a trial of {study}")
    return leases


def run(service: Service, study: str, n_trials: int = 1, value: float = 0.5) -> list[Json]:
    """Claim, report once and complete trials, one after another; their leases."""
    leases = []
    for _ in range(n_trials):
        (lease,) = claim(service, study)
        service.report(lease, 0, value)
        service.complete(lease, value)
        leases.append(lease)
    return leases
