from collections.abc import Iterator

import pytest

from service.sampling.first_lowest import first_lowest


@pytest.mark.parametrize(("values", "index"), [([2], 0), ([2, 1, 1], 1), ([2, 2, 3], 0), ([2, 1, 0, 0], 2)], ids=str)
def test_the_first_of_the_lowest_values_is_found(values: list[int], index: int) -> None:
    assert first_lowest(values) == index


def test_nothing_is_looked_at_after_a_zero() -> None:
    def values() -> Iterator[int]:
        yield 1
        yield 0
        raise AssertionError("a value after the zero was looked at")

    assert first_lowest(values()) == 1
