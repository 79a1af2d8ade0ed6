"""Save the checkpoint folder of a custom objective with the service, and restore it."""

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
from workers.leases.reporter import OPEN_DECISIONS, Reporter
from workers.scheduling.leased_trial import title
from workers.user_code.objectives.folder import FileList, FolderError, list_files, pack_folder, unpack_folder

logger = logging.getLogger("narrows.worker")

UPLOAD_SECONDS = 20.0


class CheckpointUploads:
    """Uploads the files in checkpoint_dir as the trial's artifact `checkpoint`, and restores them for a later attempt.

    The files present when the code reports a step are its state after that step, and the next attempt resumes there.
    A failure is only logged, because it costs no more than time. To pause a trial, `save_at_rung` returns the success.
    """

    def __init__(self, lease: Lease, scratch: Path, client: Client, reporter: Reporter, errands: Errands) -> None:
        self.folder = scratch / "checkpoint"
        self.folder.mkdir()
        self._lease = lease
        self._scratch = scratch
        self._client = client
        self._reporter = reporter
        self._errands = errands
        self._saved: FileList = {}
        self._waiting_steps: set[int] = set()

    @property
    def has_files(self) -> bool:
        """Whether the code has put anything into checkpoint_dir."""
        try:
            return any(self.folder.iterdir())
        except OSError:  # the code may have removed it
            return False

    @property
    def is_uploading(self) -> bool:
        """Whether an earlier checkpoint waits on this machine's disk for its upload."""
        return bool(self._waiting_steps)

    def fetch(self, retries: Retries) -> int:
        """Restore the files of an earlier attempt, if there are any. Returns the first step to train."""
        lease = self._lease
        if lease.resume is None:
            return 0
        archive = self._scratch / "fetched.tar"
        try:
            retries(lambda: self._client.download_artifact(lease.study, lease.trial_number, CHECKPOINT, archive))
            unpack_folder(archive, self.folder)
        except (ClientError, FolderError, OSError) as error:
            logger.warning(
                "%s #%d: starts again from step 0, because its checkpoint cannot be restored: %s",
                lease.study,
                lease.trial_number,
                error,
            )
            for path in sorted(self.folder.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
            return 0
        self._saved = list_files(self.folder)
        logger.info("%s #%d: goes on after step %d", lease.study, lease.trial_number, lease.resume.step)
        return lease.resume.step + 1

    def save(self, step: int) -> None:
        """Copy the files, if they have changed since the last checkpoint, and upload the copy as an errand."""
        archive = self._scratch / f"step-{step}.tar"
        try:
            is_packed = self._pack(archive, only_changed=True)
        except (FolderError, OSError) as error:
            self._warn(step, error)
            _remove(archive)
            return
        if is_packed:
            self._waiting_steps.add(step)
            self._errands.submit(lambda: self._upload(archive, step, Retries(UPLOAD_SECONDS)))

    def save_at_rung(self, step: int, retries: Retries) -> Callable[[], bool]:
        """Copy the files, and return a function that uploads the copy.

        The function returns False if the upload failed and could succeed later; True if it succeeded, or if there is
        nothing to try again: no files, too many files, or a refusal by the service.
        """
        archive = self._scratch / f"rung-{step}.tar"
        try:
            is_packed = self._pack(archive, only_changed=False)
        except (FolderError, OSError) as error:
            self._warn(step, error)
            is_final = isinstance(error, FolderError)
            return lambda: is_final
        return lambda: not is_packed or self._upload(archive, step, retries)

    def _pack(self, archive: Path, *, only_changed: bool) -> bool:
        """Pack the files into an archive. Returns False if there are none, or with `only_changed` none that changed."""
        files = list_files(self.folder)
        if not files or (only_changed and files == self._saved):
            return False
        pack_folder(self.folder, archive)
        self._saved = files
        return True

    def _warn(self, step: int, error: Exception) -> None:
        logger.warning("%s: no checkpoint at step %d: %s", title(self._lease), step, error)

    def _upload(self, archive: Path, step: int, retries: Retries) -> bool:
        lease_id = self._lease.lease_id
        try:
            # Wait for the answer to the step's report: a trial must not resume after a step that was not reported.
            if not self._reporter.flush(lease_id, UPLOAD_SECONDS):
                return False
            if self._reporter.decision(lease_id) in OPEN_DECISIONS:
                retries(lambda: self._client.upload_artifact(lease_id, CHECKPOINT, archive, step=step))
        except (ClientError, OSError) as error:
            self._warn(step, error)
            return is_refused(error)
        finally:
            _remove(archive)
            self._waiting_steps.discard(step)
        return True


def _remove(archive: Path) -> None:
    with suppress(OSError):  # the code may have removed it, or its folder
        archive.unlink()
