"""What is committed holds nothing of the machine it was written on: no paths, no package indexes, no data sets."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.processes

MAX_BYTES = 512 * 1024
OWN_PATH = re.compile(r"(?<![\w.~$}])(?:/" + r"work|/" + r"root|/" + r"home)/[\w.-]+")
HOMES_IN_IMAGES = ("/home/narrows",)
INDEX = re.compile(
    r"--(?:extra-)?index-url|--find-links|--trusted-host|PIP_INDEX|find-links\s*=|"
    r"(?:pypi|download\.pytorch|registry\.npmjs|files\.pythonhosted)\.(?:org|com)",
)
DATA = re.compile(r"(?:-ubyte|\.gz|\.zip|\.npz?|\.pt|\.pth|\.pkl|\.pickle|\.parquet|\.db|\.tar|\.jpe?g|\.safetensors)$")


def _committed() -> list[Path]:
    """Tracked files and those that would be added; without git, everything that no tool made."""
    if shutil.which("git") and (ROOT / ".git").exists():
        command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, capture_output=True, check=True, text=True).stdout
        return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]
    return [
        path
        for path in ROOT.rglob("*")
        if path.is_file() and not any(part.startswith(".") or part == "__pycache__" for part in path.parts)
    ]


FILES = _committed()
TEXTS = [path for path in FILES if path != Path(__file__) and b"\0" not in path.read_bytes()[:4096]]


def lines_matching(pattern: re.Pattern[str], allowed: tuple[str, ...] = ()) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}"
        for path in TEXTS
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if any(match[0] not in allowed for match in pattern.finditer(line))
    ]


def test_files_are_found() -> None:
    assert {"pyproject.toml", "Makefile", "README.md"} <= {path.name for path in TEXTS}


def test_no_file_names_a_path_of_this_machine() -> None:
    assert lines_matching(OWN_PATH, HOMES_IN_IMAGES) == []
    assert lines_matching(re.compile(re.escape(f"{ROOT}/"))) == []


def test_no_file_names_a_package_index() -> None:
    assert lines_matching(INDEX) == []


def test_no_data_set_or_large_file_is_committed() -> None:
    assert [str(path.relative_to(ROOT)) for path in FILES if DATA.search(path.name)] == []
    assert [str(path.relative_to(ROOT)) for path in FILES if path.stat().st_size > MAX_BYTES] == []


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (OWN_PATH, "cd /" + "work/main"),
        (OWN_PATH, "'/" + "home/me/data'"),
        (INDEX, "pip install --index-url https://example"),
        (INDEX, "https://pypi.org/simple"),
        (DATA, "train-images-idx3-ubyte"),
    ],
)
def test_the_patterns_find_what_they_are_for(pattern: re.Pattern[str], text: str) -> None:
    assert pattern.search(text)
