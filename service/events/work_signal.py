"""Wakes the readers of the event stream."""

import asyncio
import threading


class WorkSignal:
    """A signal that any thread may send with `notify` and that coroutines wait for.

    A reader takes a ticket before it reads, so that it does not miss an event that comes before it waits.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self.closed = False
        """Whether the service is shutting down."""
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    def ticket(self) -> int:
        """The number of notifications until now, for `wait`."""
        return self._count

    def notify(self) -> None:
        """Wake every waiting coroutine. May be called from any thread."""
        with self._lock:
            self._count += 1
            for loop, event in self._waiting:
                loop.call_soon_threadsafe(event.set)

    def close(self) -> None:
        """End current and future waits, because the service is shutting down."""
        self.closed = True
        self.notify()

    async def wait(self, ticket: int, timeout_seconds: float) -> None:
        """Return after a notification later than the ticket, after `close`, or after the timeout."""
        event = asyncio.Event()
        entry = (asyncio.get_running_loop(), event)
        with self._lock:
            if self._count != ticket or self.closed:
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
