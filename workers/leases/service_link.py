"""Everything by which one worker process talks to the service."""

import threading
import time
from collections.abc import Callable

from service.client import Client
from service.client.retries import Retries
from service.schemas.protocol import Lease
from service.schemas.study.training import Training
from service.schemas.worker_info import WorkerInfo
from service.schemas.worker_seconds import WorkerSeconds
from workers.fleet.stopping import StopFlag, Stopping
from workers.leases.checkpoint_keeper import CheckpointKeeper
from workers.leases.claims import Claims
from workers.leases.errands import Errands
from workers.leases.model_uploader import ModelUploader
from workers.leases.outcome_client import AWAY_LIMIT_SECONDS, OutcomeClient
from workers.leases.reporter import Reporter
from workers.leases.study_backoff import StudyBackoff
from workers.leases.study_facts import StudyFactsCache
from workers.leases.trial_finisher import TrialFinisher
from workers.leases.trial_prefetcher import TrialPrefetcher
from workers.options import KeepModels
from workers.scheduling.leased_trial import LeasedTrial
from workers.sinks.metric_fanout import MetricFanout

CLAIM_LIMIT_SECONDS = 60.0
"""Retry limit of claims, of downloads that a trial starts with, and of models."""
STUDY_LIMIT_SECONDS = 10.0
"""Retry limit of questions about a study, for which training waits."""
POLL_SECONDS = 0.05
CLOSING_SECONDS = 20.0
"""How long a process that was asked to end still works on its errands."""


class ServiceLink:
    """Claims, reports, outcomes and files, each on the thread where training does not wait for it.

    The claims, the prefetcher and the study facts bring something in; the reporter, the finisher and the errands take
    something out.
    """

    def __init__(
        self,
        client: Client,
        worker: WorkerInfo,
        stopping: Stopping,
        study: str | None,
        keep_models: KeepModels,
        n_processes: int,
        fanout: MetricFanout,
        seconds: Callable[[], WorkerSeconds],
        news: threading.Event,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`news` is set when the prefetcher has a trial ready."""
        self._stopping = stopping
        self._clock = clock
        self._ended = StopFlag(stopping)
        self.errands = Errands()
        self.studies = StudyFactsCache(client, self._retries(STUDY_LIMIT_SECONDS), n_processes)
        self.reporter = Reporter(client, self._retries(AWAY_LIMIT_SECONDS), clock, fanout)
        self._checkpoints = CheckpointKeeper(client, self.reporter)
        self.backoff = StudyBackoff(clock)
        self.claims = Claims(client, worker, self.backoff, seconds, study=study, clock=clock)
        self.prefetcher = TrialPrefetcher(self.claims, self.receive, self._retries(CLAIM_LIMIT_SECONDS), clock, news)
        models = ModelUploader(client, self.studies, keep_models, self._retries(CLAIM_LIMIT_SECONDS))
        outcomes = OutcomeClient(client, stopping, fanout)
        self.finisher = TrialFinisher(self.reporter, outcomes, models, self._checkpoints, self.errands, stopping, clock)

    def receive(self, lease: Lease) -> LeasedTrial:
        """Follow a new lease, and fetch the checkpoint that its trial continues from."""
        self.reporter.follow(lease)
        if not isinstance(lease.training, Training):
            return LeasedTrial(lease)
        return self._checkpoints.fetch(lease, self._retries(CLAIM_LIMIT_SECONDS))

    def close(self) -> None:
        """Finish the errands, return what an unanswered claim may have brought, and end the threads."""
        self._finish_errands()
        self._ended.set()
        self.claims.return_unanswered()
        self.errands.close()
        self.reporter.close()

    def _finish_errands(self) -> None:
        """For up to an hour while the service is away, but not for long once this process was asked to end."""
        deadline = self._clock() + AWAY_LIMIT_SECONDS
        while not self.errands.finish(POLL_SECONDS) and self._clock() < deadline:
            if self._stopping.is_set():
                self.errands.finish(CLOSING_SECONDS)
                return

    def _retries(self, limit_seconds: float) -> Retries:
        return Retries(limit_seconds, self._ended)
