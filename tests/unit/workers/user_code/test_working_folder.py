"""What a process with users' code finds in its working folder, and what becomes of what it writes there."""

import logging
from pathlib import Path

import pytest

from tests.unit.workers.fakes import lease
from workers.scratch import PREFIX
from workers.user_code import working_folder
from workers.user_code.user_code_options import UserCodeOptions
from workers.user_code.working_folder import WorkingFolder


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A project: code, data, the weights of an earlier run, and what is no part of it."""
    folder = tmp_path / "code"
    for name in ("train.py", "labels.csv", "best.pt", "runs/1/best.pt", ".git/HEAD", "__pycache__/train.pyc"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"the project's {name}")
    (folder / f"{PREFIX}abc").mkdir()
    (folder / "nowhere").symlink_to("missing")
    return folder


def test_it_has_what_lies_in_code(tmp_path: Path, code: Path) -> None:
    path = WorkingFolder(tmp_path / "work", code).path
    assert sorted(found.name for found in path.iterdir()) == [
        *(".git", "best.pt", "labels.csv", "nowhere", "runs", "train.py"),
    ]
    for name in ("train.py", "labels.csv", "runs/1/best.pt", ".git/HEAD"):
        assert (path / name).read_text() == f"the project's {name}"


@pytest.mark.parametrize("name", ["best.pt", "runs/1/best.pt", "runs/new.pt", "new.pt"])
def test_what_is_written_there_is_not_in_code(tmp_path: Path, code: Path, name: str) -> None:
    before = {path: path.read_bytes() for path in code.rglob("*") if path.is_file()}
    first, second = (WorkingFolder(tmp_path / f"work-{number}", code).path for number in range(2))
    (first / name).write_text("mine")
    assert {path: path.read_bytes() for path in code.rglob("*") if path.is_file()} == before
    assert not (second / name).exists() or (second / name).read_text() == f"the project's {name}"
    assert WorkingFolder(tmp_path / "work-3", code).changed_files() == []


def test_without_code_it_is_empty(tmp_path: Path) -> None:
    assert list(WorkingFolder(tmp_path / "work", None).path.iterdir()) == []


def test_many_and_large_files_are_links(tmp_path: Path, code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(working_folder, "MAX_ENTRIES", 8)
    monkeypatch.setattr(working_folder, "MAX_COPIED_BYTES", 60)
    monkeypatch.setattr(working_folder, "MAX_COPIES", 2)
    (code / "large.npy").write_bytes(bytes(61))
    path = WorkingFolder(tmp_path / "work", code).path
    assert [found.name for found in sorted(path.iterdir()) if not found.is_symlink()] == [
        "best.pt",
        "labels.csv",
        "runs",
    ]
    assert (path / "runs" / "1").is_symlink()
    assert (path / "runs" / "1" / "best.pt").read_text() == "the project's runs/1/best.pt"


def test_a_change_of_a_shared_file_is_logged(
    tmp_path: Path, code: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(working_folder, "MAX_COPIES", 0)
    folder = WorkingFolder(tmp_path / "work", code)
    (folder.path / "best.pt").write_text("mine")
    with caplog.at_level(logging.WARNING, "narrows.worker"):
        folder.close("trial 3 of mine")
    (message,) = caplog.messages
    assert message == f"trial 3 of mine: trials share these files, which have changed meanwhile: ['{code / 'best.pt'}']"


def test_a_kept_folder_has_what_was_written_and_nothing_else(code: Path) -> None:
    options = UserCodeOptions(code=code, keep_folders=code / "kept")
    for number in range(2):
        folder = options.make_working_folder(Path("/nowhere"), lease())
        assert not (folder.path / "kept").exists()
        (folder.path / "best.pt").write_text(f"mine {number}")
        (folder.path / "runs" / "new.pt").write_text("new")
        folder.close("trial 0 of digits")
    trials = code / "kept" / "digits"
    assert sorted(str(path.relative_to(trials)) for path in trials.rglob("*") if path.is_file()) == [
        *("trial-0-attempt-1-2/best.pt", "trial-0-attempt-1-2/runs/new.pt"),
        *("trial-0-attempt-1/best.pt", "trial-0-attempt-1/runs/new.pt"),
    ]
    assert (trials / "trial-0-attempt-1" / "best.pt").read_text() == "mine 0"


def test_a_folder_of_code_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="missing"):
        WorkingFolder(tmp_path / "work", tmp_path / "missing")
