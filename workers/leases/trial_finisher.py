"""How trials leave this process: their last calls to the service, made in order while other trials train."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from service.client.retries import Retries
from service.schemas.protocol import Lease
from workers.faults import Fault
from workers.fleet.stopping import Stopping
from workers.lanes.lane import Metrics
from workers.leases.checkpoint_keeper import CheckpointKeeper
from workers.leases.errands import Errands
from workers.leases.model_uploader import ModelUploader
from workers.leases.outcome_client import AWAY_LIMIT_SECONDS, CLOSING_SECONDS, OutcomeClient
from workers.leases.reporter import OPEN_DECISIONS, Reporter
from workers.scheduling.lane_scheduler import Content
from workers.scheduling.leased_trial import LeasedTrial

POLL_SECONDS = 0.2
SAVING_SECONDS = 10.0


@dataclass(frozen=True)
class TrialFinisher:
    """Ends trials. Every method returns at once; `errands` makes the calls."""

    reporter: Reporter
    outcomes: OutcomeClient
    model_uploader: ModelUploader
    checkpoints: CheckpointKeeper
    errands: Errands
    stopping: Stopping
    clock: Callable[[], float] = time.monotonic

    def complete(
        self,
        lease: Lease,
        metrics: Metrics,
        model: Content | None,
        values: list[float] | None = None,
        *,
        is_feasible: bool = True,
    ) -> None:
        """Upload the model and complete the trial, once its reports are answered and if none of them has closed it."""

        def complete() -> None:
            if model is not None:
                self.model_uploader.upload_if_wanted(lease, metrics, model, is_feasible=is_feasible)
            self.outcomes.complete(lease, metrics, values)

        self.errands.submit(lambda: self._when_answered(lease, complete))

    def prune(self, lease: Lease) -> None:
        """End a trial that its own code has pruned, once its reports are answered and if none of them has closed it."""
        self.errands.submit(lambda: self._when_answered(lease, lambda: self.outcomes.prune(lease)))

    def note_closed(self, lease: Lease) -> None:
        """End a trial that the service has closed with its decision on a report; fail it if the report was refused."""
        refusal = self.reporter.refusal(lease.lease_id)
        if refusal is not None:
            self.fail(lease, Fault(f"the service refused a report: {refusal}"))
            return
        decision = self.reporter.decision(lease.lease_id)
        if decision == "lost":
            self.note_lost(lease)
            return
        self.outcomes.note_closed(lease, decision)
        self.errands.submit(lambda: self.reporter.forget(lease.lease_id))  # earlier errands still ask for the decision

    def note_lost(self, lease: Lease) -> None:
        """End a trial that is no longer this worker's."""
        self.errands.submit(lambda: self._close(lease, lambda: self.outcomes.note_lost(lease)))

    def fail(self, lease: Lease, fault: Fault) -> None:
        """Fail a trial; as its fault says, another attempt may follow."""
        self.errands.submit(lambda: self._close(lease, lambda: self.outcomes.fail(lease, fault)))

    def release(self, lease: Lease) -> None:
        """Give a trial back."""
        self.errands.submit(lambda: self._close(lease, lambda: self.outcomes.release(lease)))

    def add_user_attrs(self, lease: Lease, user_attrs: dict[str, str]) -> None:
        """Add user attributes to a trial."""
        self.errands.submit(lambda: self.outcomes.add_user_attrs(lease, user_attrs))

    def upload_checkpoint(self, trial: LeasedTrial) -> None:
        """Upload the state of a trial, from which another worker can continue it."""
        retries = Retries(SAVING_SECONDS, self.stopping)
        self.errands.submit(lambda: self.checkpoints.upload(trial, retries, SAVING_SECONDS))

    def upload_and_release(self, trial: LeasedTrial) -> None:
        """Upload the state of a trial, and give the trial back."""
        retries = Retries(CLOSING_SECONDS)
        self.errands.submit(lambda: self.checkpoints.upload(trial, retries, CLOSING_SECONDS))
        self.release(trial.lease)

    def upload_and_pause(self, trial: LeasedTrial) -> None:
        """Upload the state of a trial, from which it continues once it is promoted, and pause the trial."""
        retries = Retries(AWAY_LIMIT_SECONDS, self.stopping)
        self.pause(trial.lease, lambda: self.checkpoints.upload(trial, retries, SAVING_SECONDS))

    def pause(self, lease: Lease, upload: Callable[[], bool]) -> None:
        """Pause a trial once its reports are answered and `upload` has stored its checkpoint; release it otherwise."""

        def pause() -> None:
            if upload():
                self.outcomes.pause(lease)
            else:
                self.outcomes.release(lease)

        self.errands.submit(lambda: self._when_answered(lease, pause))

    def _close(self, lease: Lease, close: Callable[[], None]) -> None:
        close()
        self.reporter.forget(lease.lease_id)

    def _when_answered(self, lease: Lease, close: Callable[[], None]) -> None:
        answered = self._reports_answered(lease.lease_id)
        if self.reporter.decision(lease.lease_id) not in OPEN_DECISIONS:
            self.note_closed(lease)
        elif not answered:
            self._close(lease, lambda: self.outcomes.release(lease))
        else:
            self._close(lease, close)

    def _reports_answered(self, lease_id: str) -> bool:
        """Wait until all reports are answered, for a short time once this process is to end. False if some are not."""
        deadline = self.clock() + AWAY_LIMIT_SECONDS
        while not self.reporter.flush(lease_id, POLL_SECONDS):
            if self.stopping.is_set():
                return self.reporter.flush(lease_id, CLOSING_SECONDS)
            if self.clock() >= deadline:
                return False
        return True
