"""Start the processes of users' code: forks of a process that has imported what the code needs, where that works."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from workers.user_code.forking_process import ForkingError, ForkingProcess
from workers.user_code.process import Files, Started, UserProcess, start_fresh

logger = logging.getLogger("narrows.worker")

MAX_FORKING = 3
"""Processes that fork, each for the trials of one code; one that was not used for the longest time ends first."""
CAN_FORK = hasattr(os, "pidfd_open") and hasattr(os, "memfd_create")
"""Only Linux has both."""


class ProcessStarter:
    """Starts processes on one device for the user's code in one folder."""

    def __init__(self, device: str, code: Path | None, *, forks: bool = True) -> None:
        """`forks`: False to begin each process with a new interpreter."""
        self.device = device
        self._code = code
        self._forks = forks and CAN_FORK
        self._forking: dict[tuple[str, ...], ForkingProcess] = {}
        """By entrypoints, the one that was used last at the end."""

    def start(self, folder: Path, entrypoints: Sequence[str]) -> UserProcess:
        """Start a process in the folder for the code of the entrypoints. Raises OSError."""
        key = tuple(entrypoints)

        def start(device: str, folder: Path, files: Files) -> Started:
            return self._start(key, device, folder, files)

        return UserProcess(self.device, folder, start)

    def close(self) -> None:
        """End the processes that fork."""
        while self._forking:
            self._forking.popitem()[1].close()

    def _start(self, key: tuple[str, ...], device: str, folder: Path, files: Files) -> Started:
        if not self._forks:
            return start_fresh(device, folder, files)
        forking = self._forking.pop(key, None)
        try:
            if forking is None:
                forking = ForkingProcess(device, self._code)
            started = forking.fork(folder, files)
        except ForkingError as error:
            logger.warning("%s; the next trial's process starts with a new interpreter", error)
            if forking is not None:
                forking.close()
            return start_fresh(device, folder, files)
        self._forking[key] = forking
        if len(self._forking) > MAX_FORKING:
            self._forking.pop(next(iter(self._forking))).close()
        return started
