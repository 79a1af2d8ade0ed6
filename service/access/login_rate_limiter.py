"""Wrong tokens, counted by the address that they come from."""

import ipaddress
import math
import threading
from collections import OrderedDict

from service.clock import Clock
from service.errors import TooManyAttemptsError

AT_ONCE = 10
SECONDS_EACH = 10.0
MAX_ADDRESSES = 10_000


class LoginRateLimiter:
    """Lets ten wrong tokens of an address pass, and one more every ten seconds.

    What is kept of an address is when it will have all its attempts again; those that have are forgotten. When there
    are too many addresses, the ones that failed least recently are.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._whole_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._whole_at)

    def check(self, address: str) -> None:
        """Raises TooManyAttemptsError when no attempt is left."""
        owed = self._whole_at.get(_key(address), -math.inf) - self._clock.monotonic()
        seconds = owed - (AT_ONCE - 1) * SECONDS_EACH
        if seconds > 0:
            wait = math.ceil(seconds)
            raise TooManyAttemptsError(f"too many wrong tokens from {address}: try again in {wait} s", wait)

    def failed(self, address: str) -> None:
        """Count a wrong token."""
        now, key = self._clock.monotonic(), _key(address)
        with self._lock:
            self._whole_at[key] = max(now, self._whole_at.get(key, now)) + SECONDS_EACH
            self._whole_at.move_to_end(key)
            self._forget(now)

    def _forget(self, now: float) -> None:
        while self._whole_at:
            oldest = next(iter(self._whole_at))
            if self._whole_at[oldest] > now and len(self._whole_at) <= MAX_ADDRESSES:
                return
            del self._whole_at[oldest]


def _key(address: str) -> str:
    """The address, or its network in IPv6: whoever has one of its addresses has them all."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(parsed.ipv4_mapped or ipaddress.IPv6Network((parsed, 64), strict=False))
