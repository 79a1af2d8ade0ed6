"""Parts of data sets that the worker processes of a machine read once and hold in memory once."""

import fcntl
import json
import logging
import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from workers.data.images import LabelledImages

logger = logging.getLogger("narrows.worker")

HEADER_BYTES = 2**16
HEADER, CONTENT = 0, 1
"""Bytes of a file on which processes have locks: HEADER while they read or write the header, CONTENT while one of them
fills the file. A process that dies has no locks any more."""
DTYPES = {"uint8": torch.uint8, "int64": torch.int64}


def read_shared(key: str, read: Callable[[], LabelledImages], files: list[int]) -> LabelledImages:
    """Return what `read` returns, from the file in which another process has stored it under the same key.

    The first process reads and stores it while the others wait. Without a file for the key it is not shared. A file
    keeps its key as long as there are processes that have it. Raises what `read` raises.
    """
    for file in files:
        while (state := _claim(file, key)) is not None:
            if state == "complete":
                return _load(file)
            try:
                if state == "mine":
                    return _fill(file, key, read())
            finally:
                if state == "mine":
                    fcntl.lockf(file, fcntl.LOCK_UN, 1, CONTENT)
            with _locked(file, CONTENT):  # until another process has filled the file, or died
                pass
    return read()


def _claim(file: int, key: str) -> str | None:
    """`complete` if the file has the part, `mine` if this process is to fill it, `filling` if another one does.

    None if the file has another part.
    """
    with _locked(file, HEADER):
        header = _header(file)
        if header.get("complete"):
            return "complete" if header["key"] == key else None
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, CONTENT)
        except OSError:
            return "filling" if header.get("key") == key else None
        _write_header(file, {"key": key})
        return "mine"


def _fill(file: int, key: str, part: LabelledImages) -> LabelledImages:
    """Store a part, and return it as the other processes have it. If that fails it is this process's own."""
    header = {
        "key": key,
        "complete": True,
        "images": _form(part.images),
        "labels": _form(part.labels),
        "n_classes": part.n_classes,
        "class_names": part.class_names,
        "n_validation": part.n_validation,
        "notes": part.notes,
    }
    if len(json.dumps(header)) > HEADER_BYTES:
        return part
    try:
        _write(file, part.labels, HEADER_BYTES)
        _write(file, part.images, HEADER_BYTES + part.labels.nbytes)
    except OSError as error:
        logger.info("data cannot be shared with other processes: %s", error)
        os.ftruncate(file, 0)
        return part
    with _locked(file, HEADER):
        _write_header(file, header)
    return _load(file)


def _load(file: int) -> LabelledImages:
    header = _header(file)
    # Writing to a tensor would change the copy of this process only.
    content = mmap.mmap(file, 0, access=mmap.ACCESS_COPY)
    labels = _tensor(content, header["labels"], HEADER_BYTES)
    images = _tensor(content, header["images"], HEADER_BYTES + labels.nbytes)
    names = tuple(header["class_names"])
    return LabelledImages(images, labels, header["n_classes"], names, header["n_validation"], header["notes"])


def _form(tensor: Tensor) -> tuple[str, list[int]]:
    return str(tensor.dtype).removeprefix("torch."), list(tensor.shape)


def _tensor(content: mmap.mmap, form: tuple[str, list[int]], offset: int) -> Tensor:
    name, shape = form
    flat = torch.frombuffer(content, dtype=DTYPES[name], count=torch.Size(shape).numel(), offset=offset)
    return flat.view(shape)


def _write(file: int, tensor: Tensor, offset: int) -> None:
    left = memoryview(tensor.contiguous().view(-1).view(torch.uint8).numpy().data)
    while left:
        n_written = os.pwrite(file, left, offset)
        left, offset = left[n_written:], offset + n_written


def _header(file: int) -> dict[str, Any]:
    content = os.pread(file, HEADER_BYTES, 0).rstrip(b"\0")
    header: dict[str, Any] = json.loads(content) if content else {}
    return header


def _write_header(file: int, header: dict[str, Any]) -> None:
    os.pwrite(file, json.dumps(header).encode().ljust(HEADER_BYTES, b"\0"), 0)


@contextmanager
def _locked(file: int, byte: int) -> Iterator[None]:
    fcntl.lockf(file, fcntl.LOCK_EX, 1, byte)
    try:
        yield
    finally:
        fcntl.lockf(file, fcntl.LOCK_UN, 1, byte)
