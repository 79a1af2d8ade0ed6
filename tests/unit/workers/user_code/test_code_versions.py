"""The hash of the code that a trial has run, and what is said when it changes."""

import os
from pathlib import Path

import pytest

from service.schemas.protocol import Lease
from tests.unit.workers.fakes import lease_json
from workers.user_code import code_versions
from workers.user_code.code_versions import CodeVersions


def lease_of(number: int, entrypoint: str = "mine:f", study: str = "digits") -> Lease:
    training = {"entrypoint": entrypoint}
    return Lease.model_validate({**lease_json(number), "study": study, "training": training, "objectives": []})


@pytest.fixture
def code(tmp_path: Path) -> Path:
    folder = tmp_path / "code"
    for name in ("mine.py", "parts/net.py", "data.csv", ".venv/lib.py", "env/pyvenv.cfg", "env/lib.py"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1")
    return folder


@pytest.mark.parametrize("name", ["mine.py", "parts/net.py", "parts/new.py"])
def test_changed_code_has_another_hash_and_is_told_once(code: Path, name: str) -> None:
    versions = CodeVersions()
    before, told = versions.note(lease_of(0), code)
    assert told is None
    assert versions.note(lease_of(1), code) == (before, None)
    (code / name).write_text("2 + 2")
    after, told = versions.note(lease_of(2), code)
    assert after != before
    assert told == f"the Python files have changed since trial 1 of this study (code_hash {before})"
    assert versions.note(lease_of(3), code) == (after, None)


@pytest.mark.parametrize("name", ["data.csv", ".venv/lib.py", "env/lib.py", "__pycache__/mine.py"])
def test_what_is_no_code_of_the_user_does_not_count(code: Path, name: str) -> None:
    versions = CodeVersions()
    first = versions.note(lease_of(0), code)
    (code / name).parent.mkdir(exist_ok=True)
    (code / name).write_text("2 + 2")
    assert versions.note(lease_of(1), code) == first


def test_links_that_lead_nowhere_and_pipes_are_no_code(code: Path) -> None:
    versions = CodeVersions()
    first = versions.note(lease_of(0), code)
    (code / "circle.py").symlink_to("circle.py")
    (code / "missing.py").symlink_to("nothing.py")
    os.mkfifo(code / "pipe.py")
    assert versions.note(lease_of(1), code) == first


def test_the_hash_is_the_same_on_another_machine(code: Path, tmp_path: Path) -> None:
    copied = tmp_path / "elsewhere"
    (copied / "parts").mkdir(parents=True)
    for name in ("mine.py", "parts/net.py"):
        (copied / name).write_text("1")
    assert CodeVersions().note(lease_of(0), code) == CodeVersions().note(lease_of(0), copied)


def test_each_study_has_its_own_history(code: Path) -> None:
    versions = CodeVersions()
    versions.note(lease_of(0), code)
    (code / "mine.py").write_text("2 + 2")
    assert versions.note(lease_of(0, study="other"), code)[1] is None


def test_an_installed_package_counts_without_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    package = tmp_path / "an_installed_package"
    package.mkdir()
    (package / "__init__.py").write_text("raise AssertionError('it is not imported')")
    entrypoint = "an_installed_package.train:f"
    versions = CodeVersions()
    before, _ = versions.note(lease_of(0, entrypoint), None)
    (package / "train.py").write_text("")
    assert versions.note(lease_of(1, entrypoint), None)[0] != before
    assert versions.note(lease_of(2, "no_such_package:f"), None)[0] not in ("", before)


def test_the_search_for_files_has_an_end(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_versions, "MAX_ENTRIES", 5)
    versions = CodeVersions()
    first = versions.note(lease_of(0), code)
    (code / "parts" / "net.py").write_text("2 + 2")
    assert versions.note(lease_of(1), code) == first
