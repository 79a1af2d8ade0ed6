"""Which installed modules this process has imported, and which of them must not be imported before a fork."""

import importlib
import itertools
import json
import os
import site
import socket
import sys
import sysconfig
import weakref
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType

DEVICE_FILES = ("/dev/nvidia", "/dev/kfd", "/dev/dri")
"""Beginnings of the files that a process has open once it has initialized an accelerator."""
MAX_BYTES = 128 * 1024
"""Bytes of a list of modules that one datagram may have."""

Version = tuple[int, int]
"""Time of the last change in nanoseconds, and size in bytes, of a module's file."""


def installed_since(known: Iterable[str]) -> list[str]:
    """Names of the modules of installed packages that are imported and not known, in the order of their imports.

    Modules of the user's own folders are left out: each trial imports them anew.
    """
    before = frozenset(known)
    # From the newest one to the first that is known. To look at all of them would copy the memory that a fork shares.
    new = list(itertools.takewhile(lambda name: name not in before, reversed(sys.modules)))[::-1]
    folders = _installed_folders() if new else ()
    return [name for name in new if (_file(sys.modules[name]) or "").startswith(folders)]


def tell_installed(connection: socket.socket, known: Iterable[str]) -> None:
    """Send the names of newly imported modules. What cannot be sent is only imported once more."""
    message = json.dumps(installed_since(known)).encode()
    if len(message) <= MAX_BYTES:
        with suppress(OSError):
            connection.send(message, socket.MSG_DONTWAIT)


def names_in(message: bytes) -> list[str]:
    """The names in a message of `tell_installed`; none if it is something else, which the user's code has sent."""
    try:
        names = json.loads(message)
    except ValueError:
        return []
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def import_ahead(name: str) -> None:
    """Import a module; one that fails to be imported here is left to the trials."""
    with suppress(BaseException):  # whatever the module raises, sys.exit included
        importlib.import_module(name)


def keep_finalizers_to_this_process() -> None:
    """Let forks of this process leave what packages have made in it so far, temporary folders for example."""
    for finalizer in list(getattr(weakref.finalize, "_registry", ())):
        finalizer.atexit = False


def unsafe_to_fork() -> str | None:
    """What keeps this process from being forked, as the end of a sentence about a module; None if nothing does."""
    if _n_threads() > 1:
        _fork_once()  # OpenBLAS for one ends its threads before a fork
        if _n_threads() > 1:
            return "starts threads"
    if any(target.startswith(DEVICE_FILES) for target in _open_files()):
        return "opens the accelerator"
    return None


def file_versions(names: Iterable[str]) -> dict[str, Version]:
    """Versions of the files of imported modules, by path. Files that cannot be read are left out."""
    paths = (_file(sys.modules[name]) for name in names if name in sys.modules)
    return {path: version for path in paths if path is not None and (version := _version(path)) is not None}


def changed_file(versions: dict[str, Version]) -> str | None:
    """The first file that has changed since; None if none has."""
    return next((path for path, version in versions.items() if _version(path) != version), None)


def shadowed(names: Iterable[str], code: Path) -> str | None:
    """The first of the top-level names that a module in the folder has too; None if none is."""
    for name in {name.partition(".")[0] for name in names}:
        if (code / f"{name}.py").is_file() or (code / name / "__init__.py").is_file():
            return name
    return None


def _installed_folders() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    folders = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")} | {site.getusersitepackages()}
    folders |= {path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")}
    return tuple(f"{folder}{os.sep}" for folder in folders)


def _file(module: ModuleType) -> str | None:
    return getattr(getattr(module, "__spec__", None), "origin", None)


def _version(path: str) -> Version | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - thousands of them before each trial, and a Path takes twice as long
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _n_threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def _fork_once() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def _open_files() -> Iterator[str]:
    for file in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            yield str(file.readlink())
