"""Folders of images: which files belong to which split, and which are left out."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from workers.errors import DatasetError

Split = Literal["train", "validation", "test"]
Samples = list[tuple[Path, int]]
"""Image files with the numbers of their classes."""

EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
SPLIT_NAMES: dict[str, Split] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""Names of folders, in small letters, that are splits and never classes."""
ARCHIVE_FOLDER = "__MACOSX"
"""Copies of a folder's resource files, which macOS puts into archives."""


@dataclass
class ImageFolder:
    """The files of a folder of images. `left_out` counts files that are no images, by their extension."""

    classes: tuple[str, ...]
    splits: dict[Split, Samples]
    left_out: Counter[str] = field(default_factory=Counter)


def list_image_folder(folder: Path) -> ImageFolder:
    """Find the images of a folder with class folders, or with `train` and perhaps `validation` and `test`.

    Split folders may have any of SPLIT_NAMES, in any case; without them, all images are in the split `train`. Files
    and folders whose names begin with a dot do not count. Raises DatasetError for a folder that can be understood in
    several ways, for fewer than two classes and for a class without images, and OSError.
    """
    folders = _folders(folder)
    found: dict[Split, list[Path]] = {}
    for path in folders:
        split = SPLIT_NAMES.get(path.name.lower())
        if split is not None:
            found.setdefault(split, []).append(path)
    if not found:
        _check_distinct(folders)
        listed = ImageFolder(tuple(path.name for path in folders), {})
        listed.splits["train"] = _samples(folder, listed)
        return _checked(folder, listed)
    roots = _split_folders(folder, found, folders)
    listed = ImageFolder(tuple(path.name for path in _folders(roots["train"])), {})
    for split, root in roots.items():
        _check_distinct(_folders(root))
        unknown = sorted({path.name for path in _folders(root)} - set(listed.classes))
        if unknown:
            raise DatasetError(f"train must have every class of {split}: {', '.join(unknown)} is only in {root}")
        listed.splits[split] = _samples(root, listed)
    return _checked(folder, listed)


def _split_folders(folder: Path, found: dict[Split, list[Path]], folders: Sequence[Path]) -> dict[Split, Path]:
    """One folder for each split. Raises DatasetError unless it is plain which is which."""
    for split, paths in found.items():
        if len(paths) > 1:
            names = " and ".join(path.name for path in paths)
            raise DatasetError(f"{folder} must have one folder for {split}: it has {names}")
    if "train" not in found:
        names = ", ".join(paths[0].name for paths in found.values())
        raise DatasetError(f"{folder} must have a folder train beside {names}, which are taken for splits")
    others = [path.name for path in folders if path.name.lower() not in SPLIT_NAMES and _has_images(path)]
    if others:
        names = ", ".join(paths[0].name for paths in found.values())
        raise DatasetError(
            f"{folder} must have either splits or classes: {names} would be splits, {', '.join(others[:5])} a class; "
            "rename the folders of classes, or move them into train"
        )
    _check_distinct([paths[0] for paths in found.values()])
    return {split: paths[0] for split, paths in found.items()}


def _check_distinct(folders: Sequence[Path]) -> None:
    """Raises DatasetError if two of the folders are one, by a link."""
    known: dict[tuple[int, int], Path] = {}
    for path in folders:
        other = known.setdefault(_identity(path), path)
        if other != path:
            raise DatasetError(f"{other.name} and {path.name} must be two folders: they lead to the same one, {path}")


def _checked(folder: Path, listed: ImageFolder) -> ImageFolder:
    left_out = f" (left out: {count_text(listed.left_out)})" if listed.left_out else ""
    if len(listed.classes) < 2:
        names = ", ".join(listed.classes) or "none"
        raise DatasetError(
            f"images must lie in at least two folders, one for each class: {folder} has {names}{left_out}"
        )
    used = {label for _, label in listed.splits["train"]}
    empty = [name for label, name in enumerate(listed.classes) if label not in used]
    if empty:
        raise DatasetError(f"every class must have an image to train on: {folder} has none of {empty[:10]}{left_out}")
    return listed


def _folders(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir() and _is_data(entry.name))
    return [folder / name for name in names]


def _samples(root: Path, listed: ImageFolder) -> Samples:
    """The images below each class folder, sorted by class and path. Counts what is left out."""
    samples: Samples = []
    for label, name in enumerate(listed.classes):
        if not (root / name).is_dir():
            continue
        for folder, files in sorted(_walk(root / name, _raise)):
            for file in sorted(files):
                if not _is_data(file):
                    continue
                if file.lower().endswith(EXTENSIONS):
                    samples.append((Path(folder, file), label))
                else:
                    listed.left_out[Path(file).suffix.lower() or file] += 1
    return samples


def _raise(error: OSError) -> None:
    raise error


def _walk(root: Path, on_error: Callable[[OSError], None] | None = None) -> list[tuple[str, list[str]]]:
    """Folders at and below `root` with their files. Unless `on_error` raises, unreadable folders are left out.

    A folder that links lead to several times, perhaps in a circle, is found once.
    """
    found = []
    known: set[tuple[int, int]] = set()
    for folder, below, files in os.walk(root, onerror=on_error, followlinks=True):
        identity = _identity(folder)
        if identity in known:
            below.clear()
            continue
        known.add(identity)
        below[:] = sorted(name for name in below if _is_data(name))
        found.append((folder, files))
    return found


def _identity(folder: str | Path) -> tuple[int, int]:
    status = Path(folder).stat()
    return status.st_dev, status.st_ino


def _has_images(root: Path) -> bool:
    return any(_is_data(file) and file.lower().endswith(EXTENSIONS) for _, files in _walk(root) for file in files)


def _is_data(name: str) -> bool:
    return not name.startswith(".") and name != ARCHIVE_FOLDER


def count_text(counts: Counter[str]) -> str:
    """Counts as text, the largest first: `19 .gif, 2 .txt`."""
    return ", ".join(f"{n} {name}" for name, n in counts.most_common(10))


def unicode_text(text: str) -> str:
    r"""A text with names of files, which need not be Unicode: what is none becomes an escape such as \udce9."""
    return text.encode(errors="backslashreplace").decode()
