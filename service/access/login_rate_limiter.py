"""Limits wrong tokens for each network address."""

import ipaddress
import math
import threading
from collections import OrderedDict

from service.clock import Clock
from service.errors import TooManyAttemptsError

MAX_FAILURES = 10
SECONDS_PER_FAILURE = 10.0
MAX_ADDRESSES = 10_000


class LoginRateLimiter:
    """Allows an address ten wrong tokens at once and one more every ten seconds.

    For each address it keeps the time at which all ten are available again, and forgets the address after that time.
    Above MAX_ADDRESSES, it forgets the addresses whose last failure is the oldest.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._clear_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._clear_at)

    def check_attempts_left(self, address: str) -> None:
        """Raises TooManyAttemptsError when the address has no attempt left."""
        remaining = self._clear_at.get(_key(address), -math.inf) - self._clock.monotonic()
        seconds = remaining - (MAX_FAILURES - 1) * SECONDS_PER_FAILURE
        if seconds > 0:
            wait = math.ceil(seconds)
            raise TooManyAttemptsError(f"too many wrong tokens from {address}: try again in {wait} s", wait)

    def count_failure(self, address: str) -> None:
        """Count a wrong token from an address."""
        now, key = self._clock.monotonic(), _key(address)
        with self._lock:
            self._clear_at[key] = max(now, self._clear_at.get(key, now)) + SECONDS_PER_FAILURE
            self._clear_at.move_to_end(key)
            self._forget(now)

    def _forget(self, now: float) -> None:
        while self._clear_at:
            oldest = next(iter(self._clear_at))
            if self._clear_at[oldest] > now and len(self._clear_at) <= MAX_ADDRESSES:
                return
            del self._clear_at[oldest]


def _key(address: str) -> str:
    """The IPv4 address, or the /64 network of an IPv6 address: its user can take every address in it."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(parsed.ipv4_mapped or ipaddress.IPv6Network((parsed, 64), strict=False))
