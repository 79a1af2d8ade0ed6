"""No file of Python or JavaScript has more than 300 lines, so each is about one thing."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.docs.test_no_leaks import FILES

MAX_LINES = 300


def too_long(paths: Iterable[Path]) -> list[str]:
    """The files of code among these that must be split, each with its number of lines."""
    lengths = {path: len(path.read_bytes().splitlines()) for path in paths if path.suffix in (".py", ".js")}
    return [f"{path}: {length} lines" for path, length in lengths.items() if length > MAX_LINES]


def test_no_file_is_too_long() -> None:
    assert ROOT / "tests" / "docs" / "test_file_lengths.py" in FILES
    assert too_long(FILES) == []


@pytest.mark.parametrize(
    ("name", "length", "n_found"), [("a.py", 300, 0), ("a.py", 301, 1), ("a.js", 301, 1), ("a.md", 301, 0)]
)
def test_a_long_file_is_found(tmp_path: Path, name: str, length: int, n_found: int) -> None:
    path = tmp_path / name
    path.write_text("x = 1\n" * length)
    assert len(too_long([path])) == n_found
