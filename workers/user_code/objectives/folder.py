"""Pack a folder into one file and unpack it. An archive may come from anybody, so its paths are checked."""

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

MAX_BYTES = 1024**3
MAX_FILES = 10_000
MAX_DEPTH = 100

FileList = dict[str, tuple[int, int]]
"""Size in bytes and time of the last change in nanoseconds, by path below the folder."""


class FolderError(Exception):
    """The folder is too large or too deep, or the archive was not made by `pack_folder`."""


def list_files(folder: Path) -> FileList:
    """Every plain file in the folder and below it, without links and devices. Raises FolderError and OSError."""
    files = {}
    for path in _files(folder):
        status = path.lstat()
        files[path.relative_to(folder).as_posix()] = (status.st_size, status.st_mtime_ns)
    return files


def pack_folder(folder: Path, archive: Path) -> None:
    """Write the plain files of a folder to a tar file. Raises FolderError and OSError."""
    sizes = list_files(folder)
    total = sum(size for size, _ in sizes.values())
    if total > MAX_BYTES or len(sizes) > MAX_FILES:
        raise FolderError(
            f"checkpoint_dir must have at most {MAX_BYTES} bytes in {MAX_FILES} files: {total} in {len(sizes)}"
        )
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted(sizes):
            # O_NOFOLLOW: the code may have replaced the file by a link since it was listed.
            descriptor = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW)
            with os.fdopen(descriptor, "rb") as file:
                member = tarfile.TarInfo(name)
                member.size = os.fstat(descriptor).st_size
                tar.addfile(member, file)


def unpack_folder(archive: Path, folder: Path) -> None:
    """Write the files of an archive into a folder, none of them outside of it. Raises FolderError and OSError."""
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
    assert content is not None, "a plain file has content"
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as file:  # raises FileExistsError if the archive has the name twice
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
