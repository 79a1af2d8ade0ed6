"""Claims: how a worker asks the service for trials."""

import logging
import threading
from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from uuid import uuid4

from service.client import Client, ClientError, ServiceError
from service.client.retries import Retries, will_pass
from service.schemas.protocol import Claim, Lease, WorkerInfo
from workers.leases.study_backoff import StudyBackoff

logger = logging.getLogger("narrows.worker")

CLOSING_SECONDS = 3.0


FAULT_PAUSE_SECONDS = 5.0
"""Time between two claims while the service answers them with an internal error."""


def is_service_fault(error: ClientError) -> bool:
    """Whether the service failed to answer because of an error of its own, perhaps in one of its studies."""
    return isinstance(error, ServiceError) and error.status == HTTPStatus.INTERNAL_SERVER_ERROR


class Claims:
    """Sends one claim at a time. A claim that was not answered is sent again under its id, so that no lease is lost.

    `study` limits all claims to one study. No claim takes trials of studies that rest. Safe for threads.
    """

    def __init__(self, client: Client, worker: WorkerInfo, backoff: StudyBackoff, *, study: str | None) -> None:
        self._backoff = backoff
        self._client = client
        self._worker = worker
        self._study = study
        self._lock = threading.Lock()
        self._open: Claim | None = None

    def claim(
        self,
        n_trials: int,
        n_lanes: int,
        wait_seconds: float,
        retries: Retries,
        allow: Sequence[str] = (),
        *,
        fair: bool = False,
        study: str | None = None,
    ) -> list[Lease]:
        """Leases of up to `n_trials` trials; empty if there is none within `wait_seconds`. Raises ClientError.

        n_lanes: how many trials the worker trains at a time. allow: prefixes of the entrypoints that it runs. fair:
        take no more than this worker's share of the trials that are left. study: take trials of this study only.
        """
        with self._lock:
            claim = self._open or Claim(
                claim_id=uuid4().hex,
                worker=self._worker.model_copy(update={"n_lanes": n_lanes}),
                max_trials=n_trials,
                fair=fair,
                study=study or self._study,
                except_studies=self._backoff.resting(),
                allow=list(allow),
            )
            self._open = claim = claim.model_copy(update={"wait_seconds": wait_seconds})
            try:
                leases = retries(lambda: self._client.claim(claim)).leases
            except ClientError as error:
                if not will_pass(error):  # the service would refuse the same claim again
                    self._open = None
                raise
            self._open = None
            return leases

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
