"""Trials that are claimed before a lane is free for them, on a thread, so that no lane waits for the service."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from service.client import ClientError, ServiceError
from service.client.retries import Retries, will_pass
from service.schemas.protocol import Lease
from workers.leases.claims import Claims
from workers.scheduling.leased_trial import LeasedTrial

logger = logging.getLogger("narrows.worker")

PAUSE_SECONDS = 1.0
"""Between two questions while others train and the service has no trial."""


class TrialPrefetcher:
    """Keeps as many trials ready as are wanted. `receive` makes a lease a trial to be loaded."""

    def __init__(
        self,
        claims: Claims,
        receive: Callable[[Lease], LeasedTrial],
        retries: Retries,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._claims = claims
        self._receive = receive
        self._retries = retries
        self._clock = clock
        self._changed = threading.Condition()
        self._ready: deque[LeasedTrial] = deque()
        self._wanted, self._n_lanes = 0, 1
        self._allow: Sequence[str] = ()
        self._study: str | None = None
        self._pause_until = -float("inf")
        self._asking = False
        self._error: ClientError | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="prefetcher", daemon=True)
        self._thread.start()

    def want(self, n_trials: int, n_lanes: int, allow: Sequence[str] = (), study: str | None = None) -> None:
        """How many to keep ready from now on, for a worker with so many lanes; of allowed entrypoints, of one study."""
        wanted = n_trials, n_lanes, allow, study
        if wanted != (self._wanted, self._n_lanes, self._allow, self._study):
            with self._changed:
                self._wanted, self._n_lanes, self._allow, self._study = wanted
                self._changed.notify_all()

    def take(self) -> LeasedTrial | None:
        """The next trial that is ready."""
        if not self._ready:
            return None
        with self._changed:
            self._wanted = max(0, self._wanted - 1)  # until it is said anew whether there is room for one more
            return self._ready.popleft()

    @property
    def found_nothing(self) -> bool:
        """Whether the service had no trial when it was last asked."""
        return self._clock() < self._pause_until

    def check(self) -> None:
        """Raise what ended the asking: the service will not have this worker."""
        if self._error is not None:
            raise self._error

    def pause(self) -> bool:
        """Want nothing, and say whether nothing is under way or ready any more."""
        self.want(0, self._n_lanes)
        return not self._asking and not self._ready

    def close(self, timeout_seconds: float) -> list[LeasedTrial]:
        """Ask no more; returns what is ready and was not taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(timeout_seconds)
        return list(self._ready)

    def _run(self) -> None:
        while True:
            with self._changed:
                while (n_trials := self._n_to_ask()) == 0 and not self._closed:
                    self._changed.wait(self._seconds_to_wait())
                if self._closed or self._error is not None:
                    return
                n_lanes, allow, study, self._asking = self._n_lanes, self._allow, self._study, True
            try:
                self._ask(n_trials, n_lanes, allow, study)
            finally:
                self._asking = False

    def _n_to_ask(self) -> int:
        lacking = max(0, self._wanted - len(self._ready))
        return 0 if self._clock() < self._pause_until else lacking

    def _seconds_to_wait(self) -> float | None:
        left = self._pause_until - self._clock()
        return left if left > 0 else None

    def _ask(self, n_trials: int, n_lanes: int, allow: Sequence[str], study: str | None) -> None:
        try:
            leases = self._claims.claim(n_trials, n_lanes, 0.0, self._retries, allow, fair=True, study=study)
        except ClientError as error:
            # The trials in training are of that study, and lost by now.
            is_gone = study is not None and isinstance(error, ServiceError) and error.problem.code == "study_not_found"
            if not will_pass(error) and not is_gone:
                self._error = error
                return
            logger.warning("%s; still asking", error)
            leases = []
        for lease in leases:
            self._ready.append(self._receive(lease))
        if not leases:
            self._pause_until = self._clock() + PAUSE_SECONDS
