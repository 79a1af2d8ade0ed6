"""The tiers of the tests, as the Makefile runs them.

- `make quick`: unit, contract and document tests without the markers `processes`, `heavy` and `slow`.
- `make test`: every test without the marker `slow`.
- `make check`: all tests.

A test that starts a process or needs a server carries the marker `processes`. It cannot be forgotten: a test without
the marker fails when it starts a process or opens a PostgreSQL database.
"""

import gc
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import pytest

WHOLE_FOLDERS = ("tests/acceptance/", "tests/gpu/")
SERVERS = ("postgres_url", "postgres_template", "cluster", "bucket")
SERVER_PARAMETERS = {"postgres", "bucket", "bucket with a prefix"}
PROCESS_EVENTS = {"subprocess.Popen", "os.posix_spawn", "os.fork", "tests.commands.Command"}
LIBRARY_SEARCH = "/sbin/ldconfig"
"""PyTorch starts it when it is first imported, which may be inside of any test."""
SLOW_PARAMETERS = {"gp"}
"""The sampler with a Gaussian process takes seconds for a suggestion."""


class ProcessStartedError(AssertionError):
    """A test of the quick tier has started a process."""


class _Guard:
    """Refuses processes while a test of the quick tier runs."""

    def __init__(self) -> None:
        self.test: str | None = None

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.test is not None and event in PROCESS_EVENTS:
            started = arguments[1] if len(arguments) > 1 else ""
            if LIBRARY_SEARCH in started:
                return
            raise ProcessStartedError(f"{self.test} needs the marker `processes`: it has started {started}")


_GUARD = _Guard()
sys.addaudithook(_GUARD)


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[None]:
    """Collect without garbage collections, and let later ones leave out what was collected: modules and tests stay."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by their folder, their fixtures and their parameters."""
    for item in items:
        specification = getattr(item, "callspec", None)
        parameters = {} if specification is None else specification.params
        texts = {value for value in parameters.values() if isinstance(value, str)}
        fixtures = set(getattr(item, "fixturenames", ()))
        if item.nodeid.startswith(WHOLE_FOLDERS) or texts & SERVER_PARAMETERS or fixtures & set(SERVERS):
            item.add_marker("processes")
        if item.nodeid.startswith(("tests/unit/", "tests/contracts/")) and texts & SLOW_PARAMETERS:
            item.add_marker("slow")
    matrices = defaultdict(list)
    for item in items:
        if item.get_closest_marker("covering"):
            matrices[item.nodeid.partition("[")[0]].append(item)
    for matrix in matrices.values():
        for item in beyond_covering(matrix):
            item.add_marker("slow")


def beyond_covering(matrix: Sequence[pytest.Item]) -> list[pytest.Item]:
    """The cases of a test that are not needed for every combination of n values, `covering(n)`.

    The case with the most new combinations is taken next. Of several, the one with the values that were taken least.
    """
    marker = matrix[0].get_closest_marker("covering")
    assert marker is not None
    parts = {item: list(combinations(sorted(_values(item)), *marker.args)) for item in matrix}
    rest, covered, taken = list(matrix), set[Any](), Counter[Any]()
    while rest:
        item = max(rest, key=lambda one: (len(set(parts[one]) - covered), -sum(taken[value] for value in _values(one))))
        if covered.issuperset(parts[item]):
            break
        rest.remove(item)
        covered.update(parts[item])
        taken.update(_values(item))
    return rest


def _values(item: pytest.Item) -> list[tuple[str, str]]:
    specification = getattr(item, "callspec", None)
    return [] if specification is None else [(name, repr(value)) for name, value in specification.params.items()]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Guard the tests of the quick tier."""
    _GUARD.test = None if item.get_closest_marker("processes") or item.get_closest_marker("slow") else item.nodeid
    try:
        return (yield)
    finally:
        _GUARD.test = None
