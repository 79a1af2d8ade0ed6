"""Calls that are repeated while the service is away."""

import random
import statistics
from threading import Event

import httpx
import pytest

from service.client import ServiceError
from service.client.retries import Retries
from tests.unit.service.client.stand_in import STUDY, Service, problem


class NoTime(Event):
    """Waits without waiting; `waited` has the seconds that were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.waited: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waited.append(timeout or 0.0)
        return self.is_set()


@pytest.mark.parametrize(
    "away", [problem(503), problem(502), problem(429), httpx.ConnectError("refused"), httpx.ReadTimeout("slow")]
)
def test_calls_are_repeated_while_the_service_is_away(away: httpx.Response | httpx.TransportError) -> None:
    service, time = Service(away, away, httpx.Response(200, json=STUDY)), NoTime()
    with service.client() as client:
        study = Retries(60, time)(lambda: client.study("digits"))
    assert study.name == "digits"
    assert len(time.waited) == 2
    assert all(0 <= seconds <= 1 for seconds in time.waited)


def test_waits_grow_to_a_limit_and_are_spread_out() -> None:
    """Or all workers of a service that comes back would call it at the same moment, again and again."""
    random.seed(0)

    def waited() -> list[float]:
        service, time = Service(*[problem(503)] * 8, httpx.Response(200, json=STUDY)), NoTime()
        with service.client() as client:
            Retries(60, time, longest_wait_seconds=4.0)(lambda: client.study("digits"))
        return time.waited

    rows = [waited() for _ in range(200)]
    for waits, ceiling in zip(zip(*rows, strict=True), (0.5, 1, 2, 4, 4, 4, 4, 4), strict=True):
        assert 0 <= min(waits) < 0.1 * ceiling
        assert 0.9 * ceiling < max(waits) <= ceiling
        assert 0.4 * ceiling < statistics.mean(waits) < 0.6 * ceiling


def test_the_time_limit_is_one_for_all_attempts() -> None:
    attempts = 100_000  # far more than there is time for
    service = Service(*[problem(503)] * attempts)
    with service.client() as client, pytest.raises(ServiceError):
        Retries(0.05, NoTime(), longest_wait_seconds=0.0)(lambda: client.study("digits"))
    assert 1 < len(service.requests) < attempts


def test_retry_after_is_honoured() -> None:
    service, time = Service(problem(503, **{"Retry-After": "7"}), httpx.Response(200, json=STUDY)), NoTime()
    with service.client() as client:
        Retries(60, time)(lambda: client.study("digits"))
    assert time.waited == [7.0]


def test_a_refusal_is_not_repeated() -> None:
    service = Service(problem(404))
    with service.client() as client, pytest.raises(ServiceError):
        Retries(60, NoTime())(lambda: client.study("digits"))
    assert len(service.requests) == 1


def test_the_limit_ends_the_repeating() -> None:
    service = Service(problem(503, **{"Retry-After": "7"}))
    with service.client() as client, pytest.raises(ServiceError):
        Retries(5, NoTime())(lambda: client.study("digits"))
    assert len(service.requests) == 1


def test_giving_up_ends_the_repeating() -> None:
    service, give_up = Service(problem(503)), NoTime()
    give_up.set()
    with service.client() as client, pytest.raises(ServiceError):
        Retries(60, give_up)(lambda: client.study("digits"))
    assert len(service.requests) == 1
