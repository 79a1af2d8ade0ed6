"""Start the processes of users' code: forks of a process that has imported what the code needs, where that works."""

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from workers.fleet.device_group import DeviceGroup
from workers.user_code.forking_process import ForkingError, ForkingProcess
from workers.user_code.output_tail import OutputTail
from workers.user_code.process import NO_VARIABLES, Files, Started, UserProcess, start_fresh

logger = logging.getLogger("narrows.worker")

MAX_FORKING = 3
"""Processes that fork, each for the trials of one code, on a worker's only device, and one more for each further
device; one that was not used for the longest time ends first. Those of the ranks of one trial count as one."""
CAN_FORK = hasattr(os, "pidfd_open") and hasattr(os, "memfd_create")
"""Only Linux has both."""


class Beginning(NamedTuple):
    """What trials share whose processes may be forks of the same one: their code, and their devices.

    variables: more variables of their environment, for one rank of a trial.
    """

    entrypoints: tuple[str, ...]
    devices: DeviceGroup
    variables: frozenset[tuple[str, str]] = frozenset()


class ProcessStarter:
    """Starts processes on a worker's devices for the user's code in one folder. Safe for threads."""

    def __init__(self, devices: DeviceGroup, code: Path | None, *, forks: bool = True) -> None:
        """`forks`: False to begin each process with a new interpreter."""
        self.devices = devices
        self._code = code
        self._forks = forks and CAN_FORK
        self._forking: dict[Beginning, ForkingProcess] = {}
        """The one that was used last at the end."""
        self._lock = threading.Lock()

    def start(
        self,
        folder: Path,
        entrypoints: Sequence[str],
        devices: DeviceGroup,
        variables: Mapping[str, str] = NO_VARIABLES,
        keep: Callable[[IO[bytes]], OutputTail] = OutputTail,
    ) -> UserProcess:
        """Start a process in the folder, on some of the devices, for the code of the entrypoints. Raises OSError.

        `variables` are in its environment before anything is imported. `keep` reads its output from a pipe.
        """
        beginning = Beginning(tuple(entrypoints), devices, frozenset(variables.items()))

        def start(_devices: DeviceGroup, folder: Path, files: Files) -> Started:
            return self._start(beginning, folder, files)

        return UserProcess(devices, folder, start, keep)

    def close(self) -> None:
        """End the processes that fork."""
        with self._lock:
            while self._forking:
                self._forking.popitem()[1].close()

    def _start(self, beginning: Beginning, folder: Path, files: Files) -> Started:
        if not self._forks:
            return start_fresh(beginning.devices, folder, files, dict(beginning.variables))
        forking = None
        try:
            forking = self._forking_process(beginning)
            return forking.fork(folder, files)
        except ForkingError as error:
            logger.warning("%s; the next trial's process starts with a new interpreter", error)
            if forking is not None:
                self._forget(beginning, forking)
            return start_fresh(beginning.devices, folder, files, dict(beginning.variables))

    def _forking_process(self, beginning: Beginning) -> ForkingProcess:
        """The process that forks for trials that begin like this: a new one if there is none. Raises OSError."""
        with self._lock:
            forking = self._forking.pop(beginning, None) or ForkingProcess(
                beginning.devices, self._code, beginning.entrypoints, dict(beginning.variables)
            )
            self._forking[beginning] = forking
            self._close_unused()
            return forking

    def _close_unused(self) -> None:
        kinds = list(dict.fromkeys(beginning[:2] for beginning in self._forking))
        if len(kinds) > MAX_FORKING + len(self.devices) - 1:
            for beginning in [beginning for beginning in self._forking if beginning[:2] == kinds[0]]:
                self._forking.pop(beginning).close()

    def _forget(self, beginning: Beginning, forking: ForkingProcess) -> None:
        with self._lock:
            if self._forking.get(beginning) is forking:
                self._forking.pop(beginning).close()
