"""Waits on the event loop for studies that other threads work on, so that the wait holds no thread."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Collection

from service.study.live_study import LiveStudy

FIRST_PAUSE_SECONDS = 0.0005
LAST_PAUSE_SECONDS = 0.03
"""Pauses between attempts to find studies free. They double."""


async def attempts() -> AsyncIterator[int]:
    """Attempts without end, by their number from 0. The pauses between them become longer."""
    seconds = FIRST_PAUSE_SECONDS
    for number in itertools.count():
        yield number
        await asyncio.sleep(seconds)
        seconds = min(2 * seconds, LAST_PAUSE_SECONDS)


async def until_free(studies: Collection[LiveStudy]) -> None:
    """Wait until no other thread holds the lock of one of these studies."""
    async for _ in attempts():
        if all(live.lock.is_free for live in studies):
            return
