"""When workers were heard of, as told by several threads at once."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.clock import SystemClock
from service.registry.known_workers import WorkerLastSeen


@pytest.fixture
def busy_threads() -> Iterator[None]:
    """Threads take turns all the time."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def test_threads_may_note_more_workers_than_are_kept(busy_threads: None) -> None:
    seen = WorkerLastSeen(SystemClock(), max_workers=10)

    def note(number: int) -> None:
        for index in range(30_000):
            seen.note(f"{number}-{index}")

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(note, range(4)))
