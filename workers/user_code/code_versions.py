"""Which code the trials of a study have run."""

import hashlib
import os
import stat
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

from service.schemas.protocol import Lease
from service.schemas.study.command_training import CommandTraining
from service.schemas.study.user_training import AnyTraining

ATTRIBUTE = "code_hash"
"""The trial's user attribute with the hash."""
MAX_ENTRIES = 20_000
"""Files and folders that are looked at, outer ones first."""
MAX_FILE_BYTES = 4 * 1024**2
MAX_NAME = 255
N_DIGITS = 16
NO_CODE = ("__pycache__", "site-packages", "node_modules")


@dataclass
class CodeVersions:
    """The hash of each trial's code, and how it compares with that of the study's last trial on this worker.

    Safe for threads.
    """

    _last: dict[str, tuple[int, str]] = field(default_factory=dict)
    _hashes: dict[Path, tuple[tuple[int, int], bytes]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, lease: Lease, code: Path | None) -> tuple[str, str | None]:
        """The hash of the code that a trial is about to run, and a sentence if it differs from the last trial's."""
        roots = [code] if code is not None else []
        packages = _package_folders(lease.training.entrypoints, code)
        with self._lock:
            version = self._hash([*roots, *packages, *_files_of_command(lease.training, code)])
            number, last = self._last.get(lease.study, (lease.trial_number, version))
            self._last[lease.study] = (lease.trial_number, version)
        if last == version:
            return version, None
        return version, f"the Python files have changed since trial {number} of this study ({ATTRIBUTE} {last})"

    def _hash(self, roots: Iterable[Path]) -> str:
        """The first digits of a SHA-256 of the paths and contents of all Python files in the folders."""
        total = hashlib.sha256()
        for root in roots:
            for path in sorted(_python_files(root)):
                content = self._content_hash(path)
                if content is not None:
                    total.update(f"{path.relative_to(root)}\0".encode(errors="surrogateescape") + content)
        return total.hexdigest()[:N_DIGITS]

    def _content_hash(self, path: Path) -> bytes | None:
        """The SHA-256 of a file, which is read again when its size or time has changed.

        None if it cannot be read or is no plain file.
        """
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):
                return None
            version = (status.st_size, status.st_mtime_ns)
            known = self._hashes.get(path)
            if known is None or known[0] != version:
                with path.open("rb") as file:
                    known = (version, hashlib.sha256(file.read(MAX_FILE_BYTES)).digest())
                self._hashes[path] = known
        except OSError:
            return None
        return known[1]


def _package_folders(entrypoints: Iterable[str], code: Path | None) -> list[Path]:
    """Installed packages of the entrypoints that do not lie in `code`: folders, or single files."""
    found = []
    for name in sorted({entrypoint.partition(":")[0].partition(".")[0] for entrypoint in entrypoints}):
        if code is not None and ((code / name).is_dir() or (code / f"{name}.py").is_file()):
            continue
        with suppress(ImportError, ValueError):  # the trial fails, and says so
            spec = find_spec(name)
            if spec is not None and spec.submodule_search_locations:
                found += [Path(folder) for folder in spec.submodule_search_locations]
            elif spec is not None and spec.has_location and spec.origin is not None:
                found.append(Path(spec.origin))
    return found


def _files_of_command(training: AnyTraining, code: Path | None) -> list[Path]:
    """The files in `code` that a command names, such as a shell script."""
    if code is None or not isinstance(training, CommandTraining):
        return []
    named = [code / training.working_directory / word for word in training.needs.command if len(word) < MAX_NAME]
    return [path for path in named if path.suffix != ".py" and path.is_file()]


def _python_files(root: Path) -> list[Path]:
    """The Python files in a folder and below, without hidden folders and those of packages; or the file itself.

    There may be links among them that lead nowhere.
    """
    if root.is_file():
        return [root]
    files, waiting, n_left = [], deque([root]), MAX_ENTRIES
    while waiting and n_left > 0:
        entries = list(islice(_entries(waiting.popleft()), n_left))
        n_left -= len(entries)
        if any(entry.name == "pyvenv.cfg" for entry in entries):
            continue
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in NO_CODE and entry.name[0] != ".":
                    waiting.append(Path(entry.path))
            elif entry.name.endswith(".py"):
                files.append(Path(entry.path))
    return files


def _entries(folder: Path) -> Iterator["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError:
        return
