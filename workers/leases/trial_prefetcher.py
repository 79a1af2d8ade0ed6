"""Claims trials on a background thread before their lanes are free, so that no lane waits for the service."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from service.client import ClientError, ServiceError
from service.client.retries import Retries, will_pass
from service.schemas.protocol import Lease
from service.schemas.study.allowance import NOTHING, Allowance
from workers.leases.claims import FAULT_PAUSE_SECONDS, Claims, is_service_fault
from workers.scheduling.leased_trial import LeasedTrial

logger = logging.getLogger("narrows.worker")

PAUSE_SECONDS = 1.0
"""Time between two claims while the service has no trial and others train."""


class Kind(NamedTuple):
    """Which trials to claim. The fields are those of `Claims.claim`."""

    n_lanes: int = 1
    allowance: Allowance = NOTHING
    study: str | None = None
    room: float | None = None


class TrialPrefetcher:
    """Keeps as many trials ready as `want` says.

    `receive` makes a trial of a lease, and is called on the thread. `news` is set when a trial is ready.
    """

    def __init__(
        self,
        claims: Claims,
        receive: Callable[[Lease], LeasedTrial],
        retries: Retries,
        clock: Callable[[], float] = time.monotonic,
        news: threading.Event | None = None,
    ) -> None:
        self._news = news or threading.Event()
        self._claims = claims
        self._receive = receive
        self._retries = retries
        self._clock = clock
        self._changed = threading.Condition()
        self._ready: deque[LeasedTrial] = deque()
        self._n_wanted = 0
        self._kind = Kind()
        self._pause_until = -float("inf")
        self._is_claiming = False
        self._error: Exception | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="prefetcher", daemon=True)
        self._thread.start()

    def want(self, n_trials: int, kind: Kind) -> None:
        """Keep `n_trials` of a kind ready from now on."""
        if (n_trials, kind) != (self._n_wanted, self._kind):
            with self._changed:
                self._n_wanted, self._kind = n_trials, kind
                self._changed.notify_all()

    def take(self) -> LeasedTrial | None:
        """The next trial that is ready, or None. Another one is claimed for it only after the next `want`."""
        if not self._ready:
            return None
        with self._changed:
            self._n_wanted = max(0, self._n_wanted - 1)  # until `want` says whether there is room for another one
            return self._ready.popleft()

    @property
    def found_nothing(self) -> bool:
        """Whether the service had no trial a moment ago."""
        return self._clock() < self._pause_until

    def check(self) -> None:
        """Raise the error that has ended the thread, such as the service's refusal of this worker's claims."""
        if self._error is not None:
            raise self._error

    def pause(self) -> bool:
        """Claim nothing further. True once no claim is under way and no trial is ready."""
        self.want(0, self._kind)
        return not self._is_claiming and not self._ready

    def wait_for_claim(self, timeout_seconds: float) -> None:
        """Wait until no claim is under way, at most this long."""
        with self._changed:
            self._changed.wait_for(lambda: not self._is_claiming, timeout_seconds)

    def close(self, timeout_seconds: float) -> list[LeasedTrial]:
        """End the thread. Returns the trials that are ready and were not taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(timeout_seconds)
        return list(self._ready)

    def _run(self) -> None:
        while True:
            with self._changed:
                while (n_trials := self._n_to_claim()) == 0 and not self._closed:
                    self._changed.wait(self._seconds_to_wait())
                if self._closed:
                    return
                kind, self._is_claiming = self._kind, True
            try:
                self._claim(n_trials, kind)
            except Exception as error:  # noqa: BLE001 - raised again in the thread that asks
                self._error = error
                return
            finally:
                with self._changed:
                    self._is_claiming = False
                    self._changed.notify_all()

    def _n_to_claim(self) -> int:
        n_missing = max(0, self._n_wanted - len(self._ready))
        return 0 if self.found_nothing else n_missing

    def _seconds_to_wait(self) -> float | None:
        left = self._pause_until - self._clock()
        return left if left > 0 else None

    def _claim(self, n_trials: int, kind: Kind) -> None:
        pause_seconds = PAUSE_SECONDS
        try:
            leases = self._claims.claim(
                n_trials,
                kind.n_lanes,
                0.0,
                self._retries,
                kind.allowance,
                fair=True,
                study=kind.study,
                room=kind.room,
            )
        except ClientError as error:
            # The study was deleted, and with it the trials in training.
            is_deletion = isinstance(error, ServiceError) and error.problem.code == "study_not_found"
            is_gone = is_deletion and kind.study is not None
            if not (will_pass(error) or is_gone or is_service_fault(error)):
                raise
            if is_service_fault(error):
                pause_seconds = FAULT_PAUSE_SECONDS
            logger.warning("%s; still asking", error)
            leases = []
        for lease in leases:
            self._ready.append(self._receive(lease))
            self._news.set()
        if not leases:
            self._pause_until = self._clock() + pause_seconds
