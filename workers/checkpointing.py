"""Where a trial goes on after a break: kept in memory, and with the service for whoever trains it then."""

import logging
import tempfile
from pathlib import Path

from service.client import Client, ClientError
from service.client.retries import Retries
from service.schemas.protocol import Lease
from workers.checkpoints import dump_checkpoint, read_checkpoint
from workers.errors import CheckpointError
from workers.lanes.state import LaneState
from workers.reporter import Reporter
from workers.work import Work

logger = logging.getLogger("narrows.worker")

CHECKPOINT = "checkpoint"


class Checkpointing:
    """Uploads and downloads the artifact `checkpoint`. A failure costs time at most, so it is only logged."""

    def __init__(self, client: Client, reporter: Reporter) -> None:
        self._client = client
        self._reporter = reporter

    def upload(self, work: Work, retries: Retries, patience_seconds: float) -> None:
        """Keep the state of a trial with the service, once what was reported up to there is answered."""
        lease, state = work.lease, work.state
        if state is None or state.n_epochs == 0 or self._reporter.decision(lease.lease_id) != "continue":
            return
        if not self._reporter.flush(lease.lease_id, patience_seconds):
            return
        content = dump_checkpoint(state, lease.built_in, lease.seed)
        step = state.n_epochs - 1
        try:
            retries(lambda: self._client.upload_artifact(lease.lease_id, CHECKPOINT, content, step=step))
        except ClientError as error:
            logger.warning("%s: no checkpoint at step %d: %s", work.title, step, error)

    def fetch(self, lease: Lease, retries: Retries) -> Work:
        """A trial as it is to be loaded: where an earlier attempt left it, or from its beginning."""
        work = Work(lease)
        if lease.resume is None:
            return work
        work.last_step = lease.resume.step
        try:
            work.state = retries(lambda: self._download(lease))
        except (ClientError, CheckpointError, OSError) as error:
            logger.warning("%s: begins anew, without its checkpoint: %s", work.title, error)
        else:
            logger.info("%s: goes on after step %d", work.title, work.last_step)
        return work

    def _download(self, lease: Lease) -> LaneState:
        with tempfile.TemporaryDirectory(prefix="narrows-") as folder:
            path = Path(folder, CHECKPOINT)
            self._client.download_artifact(lease.study, lease.trial_number, CHECKPOINT, path)
            return read_checkpoint(path.read_bytes(), lease.built_in, lease.seed)
