"""The folder that a process with users' code starts in."""

import logging
import os
import shutil
import stat
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from workers.scratch import PREFIX

logger = logging.getLogger("narrows.worker")

MAX_ENTRIES = 2_000
"""Files and folders that are set up one by one. A folder that holds more than are left becomes one link."""
MAX_COPIES = 500
MAX_COPIED_BYTES = 256 * 1024**2

FileVersion = tuple[int, int, int]
"""Inode, size in bytes and time of the last change in nanoseconds."""


@dataclass(frozen=True)
class Pair:
    """A path below `--code`, and where the process finds the same."""

    source: Path
    target: Path


class WorkingFolder:
    """A new folder for one process. The process finds there what lies in `--code`, and may write there.

    Folders are made anew and files are copied, outer ones first, so what the process writes is its own. What exceeds
    the limits above is a link into `--code`, and so are hidden folders and other file systems. Python's caches and
    the folders of trials are left out.
    """

    def __init__(self, path: Path, code: Path | None, kept_folders: Path | None = None) -> None:
        """Make the folder, empty without `code`. The folders of earlier trials in `kept_folders` are left out.

        Raises OSError.
        """
        self.path = path
        self._kept_folders = kept_folders
        self._copies: dict[Path, FileVersion] = {}
        self._links: list[Path] = []
        self._linked_files: dict[Path, FileVersion] = {}
        self._n_entries = 0
        self._copied_bytes = 0
        path.mkdir(parents=True)
        if code is not None:
            self._fill(code)

    def changed_files(self) -> list[Path]:
        """Files in `--code` that the process found as links, and that have changed since."""
        return [path for path, version in self._linked_files.items() if _version_of(path) != version]

    def close(self, trial_title: str) -> None:
        """Log which shared files have changed, and leave in a kept folder only what the process has written."""
        changed = [str(path) for path in self.changed_files()]
        if changed:
            logger.warning("%s: trials share these files, which have changed meanwhile: %s", trial_title, changed[:10])
        if self._kept_folders is not None:
            self._remove_untouched()

    def _remove_untouched(self) -> None:
        """Remove the links and copies that the process has not changed, and empty folders."""
        for target in self._links:
            if target.is_symlink():
                _unlink(target)
        for target, version in self._copies.items():
            if _version_of(target) == version:
                _unlink(target)
        for folder, _, _ in os.walk(self.path, topdown=False):
            with suppress(OSError):  # it is not empty
                Path(folder).rmdir()

    def _fill(self, code: Path) -> None:
        device = code.stat().st_dev
        root = Pair(code, self.path)
        waiting = deque(self._add_entries(root, device, list(self._entries(code))))
        while waiting:
            folder = waiting.popleft()
            n_left = MAX_ENTRIES - self._n_entries
            try:
                inside = list(islice(self._entries(folder.source), n_left + 1))
            except OSError:  # it cannot be read, or is gone
                self._link(folder)
                continue
            if len(inside) > n_left:
                self._link(folder)
            else:
                folder.target.mkdir()
                waiting += self._add_entries(folder, device, inside)

    def _entries(self, folder: Path) -> Iterator["os.DirEntry[str]"]:
        with os.scandir(folder) as entries:
            for entry in entries:
                is_ours = entry.name.startswith(PREFIX) or folder / entry.name == self._kept_folders
                if not is_ours and entry.name != "__pycache__":
                    yield entry

    def _add_entries(self, folder: Pair, device: int, inside: list["os.DirEntry[str]"]) -> list[Pair]:
        """Copy or link what lies in a folder. Returns the folders in it that are to be made anew."""
        self._n_entries += len(inside)
        folders = []
        for entry in sorted(inside, key=lambda entry: entry.name):
            pair = Pair(folder.source / entry.name, folder.target / entry.name)
            try:
                status = entry.stat()
            except OSError:  # a link to nowhere
                self._link(pair)
                continue
            is_here = status.st_dev == device
            if is_here and stat.S_ISREG(status.st_mode) and self._has_room(status.st_size):
                self._copy(pair, status.st_size)
            elif is_here and entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                folders.append(pair)
            else:
                self._link(pair)
        return folders

    def _has_room(self, size: int) -> bool:
        return len(self._copies) < MAX_COPIES and self._copied_bytes + size <= MAX_COPIED_BYTES

    def _copy(self, pair: Pair, size: int) -> None:
        try:
            shutil.copy2(pair.source, pair.target)
        except OSError:  # it cannot be read, or the disk is full
            pair.target.unlink(missing_ok=True)
            self._link(pair)
            return
        version = _version_of(pair.target)
        if version is not None:
            self._copies[pair.target] = version
            self._copied_bytes += size

    def _link(self, pair: Pair) -> None:
        pair.target.symlink_to(pair.source)
        self._links.append(pair.target)
        version = _version_of(pair.source)
        if version is not None:
            self._linked_files[pair.source] = version


def _unlink(path: Path) -> None:
    with suppress(OSError):  # the code may have changed the rights of its folder
        path.unlink()


def _version_of(path: Path) -> FileVersion | None:
    """The version of a plain file; None if it is none, or cannot be looked at."""
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_ino, status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None
