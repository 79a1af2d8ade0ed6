"""The tiers of the tests: quick (no process, no server), test (all that is not slow), check (everything).

A test that starts a process or needs a server carries the marker `processes`. It cannot be forgotten: a test without
the marker fails when it starts a process or opens a PostgreSQL database.
"""

import sys
from collections.abc import Iterator
from typing import Any

import pytest

WHOLE_FOLDERS = ("tests/acceptance/", "tests/gpu/")
SERVERS = ("postgres_url", "postgres_template", "cluster")


class ProcessStartedError(AssertionError):
    """A test of the quick tier has started a process."""


class _Guard:
    """Refuses processes while a test of the quick tier runs."""

    def __init__(self) -> None:
        self.test: str | None = None

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.test is not None and event in ("subprocess.Popen", "os.posix_spawn", "os.fork"):
            started = arguments[1] if len(arguments) > 1 else ""
            raise ProcessStartedError(f"{self.test} needs the marker `processes`: it has started {started}")


_GUARD = _Guard()
sys.addaudithook(_GUARD)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a process or a server by where it lies or what it asks for."""
    for item in items:
        if item.nodeid.startswith(WHOLE_FOLDERS) or _needs_server(item):
            item.add_marker("processes")


def _needs_server(item: pytest.Item) -> bool:
    parameters = getattr(item, "callspec", None)
    databases = () if parameters is None else parameters.params.values()
    return "postgres" in [one for one in databases if isinstance(one, str)] or any(
        name in SERVERS for name in getattr(item, "fixturenames", ())
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Guard the tests of the quick tier."""
    _GUARD.test = None if item.get_closest_marker("processes") or item.get_closest_marker("slow") else item.nodeid
    try:
        return (yield)
    finally:
        _GUARD.test = None
