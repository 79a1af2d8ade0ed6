import pytest

from service.access import login_rate_limiter
from service.access.login_rate_limiter import MAX_ADDRESSES, MAX_FAILURES, SECONDS_PER_FAILURE, LoginRateLimiter
from service.errors import TooManyAttemptsError
from tests.integration.service_driver import FakeClock


def exhaust(limiter: LoginRateLimiter, address: str) -> None:
    for _ in range(MAX_FAILURES):
        limiter.check_attempts_left(address)
        limiter.count_failure(address)
    with pytest.raises(TooManyAttemptsError):
        limiter.check_attempts_left(address)


def test_an_address_gets_its_attempts_back_one_by_one() -> None:
    clock = FakeClock()
    limiter = LoginRateLimiter(clock)
    exhaust(limiter, "10.0.0.1")
    limiter.check_attempts_left("10.0.0.2")

    for _ in range(3):
        clock.advance(SECONDS_PER_FAILURE)
        limiter.check_attempts_left("10.0.0.1")
        limiter.count_failure("10.0.0.1")
        with pytest.raises(TooManyAttemptsError):
            limiter.check_attempts_left("10.0.0.1")


def test_the_wait_that_is_told_is_enough() -> None:
    clock = FakeClock()
    limiter = LoginRateLimiter(clock)
    exhaust(limiter, "10.0.0.1")
    clock.advance(0.3)
    with pytest.raises(TooManyAttemptsError) as refused:
        limiter.check_attempts_left("10.0.0.1")
    assert refused.value.retry_after_seconds == 10
    clock.advance(refused.value.retry_after_seconds)
    limiter.check_attempts_left("10.0.0.1")


def test_an_ipv6_network_is_one_address() -> None:
    limiter = LoginRateLimiter(FakeClock())
    exhaust(limiter, "2001:db8::1")
    for same in ("2001:db8::2", "2001:db8:0:0:ffff::1", "2001:db8::3%eth0"):
        with pytest.raises(TooManyAttemptsError):
            limiter.check_attempts_left(same)
    limiter.check_attempts_left("2001:db8:0:1::1")
    exhaust(limiter, "::ffff:10.0.0.1")
    with pytest.raises(TooManyAttemptsError):
        limiter.check_attempts_left("10.0.0.1")


def test_addresses_that_have_all_their_attempts_are_forgotten() -> None:
    clock = FakeClock()
    limiter = LoginRateLimiter(clock)
    for number in range(100):
        limiter.count_failure(f"10.0.0.{number}")
    assert len(limiter) == 100
    clock.advance(SECONDS_PER_FAILURE)
    limiter.count_failure("10.0.1.1")
    assert len(limiter) == 1


def test_memory_is_bounded_and_who_fails_now_is_kept() -> None:
    clock = FakeClock()
    limiter = LoginRateLimiter(clock)
    for number in range(MAX_ADDRESSES + 500):
        if number % 1000 == 0:
            limiter.count_failure("172.16.0.1")
        limiter.count_failure(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(limiter) <= MAX_ADDRESSES
    assert login_rate_limiter._key("172.16.0.1") in limiter._clear_at
