"""Keeps the collections of cyclic garbage short: while one runs, no call is answered.

A full collection looks at every object, most of which are trials and stay for as long as the service runs. Here only
objects that are new since the last freeze are looked at. Those that survive are frozen from time to time: no collection
looks at them again. A frozen object is freed like any other when nothing refers to it any more. Only frozen cycles stay
until everything is collected, in a moment without calls. Of 18,000 reports 30 objects in cycles were left that way.
"""

import asyncio
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

YOUNG_OBJECTS = 1_000
"""The youngest objects are collected whenever this many more exist, as Python does by default after 700."""
MIDDLE_COLLECTIONS = 10
"""Every tenth of these collections looks at the survivors of the others too."""
NEVER = 1_000_000_000
FROZEN_FROM = 10_000
"""Survivors are frozen when there are so many. To look at them takes 5 ms, on a busy machine 20."""
FREEZES_BEFORE_IDLE = 1_000
FREEZES_BEFORE_ALL = 20_000
"""After so many freezes everything is collected in the next moment without calls, or in any moment."""
STEP_SECONDS = 0.2
IDLE_SECONDS = 1.0


class ShortCollections:
    """Collects garbage and freezes what survives, a little at each step."""

    def __init__(self) -> None:
        self.n_freezes = 0
        """Since everything was last collected."""

    def step(self, *, is_idle: bool) -> None:
        """Collect what is new, if it may be much. `is_idle` says whether nobody would notice a long collection."""
        if self.n_freezes >= (FREEZES_BEFORE_IDLE if is_idle else FREEZES_BEFORE_ALL):
            self.collect_all()
        elif gc.get_count()[2] > 0:
            gc.collect()
            if len(gc.get_objects(generation=2)) >= FROZEN_FROM:
                gc.freeze()
                self.n_freezes += 1

    def collect_all(self) -> None:
        """Collect everything, and freeze what is left."""
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        self.n_freezes = 0

    async def keep_stepping(
        self, n_calls: Callable[[], int], *, step_seconds: float = STEP_SECONDS, idle_seconds: float = IDLE_SECONDS
    ) -> None:
        """Make steps until cancelled. `n_calls` returns how many calls have come until now."""
        loop = asyncio.get_running_loop()
        known, since = n_calls(), loop.time()
        while True:
            await asyncio.sleep(step_seconds)
            if n_calls() != known:
                known, since = n_calls(), loop.time()
            self.step(is_idle=loop.time() - since >= idle_seconds)


@contextmanager
def short_collections() -> Iterator[ShortCollections]:
    """Within the block, full collections happen only in the steps of the yielded object. What exists is frozen."""
    before = gc.get_threshold()
    gc.set_threshold(YOUNG_OBJECTS, MIDDLE_COLLECTIONS, NEVER)
    gc.collect()  # of what the loaded studies are not part: they are frozen already
    gc.freeze()
    try:
        yield ShortCollections()
    finally:
        gc.set_threshold(*before)
