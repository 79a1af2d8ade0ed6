"""Folders for a trial's files on this machine. A worker that starts removes those of workers that were killed."""

import fcntl
import logging
import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

logger = logging.getLogger("narrows.worker")

PREFIX = "narrows-trial-"
OPENING = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Scratch:
    """A new folder, locked as long as this process lives: another process that can lock it may delete it."""

    def __init__(self) -> None:
        """Raises OSError."""
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
            self._descriptor = os.open(self.path, OPENING)
            _lock(self._descriptor)
            with suppress(FileNotFoundError):  # a worker that began just now took it for abandoned
                if self.path.stat().st_ino == os.fstat(self._descriptor).st_ino:
                    return
            os.close(self._descriptor)

    def remove(self) -> None:
        """Delete the folder, however deep it is. Raises nothing: a folder that cannot be deleted is only logged."""
        _remove(self.path)
        os.close(self._descriptor)


def remove_abandoned() -> None:
    """Delete the folders of this user's workers that have ended without doing so."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):  # it is gone by now, no folder, or another user's
            descriptor = os.open(path, OPENING)
            try:
                if os.fstat(descriptor).st_uid == os.geteuid() and _lock(descriptor):
                    logger.info("%s was left behind by a worker that was killed: removed", path)
                    _remove(path)
            finally:
                os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Lock a folder. False if another process has the lock, or if the file system has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _remove(path: Path) -> None:
    with suppress(RecursionError):
        shutil.rmtree(path, ignore_errors=True)
    try:
        if path.exists():
            subprocess.run(["rm", "-rf", "--", str(path)], check=True, stderr=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError) as error:
        logger.warning("%s is left behind: %s", path, error)
