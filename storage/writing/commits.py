"""How callers join the writer's batches, and wait for them."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

from storage.batch import Batch
from storage.errors import DatabaseUnavailableError
from storage.writing.writer import Writer


class Commits:
    """Batches of threads, each with the operations of one block; waits are bounded by `wait_seconds`."""

    def __init__(self, writer: Writer, wait_seconds: float) -> None:
        self.writer = writer
        self._wait_seconds = wait_seconds
        self._local = threading.local()

    @contextmanager
    def transaction(self) -> Iterator[Batch]:
        """Join all writes of this thread into one batch: on disk are all of them or none.

        The block leaves when the batch is committed. Blocks may be nested; the outermost one waits. When the block
        raises, what memory has is still written, as memory is not turned back. No two threads may write to one
        trial while one of them is in such a block.
        """
        with self.deferred() as committed:
            yield self._local.batch
        self.wait(committed)

    @contextmanager
    def deferred(self) -> Iterator[Future[None]]:
        """As `transaction`, but the block leaves at once; the future is done when the batch is committed.

        For those who hold a lock that they want to give back before they wait. A future of a nested block is done
        from the start. A block that writes nothing has the future of all that was written before it.
        """
        answer: Future[None] = Future()
        if self._outer() is not None:
            answer.set_result(None)
            yield answer
            return
        self.writer.check()
        self._local.batch = batch = Batch()
        try:
            yield answer
        finally:
            self._local.batch = None
            committed = self.writer.submit(batch) if batch.n_rows else self.writer.barrier()
            committed.add_done_callback(lambda done: _copy_outcome(done, answer))

    @contextmanager
    def operation(self, lock: AbstractContextManager[object]) -> Iterator[Batch]:
        """One operation: memory and batch change under the lock, the wait for the commit comes after it."""
        outer = self._outer()
        if outer is not None:
            with lock:
                yield outer
            return
        self.writer.check()
        batch = Batch()
        with lock:
            yield batch
            committed = self.writer.submit(batch) if batch.n_rows else None
        if committed is not None:
            self.wait(committed)

    def note(self, note: Any) -> None:
        """Give an object to the writer's listeners when this thread's block is committed. Call it in a block alone."""
        batch = self._outer()
        assert batch is not None, f"a note needs a transaction to be part of: {note}"
        batch.notes.append(note)

    def _outer(self) -> Batch | None:
        return getattr(self._local, "batch", None)

    def barrier(self) -> None:
        """Return when all that was written before, by anyone, is committed."""
        self.wait(self.writer.barrier())

    def wait(self, committed: Future[None]) -> None:
        """Raises DatabaseUnavailableError when the commit takes too long; it still waits for the database then."""
        try:
            committed.result(self._wait_seconds)
        except TimeoutError as error:
            raise self._unavailable() from error

    async def wait_all(self, waiting: Sequence[Future[None]]) -> None:
        """As `wait`, for many and without blocking the event loop."""
        try:
            async with asyncio.timeout(self._wait_seconds):
                for future in waiting:
                    await asyncio.wrap_future(future)
        except TimeoutError as error:
            raise self._unavailable() from error

    def _unavailable(self) -> DatabaseUnavailableError:
        away = f"the database has not answered for {self._wait_seconds:g} s{self.writer.away_reason}"
        return DatabaseUnavailableError(f"{away}; what was written waits for it")


def _copy_outcome(done: Future[None], answer: Future[None]) -> None:
    error = done.exception()
    with suppress(InvalidStateError):  # cancelled by who no longer waits for it
        if error is None:
            answer.set_result(None)
        else:
            answer.set_exception(error)
