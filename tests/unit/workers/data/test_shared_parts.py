"""Parts of data sets in memory that processes share: read by one of them, whatever happens to it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.conftest import ROOT, clean_environment
from tests.waiting import PATIENCE_SECONDS
from workers.data.images import LabelledImages
from workers.data.shared_parts import HEADER_BYTES, read_shared
from workers.fleet import shared_memory

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has files without a name")

IMAGES = torch.arange(3 * 2 * 4 * 5, dtype=torch.uint8).view(3, 2, 4, 5)
PART = LabelledImages(IMAGES, torch.tensor([2, 0, 1]), 3, ("a", "ü", "c"), 1, "left out: 1 file")


@pytest.fixture
def files() -> Iterator[list[int]]:
    descriptors = [os.memfd_create(f"test-{number}") for number in range(2)]
    yield descriptors
    for descriptor in descriptors:
        os.close(descriptor)


def same(one: LabelledImages, other: LabelledImages) -> bool:
    others = one.n_classes, one.class_names, one.n_validation, one.notes
    return (
        torch.equal(one.images, other.images)
        and torch.equal(one.labels, other.labels)
        and others == (other.n_classes, other.class_names, other.n_validation, other.notes)
    )


def never() -> LabelledImages:
    raise AssertionError("it was read before")


def test_a_part_is_read_once(files: list[int]) -> None:
    assert same(read_shared("one", lambda: PART, files), PART)
    assert same(read_shared("one", never, files), PART)
    assert os.fstat(files[0]).st_size == HEADER_BYTES + 3 * 8 + 3 * 2 * 4 * 5
    assert os.fstat(files[1]).st_size == 0


def test_writing_to_a_part_changes_nothing_for_others(files: list[int]) -> None:
    read_shared("one", lambda: PART, files).images.zero_()
    assert same(read_shared("one", never, files), PART)


def test_each_part_has_a_file_and_what_finds_none_is_not_shared(files: list[int]) -> None:
    for key in ("one", "two", "three"):
        assert same(read_shared(key, lambda: PART, files), PART)
    assert same(read_shared("two", never, files), PART)
    with pytest.raises(AssertionError):
        read_shared("three", never, files)
    assert read_shared("one", lambda: PART, []) is PART


def test_a_part_that_cannot_be_read_is_read_anew_by_the_next(files: list[int]) -> None:
    def fails() -> LabelledImages:
        raise OSError("no such folder")

    for _ in range(2):
        with pytest.raises(OSError, match="no such folder"):
            read_shared("one", fails, files)
    assert same(read_shared("two", lambda: PART, files), PART)
    assert same(read_shared("one", lambda: PART, files), PART)
    assert same(read_shared("two", never, files), PART)


PROCESSES = """
import multiprocessing, os, signal, sys
from pathlib import Path
from tests.unit.workers.data.test_shared_parts import PART, never, same
from tests.waiting import PATIENCE_SECONDS, until
from workers.data.shared_parts import read_shared
from workers.fleet.shared_memory import share_between_forks, shared_files

fork = multiprocessing.get_context("fork")
share_between_forks()
files = shared_files()
ours, theirs = fork.Pipe()

def hang():
    theirs.send(None)
    signal.pause()

def gets(key, read):
    found = read_shared(key, read, files)
    name = os.readlink(f"/proc/self/fd/{files[0]}")
    sys.exit(not (same(found, PART) and name in Path("/proc/self/maps").read_text()))

def started(*arguments):
    process = fork.Process(target=gets, args=arguments, daemon=True)
    process.start()
    return process

def waits_for_a_lock(process):
    waiting = [line.split() for line in Path("/proc/locks").read_text().splitlines() if "->" in line]
    return any(str(process.pid) in words for words in waiting)

def ended(process):
    process.join(PATIENCE_SECONDS)
    return process.exitcode

reader = started("one", hang)
assert ours.poll(PATIENCE_SECONDS)
assert ended(started("two", lambda: PART)) == 0, "another part need not wait"
waiting = started("one", lambda: PART)
until(lambda: waits_for_a_lock(waiting), "another process waits for the same part")
reader.kill()
assert ended(waiting) == 0
assert ended(reader) == -signal.SIGKILL
assert ended(started("one", never)) == 0
"""


@pytest.mark.processes
def test_processes_read_a_part_once_and_one_that_is_killed_blocks_no_other() -> None:
    command = [sys.executable, "-c", PROCESSES]
    environment = clean_environment(OMP_NUM_THREADS="1")
    subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=2 * PATIENCE_SECONDS)


def test_a_fleet_shares_files_that_end_with_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_memory, "_files", [])
    assert shared_memory.shared_files() == []
    shared_memory.share_between_forks()
    made = shared_memory.shared_files()
    try:
        assert len(made) == shared_memory.N_FILES
        assert not any(os.get_inheritable(file) for file in made)
        assert all(Path(f"/proc/self/fd/{file}").readlink().name.startswith("memfd:narrows-data") for file in made)
        shared_memory.share_between_forks()
        assert shared_memory.shared_files() == made
    finally:
        for file in made:
            os.close(file)
