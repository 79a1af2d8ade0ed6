"""Memory that the worker processes of a machine share: files without a name, which end with the last of them."""

import os

N_FILES = 2
"""As many as a process keeps data sets."""

_files: list[int] = []


def share_between_forks() -> None:
    """Make the files, which later forks of this process have too. Only Linux has such files."""
    if not _files and hasattr(os, "memfd_create"):
        try:
            _files.extend(os.memfd_create("narrows-data", os.MFD_CLOEXEC) for _ in range(N_FILES))
        except OSError:  # a sandbox that forbids them
            _files.clear()


def shared_files() -> list[int]:
    """The descriptors of the files; none in a process that shares nothing."""
    return list(_files)
