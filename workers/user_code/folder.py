"""A folder as one file and back. What is unpacked may have been written by anybody."""

import io
import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

MAX_BYTES = 1024**3
MAX_FILES = 10_000

Listing = dict[str, tuple[int, int]]


class FolderError(Exception):
    """A folder that is too large, or an archive that is none of ours."""


def listing(folder: Path) -> Listing:
    """Size in bytes and time of change of every plain file, by its path; links and devices are left out."""
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
    content = tar.extractfile(member)
    assert content is not None, "it is a plain file"
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as file:  # a name that stands twice is refused
        while piece := content.read(io.DEFAULT_BUFFER_SIZE * 16):
            file.write(piece)


def _files(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if stat.S_ISREG(path.lstat().st_mode):
                yield path
