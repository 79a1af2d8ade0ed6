"""The cases of a matrix that `make test` runs have every combination of as many values as the marker says."""

from dataclasses import dataclass
from itertools import combinations, product
from types import SimpleNamespace
from typing import Any

import pytest

from tests.tiers import beyond_covering

SIZES = {"color": 4, "shape": 3, "size": 2}


@dataclass(frozen=True)
class Case:
    """A test with one combination of values."""

    values: tuple[int, ...]
    n: int

    @property
    def callspec(self) -> Any:
        return SimpleNamespace(params=dict(zip(SIZES, self.values, strict=True)))

    def get_closest_marker(self, _name: str) -> Any:
        return SimpleNamespace(args=(self.n,))


def kept_of(matrix: list[Case]) -> list[Case]:
    left_out: list[Any] = beyond_covering(matrix)  # type: ignore[arg-type]
    return [case for case in matrix if case not in left_out]


def combined(cases: Any, n: int) -> set[Any]:
    return {part for case in cases for part in combinations(enumerate(case.values), n)}


@pytest.mark.parametrize(("n", "most"), [(1, 4), (2, 16), (3, 24)])
def test_few_cases_have_every_combination(n: int, most: int) -> None:
    matrix = [Case(values, n) for values in product(*map(range, SIZES.values()))]
    kept = kept_of(matrix)
    assert combined(kept, n) == combined(matrix, n)
    assert len(kept) <= most


def test_the_values_take_turns() -> None:
    matrix = [Case((color, 0, size), 1) for color in range(4) for size in range(2)]
    assert sorted(case.values[2] for case in kept_of(matrix)) == [0, 0, 1, 1]
