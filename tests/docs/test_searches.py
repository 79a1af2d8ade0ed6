"""docs/searches.md has a row for every sampler and pruner, which says what their classes state."""

import re
from pathlib import Path

import pytest

from service.pruning.pruners import CLASSES
from service.schemas.study.sampler_options import SamplerOptions
from service.schemas.study.samplers import SAMPLERS, sampler_name

PAGE = (Path(__file__).parents[2] / "docs" / "searches.md").read_text()


def rows(section: str) -> dict[str, list[str]]:
    """The cells of a section's first table by each name in its first cell."""
    text = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    found = {}
    for line in re.findall(r"^\| `.*\|$", text, re.MULTILINE):
        first, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        found.update(dict.fromkeys(re.findall("`([a-z_]+)`", first.partition("(")[0]), cells))
    return found


@pytest.mark.parametrize("kind", SAMPLERS)
def test_the_row_of_a_sampler_says_what_it_takes(kind: type[SamplerOptions]) -> None:
    objectives, _, conditional, _ = rows("Samplers")[sampler_name(kind)]

    assert objectives == ("yes" if kind.several_objectives else "no")
    assert (conditional == "refused") == kind.whole_configurations


def test_every_pruner_has_a_row() -> None:
    assert rows("Pruners").keys() == CLASSES.keys()
