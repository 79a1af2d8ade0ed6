"""Wake the claims that wait for work."""

import asyncio
import threading


class WorkSignal:
    """Threads say `notify` when there may be work; claims wait for it on the event loop.

    A claim takes a ticket before it looks for work, so that what comes between looking and waiting is not missed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._closed = False
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    @property
    def closed(self) -> bool:
        return self._closed

    def ticket(self) -> int:
        return self._count

    def notify(self) -> None:
        with self._lock:
            self._count += 1
            for loop, event in self._waiting:
                loop.call_soon_threadsafe(event.set)

    def close(self) -> None:
        """End all waiting, now and later: the service is shutting down."""
        self._closed = True
        self.notify()

    async def wait(self, ticket: int, timeout_seconds: float) -> None:
        """Return when there may be work that was not there at the ticket, or after the timeout."""
        event = asyncio.Event()
        entry = (asyncio.get_running_loop(), event)
        with self._lock:
            if self._count != ticket or self._closed:
                return
            self._waiting.add(entry)
        try:
            async with asyncio.timeout(timeout_seconds):
                await event.wait()
        except TimeoutError:
            return
        finally:
            with self._lock:
                self._waiting.discard(entry)
