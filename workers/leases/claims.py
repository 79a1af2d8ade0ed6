import logging
import threading
from collections.abc import Sequence
from functools import partial
from uuid import uuid4

from service.client import Client, ClientError
from service.client.retries import Retries, will_pass
from service.schemas.protocol import Claim, Lease, WorkerInfo

logger = logging.getLogger("narrows.worker")

CLOSING_SECONDS = 3.0


class Claims:
    """Asks the service for trials, one claim at a time. A claim without an answer is made again, so none is lost."""

    def __init__(self, client: Client, worker: WorkerInfo, *, study: str | None) -> None:
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
        """Up to so many trials, as soon as there is one; or one of an allowed entrypoint. Raises ClientError.

        With `fair` no more than this worker's part of those that are left; with `study` of that one alone.
        """
        with self._lock:
            claim = self._open or Claim(
                claim_id=uuid4().hex,
                worker=self._worker.model_copy(update={"n_lanes": n_lanes}),
                max_trials=n_trials,
                fair=fair,
                study=study or self._study,
                allow=list(allow),
            )
            self._open = claim = claim.model_copy(update={"wait_seconds": wait_seconds})
            try:
                leases = retries(lambda: self._client.claim(claim)).leases
            except ClientError as error:
                if not will_pass(error):  # the same claim again would be refused as this one
                    self._open = None
                raise
            self._open = None
            return leases

    def return_unanswered(self) -> None:
        """Give back what a claim without an answer may have brought: the same claim again tells."""
        if self._open is None:
            return
        retries = Retries(CLOSING_SECONDS)
        again = self._open.model_copy(update={"wait_seconds": 0.0})
        try:
            for lease in retries(lambda: self._client.claim(again)).leases:
                retries(partial(self._client.release, lease.lease_id))
        except ClientError as error:
            logger.warning("cannot give a claim back: %s", error)
