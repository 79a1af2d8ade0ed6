"""Scratch folders of workers that were really killed, and of workers that still run."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from workers.scratch import PREFIX, Scratch, remove_abandoned

pytestmark = pytest.mark.processes

WORKER = """
import sys, tempfile
sys.path.insert(0, sys.argv[1])
tempfile.tempdir = sys.argv[2]
from workers.scratch import Scratch
scratch = Scratch()
(scratch.path / "checkpoint").mkdir()
(scratch.path / "checkpoint" / "state").write_text("much")
print(scratch.path, flush=True)
sys.stdin.read()
scratch.remove()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder that temporary folders are created in."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def worker(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """Start a process that has a scratch folder."""
    command = [sys.executable, "-c", WORKER, str(ROOT), str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def path_of(worker: "subprocess.Popen[str]") -> Path:
    assert worker.stdout is not None
    return Path(worker.stdout.readline().strip())


def test_only_the_folders_of_killed_workers_are_removed(worker: "subprocess.Popen[str]", folder: Path) -> None:
    path, mine = path_of(worker), Scratch()
    remove_abandoned()
    assert (path / "checkpoint" / "state").read_text() == "much"
    assert mine.path.exists()

    worker.kill()
    worker.wait()
    assert path.exists(), "nobody was left to remove it"
    remove_abandoned()
    assert not path.exists()
    assert mine.path.exists()
    mine.remove()
    assert list(folder.iterdir()) == []


def test_a_worker_that_ends_removes_its_folder(worker: "subprocess.Popen[str]") -> None:
    path = path_of(worker)
    worker.communicate()
    assert worker.returncode == 0
    assert not path.exists()


def test_other_files_are_not_touched(folder: Path) -> None:
    """Files, links and folders with other names stay."""
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").touch()
    (folder / f"{PREFIX}link").symlink_to(elsewhere)
    (folder / f"{PREFIX}file").touch()
    (folder / "narrows-artifacts").mkdir()
    before = sorted(folder.rglob("*"))
    remove_abandoned()
    assert sorted(folder.rglob("*")) == before
