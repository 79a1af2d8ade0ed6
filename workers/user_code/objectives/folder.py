"""A folder as one file and back. What is unpacked may have been written by anybody."""

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

MAX_BYTES = 1024**3
MAX_FILES = 10_000
MAX_DEPTH = 100

Listing = dict[str, tuple[int, int]]


class FolderError(Exception):
    """A folder that is too large, or an archive that is none of ours."""


def listing(folder: Path) -> Listing:
    """Size in bytes and time of change of every plain file, by its path; links and devices are left out.

    Raises FolderError and OSError.
    """
    found = {}
    for path in _files(folder):
        known = path.lstat()
        found[path.relative_to(folder).as_posix()] = (known.st_size, known.st_mtime_ns)
    return found


def pack(folder: Path, archive: Path) -> None:
    """Write the plain files of a folder to a tar file. Raises FolderError and OSError."""
    sizes = listing(folder)
    total = sum(size for size, _ in sizes.values())
    if total > MAX_BYTES or len(sizes) > MAX_FILES:
        raise FolderError(
            f"checkpoint_dir must have at most {MAX_BYTES} bytes in {MAX_FILES} files: {total} in {len(sizes)}"
        )
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted(sizes):
            # Never through a link that took a file's place meanwhile.
            descriptor = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW)
            with os.fdopen(descriptor, "rb") as file:
                member = tarfile.TarInfo(name)
                member.size = os.fstat(descriptor).st_size
                tar.addfile(member, file)


def unpack(archive: Path, folder: Path) -> None:
    """Bring the files of an archive into a folder, all of them below it. Raises FolderError and OSError."""
    try:
        with tarfile.open(archive, "r:") as tar:
            total = 0
            for number, member in enumerate(tar):
                total += member.size
                if number >= MAX_FILES or total > MAX_BYTES:
                    raise FolderError(f"a checkpoint must have at most {MAX_BYTES} bytes in {MAX_FILES} files")
                _extract(tar, member, folder)
    except tarfile.TarError as error:
        raise FolderError(f"a checkpoint must be a tar file of Narrows: {error}") from error


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    path = PurePosixPath(member.name)
    if not member.isreg() or path.is_absolute() or ".." in path.parts or not path.parts:
        raise FolderError(f"a checkpoint must hold plain files with paths below it: {member.name!r}")
    if len(path.parts) > MAX_DEPTH:
        raise FolderError(f"a checkpoint must be at most {MAX_DEPTH} folders deep: {member.name[:100]!r}")
    content = tar.extractfile(member)
    assert content is not None, "it is a plain file"
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as file:  # a name that stands twice is refused
        while piece := content.read(io.DEFAULT_BUFFER_SIZE * 16):
            file.write(piece)


def _files(folder: Path) -> Iterator[Path]:
    waiting = [(folder, 1)]
    while waiting:
        parent, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise FolderError(f"checkpoint_dir must be at most {MAX_DEPTH} folders deep")
        with os.scandir(parent) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((Path(entry.path), depth + 1))
                elif entry.is_file(follow_symlinks=False):
                    yield Path(entry.path)
