"""docs/comparison.md: every cell is there, and every footnote is used and leads somewhere."""

import re

import pytest

from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "comparison.md").read_text()
ROWS = [line for line in PAGE.splitlines() if line.startswith("|")]
NOTES = dict(re.findall(r"^\[\^([\w-]+)\]: (.+)$", PAGE, flags=re.MULTILINE))


def test_every_row_has_a_cell_for_each_system() -> None:
    assert {len(line.strip("|").split("|")) for line in ROWS} == {8}
    assert all(cell.strip() for line in ROWS for cell in line.strip("|").split("|")[1:])


def test_every_footnote_is_used_and_defined() -> None:
    used = re.findall(r"\[\^([\w-]+)\](?!:)", PAGE)
    assert set(used) == set(NOTES)


@pytest.mark.parametrize("note", NOTES.values(), ids=list(NOTES))
def test_a_footnote_names_its_source(note: str) -> None:
    assert re.search(r"\]\(https://[^)]+\)|`optuna/|package|same file", note)


def test_the_pages_that_it_names_are_there() -> None:
    for path in re.findall(r"\]\((?!https://|#)([^)#]+)\)", PAGE):
        assert (ROOT / "docs" / path).exists(), path
