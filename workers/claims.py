import logging
from collections.abc import Callable
from functools import partial
from uuid import uuid4

from service.client import Client, ClientError
from service.client.retries import Retries, will_pass
from service.schemas.protocol import Claim, Lease, WorkerInfo
from workers.account import Account
from workers.stopping import Interrupted, Stopping

logger = logging.getLogger("narrows.worker")

LONG_POLL_SECONDS = 20.0
AWAY_LIMIT_SECONDS = 60.0
CLOSING_SECONDS = 3.0


class Claims:
    """Asks the service for trials, one at a time."""

    def __init__(
        self,
        client: Client,
        worker: WorkerInfo,
        stopping: Stopping,
        account: Account,
        clock: Callable[[], float],
        *,
        study: str | None,
        exit_when_idle_seconds: float | None,
    ) -> None:
        self._client = client
        self._worker = worker
        self._stopping = stopping
        self._account = account
        self._clock = clock
        self._study = study
        self._patience_seconds = float("inf") if exit_when_idle_seconds is None else exit_when_idle_seconds
        self._retries = Retries(min(AWAY_LIMIT_SECONDS, self._patience_seconds), stopping)

    def next(self) -> Lease | None:
        """The next trial, as soon as there is one; None after too long without.

        The first question is part of the trial's own waiting; from then on the worker is idle. Raises Interrupted,
        ServiceError, and UnreachableError when the service was away for all of the time.
        """
        asked_at = self._clock()
        left = self._patience_seconds
        lease, error = self._ask(wait_seconds=0.0)
        while lease is None:
            if left <= 0:
                if error is not None:
                    raise error
                return None
            self._account.switch("idle")
            lease, error = self._ask(min(LONG_POLL_SECONDS, left))
            self._account.switch("waiting")
            left = asked_at + self._patience_seconds - self._clock()
        return lease

    def _ask(self, wait_seconds: float) -> tuple[Lease | None, ClientError | None]:
        claim = Claim(
            claim_id=uuid4().hex, worker=self._worker, max_trials=1, study=self._study, wait_seconds=wait_seconds
        )
        try:
            with self._stopping.interruptible():
                leases = self._retries(lambda: self._client.claim(claim)).leases
        except Interrupted:
            self._give_back(claim)
            raise
        except ClientError as error:
            if not will_pass(error):
                raise
            logger.warning("%s; still asking", error)
            return None, error
        return (leases[0] if leases else None), None

    def _give_back(self, claim: Claim) -> None:
        """Release what a claim that was left in the middle may have brought: the same claim again tells."""
        again = claim.model_copy(update={"wait_seconds": 0.0})
        retries = Retries(CLOSING_SECONDS)
        try:
            for lease in retries(lambda: self._client.claim(again)).leases:
                retries(partial(self._client.release, lease.lease_id))
        except ClientError as error:
            logger.warning("cannot give a claim back: %s", error)
