import pytest

from service.access import login_rate_limiter as attempts
from service.access.login_rate_limiter import AT_ONCE, MAX_ADDRESSES, SECONDS_EACH, LoginRateLimiter
from service.errors import TooManyAttemptsError
from tests.integration.service_driver import FakeClock


def exhaust(counted: LoginRateLimiter, address: str) -> None:
    for _ in range(AT_ONCE):
        counted.check(address)
        counted.failed(address)
    with pytest.raises(TooManyAttemptsError):
        counted.check(address)


def test_an_address_gets_its_attempts_back_one_by_one() -> None:
    clock = FakeClock()
    counted = LoginRateLimiter(clock)
    exhaust(counted, "10.0.0.1")
    counted.check("10.0.0.2")

    for _ in range(3):
        clock.advance(SECONDS_EACH)
        counted.check("10.0.0.1")
        counted.failed("10.0.0.1")
        with pytest.raises(TooManyAttemptsError):
            counted.check("10.0.0.1")


def test_the_wait_that_is_told_is_enough() -> None:
    clock = FakeClock()
    counted = LoginRateLimiter(clock)
    exhaust(counted, "10.0.0.1")
    clock.advance(0.3)
    with pytest.raises(TooManyAttemptsError) as refused:
        counted.check("10.0.0.1")
    assert refused.value.retry_after_seconds == 10
    clock.advance(refused.value.retry_after_seconds)
    counted.check("10.0.0.1")


def test_an_ipv6_network_is_one_address() -> None:
    counted = LoginRateLimiter(FakeClock())
    exhaust(counted, "2001:db8::1")
    for same in ("2001:db8::2", "2001:db8:0:0:ffff::1", "2001:db8::3%eth0"):
        with pytest.raises(TooManyAttemptsError):
            counted.check(same)
    counted.check("2001:db8:0:1::1")
    exhaust(counted, "::ffff:10.0.0.1")
    with pytest.raises(TooManyAttemptsError):
        counted.check("10.0.0.1")


def test_addresses_that_have_all_their_attempts_are_forgotten() -> None:
    clock = FakeClock()
    counted = LoginRateLimiter(clock)
    for number in range(100):
        counted.failed(f"10.0.0.{number}")
    assert len(counted) == 100
    clock.advance(SECONDS_EACH)
    counted.failed("10.0.1.1")
    assert len(counted) == 1


def test_memory_is_bounded_and_who_fails_now_is_kept() -> None:
    clock = FakeClock()
    counted = LoginRateLimiter(clock)
    for number in range(MAX_ADDRESSES + 500):
        if number % 1000 == 0:
            counted.failed("172.16.0.1")
        counted.failed(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(counted) <= MAX_ADDRESSES
    assert attempts._key("172.16.0.1") in counted._whole_at
