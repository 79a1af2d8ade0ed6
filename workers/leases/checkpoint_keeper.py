"""Checkpoints of trials, stored with the service, from which any worker can continue them."""

import logging

from service.client import Client, ClientError, ServiceError
from service.client.retries import Retries, will_pass
from service.schemas.protocol import Lease
from workers.errors import CheckpointError
from workers.lanes.lane_state import LaneState
from workers.leases.reporter import OPEN_DECISIONS, Reporter
from workers.saved.files import dump_checkpoint, read_checkpoint
from workers.scheduling.leased_trial import LeasedTrial
from workers.scratch import Scratch

logger = logging.getLogger("narrows.worker")

CHECKPOINT = "checkpoint"


class CheckpointKeeper:
    """Uploads and downloads the artifact `checkpoint`. Failures are only logged: they cost training time at most."""

    def __init__(self, client: Client, reporter: Reporter) -> None:
        self._client = client
        self._reporter = reporter

    def upload(self, trial: LeasedTrial, retries: Retries, patience_seconds: float) -> bool:
        """Upload a trial's state, once the reports up to there are answered, for which it waits `patience_seconds`.

        False if the checkpoint is missing for now, so that another attempt may succeed; True if it is stored, is not
        needed, or will never be accepted.
        """
        lease, state = trial.lease, trial.state
        if state is None or state.n_epochs == 0 or self._reporter.decision(lease.lease_id) not in OPEN_DECISIONS:
            return True
        if not self._reporter.flush(lease.lease_id, patience_seconds):
            return False
        content = dump_checkpoint(state, lease.built_in, lease.seed)
        step = state.n_epochs - 1
        try:
            retries(lambda: self._client.upload_artifact(lease.lease_id, CHECKPOINT, content, step=step))
        except ClientError as error:
            logger.warning("%s: no checkpoint at step %d: %s", trial.title, step, error)
            return is_refused(error)
        return True

    def fetch(self, lease: Lease, retries: Retries) -> LeasedTrial:
        """The trial of a new lease, with the state of an earlier attempt if there is one that can be read."""
        trial = LeasedTrial(lease)
        if lease.resume is None:
            return trial
        trial.last_step = lease.resume.step
        try:
            trial.state = retries(lambda: self._download(lease))
        except (ClientError, CheckpointError, OSError) as error:
            logger.warning("%s: begins anew, without its checkpoint: %s", trial.title, error)
        else:
            logger.info("%s: goes on after step %d", trial.title, trial.last_step)
        return trial

    def _download(self, lease: Lease) -> LaneState:
        scratch = Scratch()
        try:
            path = scratch.path / CHECKPOINT
            self._client.download_artifact(lease.study, lease.trial_number, CHECKPOINT, path)
            return read_checkpoint(path.read_bytes(), lease.built_in, lease.seed)
        finally:
            scratch.remove()


def is_refused(error: Exception) -> bool:
    """Whether the service will never accept the upload, because it is too large, for example."""
    return isinstance(error, ServiceError) and error.status < 500 and not will_pass(error)
