"""Runs calls that compute for long in threads: few at the same time, because each delays the event loop."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Hashable
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar

from service.study.free_studies import until_free
from service.study.live_study import LiveStudy

MAX_LONG_CALLS = 4
MAX_CLAIMS = 16
MAX_LONG_CLAIMS = 4
MAX_CHANGES = 4
"""How many changes of one study by users have a thread."""

MAX_VIEWS = 2
"""How many compact answers about many trials are computed at a time."""
PATIENT_SECONDS = 0.5
"""How far apart one view is computed for callers that have an earlier copy of it."""

Answer = TypeVar("Answer")


class LongCalls:
    """Threads for calls from the event loop.

    Calls of one study take turns on the event loop: in a thread, each would only wait for the study's lock.
    """

    def __init__(self) -> None:
        self._calls = CapacityLimiter(MAX_LONG_CALLS)
        self._claims = CapacityLimiter(MAX_CLAIMS)
        self._long_claims = CapacityLimiter(MAX_LONG_CLAIMS)
        self._views = asyncio.Semaphore(MAX_VIEWS)
        self._waiting_views: dict[Hashable, asyncio.Task[Any]] = {}
        self._latest_views: dict[Hashable, float] = {}
        """When each view was last begun for patient callers, by the event loop's clock."""
        self._busy: set[LiveStudy] = set()
        self._changes: WeakKeyDictionary[LiveStudy, asyncio.Semaphore] = WeakKeyDictionary()

    def are_busy(self, studies: Collection[LiveStudy]) -> bool:
        """Whether a call of one of these studies runs in a thread, or waits for one."""
        return not self._busy.isdisjoint(studies)

    async def run(self, studies: Collection[LiveStudy], call: Callable[[], Answer]) -> Answer:
        """Run a call of studies that are not busy."""
        self._busy.update(studies)
        try:
            return await to_thread.run_sync(call, limiter=self._calls)
        finally:
            self._busy.difference_update(studies)

    async def run_claim(self, call: Callable[[], Answer], *, is_long: bool) -> Answer:
        """Run a claim, which may wait for a sampler."""
        return await to_thread.run_sync(call, limiter=self._long_claims if is_long else self._claims)

    async def run_view(self, key: Hashable, call: Callable[[], Answer], *, is_patient: bool = False) -> Answer:
        """Run a call that reads many trials and takes no lock of a study.

        Calls with one key that wait at the same time are run once: pages that show one study ask the same. A call that
        comes after that has begun is run anew, because it may be about a later change. Patient callers wait until
        PATIENT_SECONDS have passed since it was last run for one of them, so many of them cost little more than one.
        """
        key = (key, is_patient)
        waiting: asyncio.Task[Answer] | None = self._waiting_views.get(key)
        if waiting is None:
            waiting = asyncio.create_task(self._view(key, call, is_patient))
            waiting.add_done_callback(_retrieve)
            self._waiting_views[key] = waiting
        return await asyncio.shield(waiting)

    async def _view(self, key: Hashable, call: Callable[[], Answer], is_patient: bool) -> Answer:
        loop = asyncio.get_running_loop()
        if is_patient and key in self._latest_views:
            await asyncio.sleep(self._latest_views[key] + PATIENT_SECONDS - loop.time())
        async with self._views:
            del self._waiting_views[key]
            if is_patient:
                self._latest_views[key] = begun = loop.time()
                loop.call_later(PATIENT_SECONDS, self._forget_view, key, begun)
            return await to_thread.run_sync(call)

    def _forget_view(self, key: Hashable, begun: float) -> None:
        if self._latest_views.get(key) == begun:
            del self._latest_views[key]

    @asynccontextmanager
    async def change(self, live: LiveStudy) -> AsyncIterator[None]:
        """Wait until a study is free, for a call that takes its lock in a thread in the block.

        A study that is locked for long holds few of the threads that calls of other studies need.
        """
        async with self._changes.setdefault(live, asyncio.Semaphore(MAX_CHANGES)):
            await until_free([live])
            yield


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Take note of an error for which nobody waits any more."""
    if not task.cancelled():
        task.exception()


_long_calls: RunVar[LongCalls] = RunVar("narrows_long_calls")


def long_calls() -> LongCalls:
    """The threads of the running event loop."""
    known = _long_calls.get(None)
    if known is None:
        known = LongCalls()
        _long_calls.set(known)
    return known
