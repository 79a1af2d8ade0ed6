"""The life of one worker process: claim a trial, train it, hand in its outcome, again."""

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, TypeVar

from service.client import Client, ClientError
from service.client.retries import Retries
from service.schemas.data import Dataset
from service.schemas.protocol import Lease, WorkerInfo
from workers.account import Account
from workers.claims import Claims
from workers.delivery import AWAY_LIMIT_SECONDS, CLOSING_SECONDS, Delivery, title
from workers.faults import Fault, fault_of
from workers.reporter import Reporter
from workers.stopping import Ended, Interrupted, Stopping

logger = logging.getLogger("narrows.worker")

Data = TypeVar("Data")
Metrics = dict[str, float]

POLL_SECONDS = 0.2
LONGEST_REST_SECONDS = 60.0
ENDINGS = {"prune": "PRUNED", "stop": "stopped with its study", "lost": "lost to another worker"}


class Trainer(Protocol[Data]):
    """What trains: the data of a study, ready on this device, and one trial on it."""

    def prepare(self, dataset: Dataset) -> Data: ...

    def train(
        self, lease: Lease, data: Data, report: Callable[[int, Metrics], None], should_stop: Callable[[], bool]
    ) -> Metrics | None:
        """The final metrics, or None when `should_stop` ended it."""


class BrokenDeviceError(Exception):
    """This process can train nothing any more; a fresh one may."""


class Loop:
    """Trains trials on one device until it is asked to stop, or was without one for `exit_when_idle_seconds`."""

    def __init__(
        self,
        client: Client,
        worker: WorkerInfo,
        trainer: Trainer[Any],
        stopping: Stopping,
        *,
        study: str | None = None,
        exit_when_idle_seconds: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._device = worker.device
        self._trainer = trainer
        self._stopping = stopping
        self._clock = clock
        self._account = Account(clock)
        self._claims = Claims(
            client, worker, stopping, self._account, clock, study=study, exit_when_idle_seconds=exit_when_idle_seconds
        )
        self._delivery = Delivery(client, stopping)
        self._ended = Ended(stopping)
        self._reporter = Reporter(client, Retries(AWAY_LIMIT_SECONDS, self._ended), clock)
        self._rest_seconds = 0.0

    def run(self) -> None:
        """Raises ClientError when the service will not have this worker, and BrokenDeviceError."""
        try:
            while not self._stopping.is_set() and (lease := self._claims.next()) is not None:
                self._work_on(lease)
                self._rest()
        except Interrupted:
            pass
        finally:
            self._ended.set()
            self._reporter.close()
            logger.info("ends after %s", self._account)

    def _work_on(self, lease: Lease) -> None:
        self._reporter.follow(lease)
        try:
            self._hand_in(lease, self._train(lease))
        except Interrupted:
            self._delivery.release(lease)
        except ClientError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a trial raises ends the trial, not the worker
            self._give_up(lease, error)
        finally:
            self._reporter.forget(lease.lease_id)

    def _train(self, lease: Lease) -> Metrics | None:
        with self._stopping.interruptible():
            data = self._trainer.prepare(lease.training.dataset)
        self._account.switch("training")
        try:
            return self._trainer.train(
                lease, data, partial(self._reporter.report, lease.lease_id), partial(self._should_stop, lease.lease_id)
            )
        finally:
            self._account.switch("waiting")

    def _should_stop(self, lease_id: str) -> bool:
        return self._stopping.is_set() or self._reporter.decision(lease_id) != "continue"

    def _hand_in(self, lease: Lease, metrics: Metrics | None) -> None:
        """Close the trial, unless the service has closed it with its decision on a report."""
        self._rest_seconds = 0.0
        answered = metrics is not None and self._reports_answered(lease.lease_id)
        waiting_seconds = self._account.take_waiting()
        decision = self._reporter.decision(lease.lease_id)
        refusal = self._reporter.refusal(lease.lease_id)
        if refusal is not None:
            self._delivery.fail(lease, Fault(f"the service refused a report: {refusal}"))
        elif decision != "continue":
            logger.info("%s: %s", title(lease), ENDINGS[decision])
        elif metrics is None or not answered:
            self._delivery.release(lease)
        else:
            self._delivery.complete(lease, {**metrics, "waiting_seconds": waiting_seconds})

    def _reports_answered(self, lease_id: str) -> bool:
        """Wait until the service has answered every report; not for long when this process was asked to end."""
        deadline = self._clock() + AWAY_LIMIT_SECONDS
        while not self._reporter.flush(lease_id, POLL_SECONDS):
            if self._stopping.is_set():
                return self._reporter.flush(lease_id, CLOSING_SECONDS)
            if self._clock() >= deadline:
                return False
        return True

    def _give_up(self, lease: Lease, error: Exception) -> None:
        fault = fault_of(error, self._device)
        if not fault.expected:
            logger.error("%s: unexpected error", title(lease), exc_info=error)
        self._account.take_waiting()
        self._delivery.fail(lease, fault)
        if fault.broken:
            raise BrokenDeviceError(fault.reason) from error
        if fault.retry:
            self._rest_seconds = min(LONGEST_REST_SECONDS, max(1.0, 2 * self._rest_seconds))

    def _rest(self) -> None:
        """Leave the next trials to other machines for a while, when this one lacks what they need."""
        if self._rest_seconds:
            self._account.switch("idle")
            self._stopping.wait(self._rest_seconds)
            self._account.switch("waiting")
