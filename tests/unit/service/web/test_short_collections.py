"""Collections look at few objects, whatever the service keeps, and find all garbage in the end."""

import asyncio
import gc
import itertools
import weakref
from collections.abc import Iterator
from contextlib import suppress

import pytest

from service.web import short_collections as module
from service.web.short_collections import FROZEN_FROM, MIDDLE_COLLECTIONS, YOUNG_OBJECTS, ShortCollections

N_KEPT = 20 * FROZEN_FROM
MAX_NEW = 2 * YOUNG_OBJECTS * (MIDDLE_COLLECTIONS + 1)
"""Objects between two steps of the test."""


class Node:
    """An object that refers to itself, so that only a collection frees it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def collections() -> Iterator[ShortCollections]:
    with module.short_collections() as made:
        yield made
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def n_looked_at() -> int:
    """How many objects a full collection looks at."""
    return len(gc.get_objects())


def test_a_collection_looks_at_few_objects_however_many_are_kept(collections: ShortCollections) -> None:
    kept: list[list[object]] = []
    most = 0
    for _ in range(N_KEPT // YOUNG_OBJECTS):
        kept.extend([kept] for _ in range(YOUNG_OBJECTS))
        most = max(most, n_looked_at())
        collections.step(is_idle=False)
    assert gc.get_freeze_count() > N_KEPT / 3
    assert most < 2 * FROZEN_FROM + MAX_NEW


def test_no_full_collection_happens_between_steps(collections: ShortCollections) -> None:
    before = gc.get_stats()[2]["collections"]
    kept = [[None] for _ in range(N_KEPT)]
    assert len(kept) == N_KEPT
    assert gc.get_stats()[1]["collections"] > 0
    assert gc.get_stats()[2]["collections"] == before


def test_new_garbage_is_freed_by_a_step(collections: ShortCollections) -> None:
    node = weakref.ref(Node())
    kept = [[None] for _ in range(MAX_NEW)]
    collections.step(is_idle=False)
    assert len(kept) == MAX_NEW
    assert node() is None


@pytest.mark.parametrize(
    ("n_freezes", "is_idle"), [(module.FREEZES_BEFORE_IDLE, True), (module.FREEZES_BEFORE_ALL, False)]
)
def test_frozen_garbage_is_freed_after_many_freezes(
    collections: ShortCollections, n_freezes: int, is_idle: bool
) -> None:
    node = Node()
    seen = weakref.ref(node)
    gc.freeze()
    del node
    collections.step(is_idle=is_idle)
    assert seen() is not None, "not yet"
    collections.n_freezes = n_freezes
    collections.step(is_idle=is_idle)
    assert seen() is None
    assert collections.n_freezes == 0


def test_everything_is_collected_only_while_no_calls_come(collections: ShortCollections) -> None:
    collections.n_freezes = module.FREEZES_BEFORE_IDLE

    async def run() -> None:
        calls = itertools.count()
        busy = asyncio.create_task(collections.keep_stepping(lambda: next(calls), step_seconds=0, idle_seconds=3600))
        for _ in range(20):
            await asyncio.sleep(0)
        assert collections.n_freezes == module.FREEZES_BEFORE_IDLE
        idle = asyncio.create_task(collections.keep_stepping(lambda: 7, step_seconds=0, idle_seconds=0))
        while collections.n_freezes > 0:
            await asyncio.sleep(0)
        for task in (busy, idle):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    asyncio.run(run())
