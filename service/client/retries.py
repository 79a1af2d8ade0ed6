"""Repeats calls that are safe to repeat: those of workers, by claim_id, (lease_id, step) or lease_id."""

import logging
from collections.abc import Callable
from threading import Event
from typing import Protocol, TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_before_delay,
    wait_random_exponential,
)

from service.client.errors import ServiceError, UnreachableError

logger = logging.getLogger("narrows.client")
Answer = TypeVar("Answer")

PASSING_STATUS = (408, 429, 502, 503, 504)
FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 5.0
LONGEST_RETRY_AFTER_SECONDS = 60.0


class GiveUp(Protocol):
    """A flag that ends retries. A threading.Event is one."""

    def is_set(self) -> bool:
        """Whether the retries should end."""

    def wait(self, seconds: float, /) -> object:
        """Return when the flag is set, or after `seconds`."""


class Retries:
    """Repeats a call while the service is away, with exponential backoff, full jitter, Retry-After and a total limit.

    Raises the last error when the limit is over or `give_up` is set, and every other error at once. `give_up` also ends
    a wait in progress.
    """

    def __init__(
        self,
        limit_seconds: float,
        give_up: GiveUp | None = None,
        *,
        longest_wait_seconds: float = LONGEST_WAIT_SECONDS,
    ) -> None:
        self._give_up = give_up or Event()
        self._limit = stop_before_delay(limit_seconds)
        self._backoff = wait_random_exponential(multiplier=FIRST_WAIT_SECONDS, max=longest_wait_seconds)
        self._retrying = Retrying(
            sleep=self._sleep,
            wait=self._wait_seconds,
            stop=self._stop,
            retry=retry_if_exception(will_pass),
            before_sleep=_log,
            reraise=True,
        )

    def __call__(self, call: Callable[[], Answer], longest_wait_seconds: float | None = None) -> Answer:
        """The call's answer. No wait is longer than `longest_wait_seconds`, not even one that the service asks for."""
        if longest_wait_seconds is None:
            return self._retrying(call)
        longest = longest_wait_seconds
        return self._retrying.copy(wait=lambda state: min(longest, self._wait_seconds(state)))(call)

    def _sleep(self, seconds: float) -> None:
        self._give_up.wait(seconds)

    def _stop(self, state: RetryCallState) -> bool:
        return self._give_up.is_set() or self._limit(state)

    def _wait_seconds(self, state: RetryCallState) -> float:
        error = _error(state)
        if isinstance(error, ServiceError) and error.retry_after_seconds is not None:
            return min(error.retry_after_seconds, LONGEST_RETRY_AFTER_SECONDS)
        return self._backoff(state)


def will_pass(error: BaseException) -> bool:
    """Whether the same call may succeed later."""
    if isinstance(error, ServiceError):
        return error.status in PASSING_STATUS
    return isinstance(error, UnreachableError)


def _error(state: RetryCallState) -> BaseException | None:
    return None if state.outcome is None else state.outcome.exception()


def _log(state: RetryCallState) -> None:
    level = logging.WARNING if state.attempt_number in (1, 10) else logging.DEBUG
    logger.log(level, "%s; trying again", _error(state))
