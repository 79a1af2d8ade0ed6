"""Claims: how a worker asks the service for trials."""

import logging
import math
import shlex
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from http import HTTPStatus
from uuid import uuid4

from service.client import Client, ClientError, ServiceError
from service.client.retries import Retries, will_pass
from service.schemas.protocol import Claim, Lease
from service.schemas.study.allowance import NOTHING, Allowance
from service.schemas.worker_info import WorkerInfo
from service.schemas.worker_seconds import WorkerSeconds
from workers.leases.study_backoff import StudyBackoff

logger = logging.getLogger("narrows.worker")

CLOSING_SECONDS = 3.0
TELL_SECONDS = 60.0
FAULT_PAUSE_SECONDS = 5.0
"""Time between two claims while the service answers them with an internal error."""


def is_service_fault(error: ClientError) -> bool:
    """Whether the service failed to answer because of an error of its own, perhaps in one of its studies."""
    return isinstance(error, ServiceError) and error.status == HTTPStatus.INTERNAL_SERVER_ERROR


class Claims:
    """Sends one claim at a time. A claim that was not answered is sent again under its id, so that no lease is lost.

    `seconds` returns what the worker has spent its time on. `study` limits all claims to one study. No claim takes
    trials of studies that rest. Safe for threads.
    """

    def __init__(
        self,
        client: Client,
        worker: WorkerInfo,
        backoff: StudyBackoff,
        seconds: Callable[[], WorkerSeconds],
        *,
        study: str | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seconds = seconds
        self._backoff = backoff
        self._client = client
        self._worker = worker
        self._study = study
        self._lock = threading.Lock()
        self._open: Claim | None = None
        self._clock = clock
        self._tells_at = -math.inf

    def claim(
        self,
        n_trials: int,
        n_lanes: int,
        wait_seconds: float,
        retries: Retries,
        allowance: Allowance = NOTHING,
        *,
        fair: bool = False,
        study: str | None = None,
        room: float | None = None,
    ) -> list[Lease]:
        """Leases of up to `n_trials` trials; empty if there is none within `wait_seconds`. Raises ClientError.

        n_lanes: how many trials the worker trains at a time. allowance: the users' code that it runs. fair:
        take no more than this worker's share of the trials that are left. study: take trials of this study only. room:
        take only trials of users' code that use at most this share of a device.
        """
        with self._lock:
            claim = self._open or self._new(n_trials, n_lanes, allowance, fair=fair, study=study, room=room)
            self._open = claim = claim.model_copy(update={"wait_seconds": wait_seconds})
            try:
                claimed = retries(lambda: self._client.claim(claim))
            except ClientError as error:
                if not will_pass(error):  # the service would refuse the same claim again
                    self._open = None
                raise
            self._open = None
            self._tell_not_allowed(claimed.not_allowed)
            return claimed.leases

    def _tell_not_allowed(self, flags: Sequence[str]) -> None:
        """Log, once in TELL_SECONDS, which flags studies wait for that this worker was not started with."""
        if flags and self._clock() >= self._tells_at:
            self._tells_at = self._clock() + TELL_SECONDS
            logger.info("studies wait for a worker with %s", ", or ".join(flags))

    def _new(
        self,
        n_trials: int,
        n_lanes: int,
        allowance: Allowance,
        *,
        fair: bool,
        study: str | None,
        room: float | None,
    ) -> Claim:
        claim = Claim(
            claim_id=uuid4().hex,
            worker=self._worker.model_copy(update={"n_lanes": n_lanes, "seconds": self._seconds()}),
            max_trials=n_trials,
            fair=fair,
            study=study or self._study,
            except_studies=self._backoff.resting(),
            allow=list(allowance.entrypoints),
        )
        if allowance.commands:  # an older service does not know these fields
            claim.allow_commands = [shlex.join(words) for words in allowance.commands]
        if room is not None:
            claim.room = room
        if allowance.environment:
            claim.allow_environment = list(allowance.environment)
        return claim

    def return_unanswered(self) -> None:
        """Release the leases that an unanswered claim may have been granted: sending it again returns them."""
        if self._open is None:
            return
        retries = Retries(CLOSING_SECONDS)
        again = self._open.model_copy(update={"wait_seconds": 0.0})
        try:
            for lease in retries(lambda: self._client.claim(again)).leases:
                retries(partial(self._client.release, lease.lease_id))
        except ClientError as error:
            logger.warning("cannot give a claim back: %s", error)
