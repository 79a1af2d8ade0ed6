"""Transactions of threads: how their writes join the writer's batches, and how they wait for the commit."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

from storage.batch import Batch
from storage.errors import DatabaseUnavailableError
from storage.waiting_rule import wait_rule
from storage.writing.writer import Writer


class Commits:
    """One batch for each thread with an open transaction. A wait for a commit takes at most `wait_seconds`."""

    def __init__(self, writer: Writer, wait_seconds: float) -> None:
        self.writer = writer
        self._wait_seconds = wait_seconds
        self._local = threading.local()

    @contextmanager
    def transaction(self) -> Iterator[Batch]:
        """Commit all writes of this thread in the block together, all or none.

        The block leaves after the commit. In nested blocks, only the outermost one commits and waits. If the block
        raises, the changes made in memory so far are still written, because memory is not rolled back. While a thread
        is in such a block, no other thread may write to the same trials.
        """
        with self.deferred() as committed:
            yield self._local.batch
        self.wait(committed)

    @contextmanager
    def deferred(self) -> Iterator[Future[None]]:
        """Like `transaction`, but the block leaves at once. The future is done after the commit.

        So a caller can release its locks before it waits. The future of a nested block is done from the start. The
        future of a block without writes is done after the commit of everything that was written before.
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
        """One write: the block changes memory and the batch under the lock, which is released before the commit."""
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
        """Hand a note to the writer's listeners after the commit of this thread's open transaction."""
        batch = self._outer()
        assert batch is not None, f"a note needs a transaction to be part of: {note}"
        batch.notes.append(note)

    def _outer(self) -> Batch | None:
        return getattr(self._local, "batch", None)

    def barrier(self) -> None:
        """Wait for the commit of everything that any thread has written before."""
        self.wait(self.writer.barrier())

    def wait(self, committed: Future[None]) -> None:
        """Wait for a commit. Raises DatabaseUnavailableError if it takes too long; the batch stays queued then."""
        if not committed.done():
            wait_rule.check("a wait for a commit")
        try:
            committed.result(self._wait_seconds)
        except TimeoutError as error:
            raise self._unavailable() from error

    async def wait_all(self, waiting: Sequence[Future[None]]) -> None:
        """Wait for several commits without blocking the event loop. Raises as `wait` does."""
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
    with suppress(InvalidStateError):  # the waiting task was cancelled
        if error is None:
            answer.set_result(None)
        else:
            answer.set_exception(error)
