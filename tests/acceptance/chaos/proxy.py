"""An HTTP proxy that loses answers and sends calls twice, as networks and impatient clients do."""

import asyncio
import json
import random
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

END_OF_HEAD = b"\r\n\r\n"
LATE_SECONDS = 2.0
FATES = {"pass": 80, "drop": 8, "refuse": 4, "double": 5, "late": 3}
"""What happens to a call, and how often in a hundred.

drop: the service gets it, the caller no answer. refuse: the service does not get it. double: it goes out twice at
once. late: it goes out once more after a while, when the caller has gone on.
"""


@dataclass
class Seen:
    """What went through: counts by fate, and reports with the decisions that the service gave."""

    counts: Counter[str] = field(default_factory=Counter)
    sent: list[dict[str, Any]] = field(default_factory=list)
    """Each report that the service may have got, whether or not it lived to answer it."""
    reports: list[tuple[dict[str, Any], str]] = field(default_factory=list)
    """Each report with its decision, doubled ones too."""
    n_server_errors: int = 0

    def forget_reports(self) -> None:
        self.sent.clear()
        self.reports.clear()


class Proxy:
    """Listens on a port of 127.0.0.1 and hands every call on to another; runs in a thread of its own."""

    def __init__(self, target_port: int, seed: int) -> None:
        self.seen = Seen()
        self._target_port = target_port
        self._numbers = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._late: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy")

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._wait(asyncio.start_server(self._connected, "127.0.0.1", 0))
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._wait(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _wait(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    async def _close(self) -> None:
        self._server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One call; the connection ends with its answer, or without one."""
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            call = await read_message(reader)
            answer = await self._handed_on(call, reader)
            if answer is not None:
                writer.write(without_keep_alive(answer))
                await writer.drain()
        writer.close()
        with suppress(OSError, asyncio.CancelledError):
            await writer.wait_closed()

    async def _handed_on(self, call: bytes, caller: asyncio.StreamReader) -> bytes | None:
        fate = self._numbers.choices(list(FATES), list(FATES.values()))[0]
        self.seen.counts[fate] += 1
        if fate == "refuse":
            return None
        if fate == "double":
            first, second = await asyncio.gather(self._exchange(call), self._exchange(call))
            return self._numbers.choice([first, second])
        if fate == "late":
            late = asyncio.create_task(self._exchange_late(call))
            self._late.add(late)
            late.add_done_callback(self._late.discard)
        answer = await self._while_connected(self._exchange(call), caller)
        return None if fate == "drop" else answer

    async def _while_connected(self, exchange: Any, caller: asyncio.StreamReader) -> bytes | None:
        """The answer, unless the caller has died: the service shall learn of it."""
        answering = asyncio.ensure_future(exchange)
        leaving = asyncio.ensure_future(caller.read(1))
        done, pending = await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        return answering.result() if answering in done else None

    async def _exchange_late(self, call: bytes) -> None:
        await asyncio.sleep(self._numbers.uniform(0.0, LATE_SECONDS))
        with suppress(OSError, asyncio.IncompleteReadError):
            await self._exchange(call)

    async def _exchange(self, call: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        try:
            self.seen.sent += _reports(call)
            writer.write(without_keep_alive(call))
            answer = await read_message(reader)
        finally:
            writer.close()
        self._note(call, answer)
        return answer

    def _note(self, call: bytes, answer: bytes) -> None:
        status = int(answer.split(b" ", 2)[1])
        self.seen.n_server_errors += status == 500
        reports = _reports(call)
        if reports and status == 200:
            decisions = json.loads(answer.partition(END_OF_HEAD)[2])["decisions"]
            for report, decided in zip(reports, decisions, strict=True):
                self.seen.reports.append((report, decided["decision"]))


def _reports(call: bytes) -> list[dict[str, Any]]:
    if not call.startswith(b"POST /v1/reports "):
        return []
    reports: list[dict[str, Any]] = json.loads(call.partition(END_OF_HEAD)[2])["reports"]
    return reports


async def read_message(reader: asyncio.StreamReader) -> bytes:
    """A request or a response with its body, whose length must be given. Raises IncompleteReadError."""
    head = await reader.readuntil(END_OF_HEAD)
    fields = (line.partition(b":") for line in head.lower().split(b"\r\n")[1:])
    length = next((int(value) for name, _, value in fields if name == b"content-length"), 0)
    return head + await reader.readexactly(length)


def without_keep_alive(message: bytes) -> bytes:
    """A message that ends its connection."""
    head, _, body = message.partition(END_OF_HEAD)
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
    return b"\r\n".join([*lines, b"connection: close"]) + END_OF_HEAD + body
