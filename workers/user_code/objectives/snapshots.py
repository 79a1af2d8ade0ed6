import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from service.client import Client, ClientError
from service.client.retries import Retries
from service.schemas.artifacts import CHECKPOINT
from service.schemas.protocol import Lease
from workers.leases.checkpoint_keeper import is_refused
from workers.leases.errands import Errands
from workers.leases.reporter import OPEN, Reporter
from workers.user_code.objectives.folder import FolderError, Listing, listing, pack, unpack

logger = logging.getLogger("narrows.worker")

UPLOAD_SECONDS = 20.0


class Snapshots:
    """Keeps what the code has in checkpoint_dir with the service, as the artifact `checkpoint`, and brings it back.

    What lies there while the code reports a step is its state after that step: whoever goes on with the trial goes on
    from there. A failure costs time at most, so it is only logged; who pauses a trial asks.
    """

    def __init__(self, lease: Lease, scratch: Path, client: Client, reporter: Reporter, errands: Errands) -> None:
        self.folder = scratch / "checkpoint"
        self.folder.mkdir()
        self._lease = lease
        self._scratch = scratch
        self._client = client
        self._reporter = reporter
        self._errands = errands
        self._kept: Listing = {}
        self._open: set[int] = set()

    @property
    def is_in_use(self) -> bool:
        """Whether the code keeps anything there."""
        try:
            return any(self.folder.iterdir())
        except OSError:  # the code may have removed it
            return False

    @property
    def is_uploading(self) -> bool:
        """Whether what was taken before still waits, on this machine's disk."""
        return bool(self._open)

    def fetch(self, retries: Retries) -> int:
        """Bring back what an earlier attempt has left; the first step that is to be trained."""
        lease = self._lease
        if lease.resume is None:
            return 0
        archive = self._scratch / "fetched.tar"
        try:
            retries(
                lambda: self._client.download_artifact(lease.study, lease.trial_number, CHECKPOINT, archive),
            )
            unpack(archive, self.folder)
        except (ClientError, FolderError, OSError) as error:
            logger.warning("%s #%d: begins anew, without its checkpoint: %s", lease.study, lease.trial_number, error)
            for path in sorted(self.folder.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
            return 0
        self._kept = listing(self.folder)
        logger.info("%s #%d: goes on after step %d", lease.study, lease.trial_number, lease.resume.step)
        return lease.resume.step + 1

    def keep(self, step: int) -> None:
        """Take what lies there now, if it has changed, and upload it when there is time."""
        archive = self._scratch / f"step-{step}.tar"
        try:
            is_taken = self._take(archive, changed=True)
        except (FolderError, OSError) as error:
            self._not_kept(step, error)
            _remove(archive)
            return
        if is_taken:
            self._open.add(step)
            self._errands.submit(lambda: self._upload(archive, step, Retries(UPLOAD_SECONDS)))

    def keep_at_rung(self, step: int, retries: Retries) -> Callable[[], bool]:
        """Take what lies there now. What is answered uploads it; False when it is not kept for now.

        Without files, or with more than may be kept, there is nothing to try again.
        """
        archive = self._scratch / f"rung-{step}.tar"
        try:
            is_taken = self._take(archive, changed=False)
        except (FolderError, OSError) as error:
            self._not_kept(step, error)
            is_for_good = isinstance(error, FolderError)
            return lambda: is_for_good
        return lambda: not is_taken or self._upload(archive, step, retries)

    def _take(self, archive: Path, *, changed: bool) -> bool:
        """Pack what lies there, with `changed` if it has changed; whether it did. Raises FolderError and OSError."""
        found = listing(self.folder)
        if not found or (changed and found == self._kept):
            return False
        pack(self.folder, archive)
        self._kept = found
        return True

    def _not_kept(self, step: int, error: Exception) -> None:
        logger.warning("%s #%d: no checkpoint at step %d: %s", *self._title, step, error)

    @property
    def _title(self) -> tuple[str, int]:
        return self._lease.study, self._lease.trial_number

    def _upload(self, archive: Path, step: int, retries: Retries) -> bool:
        lease_id = self._lease.lease_id
        try:
            # After the answer to the step's report: nothing is resumed from what was not reported.
            if not self._reporter.flush(lease_id, UPLOAD_SECONDS):
                return False
            if self._reporter.decision(lease_id) in OPEN:
                retries(lambda: self._client.upload_artifact(lease_id, CHECKPOINT, archive, step=step))
        except (ClientError, OSError) as error:
            self._not_kept(step, error)
            return is_refused(error)
        finally:
            _remove(archive)
            self._open.discard(step)
        return True


def _remove(archive: Path) -> None:
    """The code may have removed it, and more."""
    with suppress(OSError):
        archive.unlink()
