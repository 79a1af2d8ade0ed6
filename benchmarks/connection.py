"""A client with little overhead: HTTP/1.1 with JSON over an asyncio stream."""

import asyncio
import json
import time
from typing import Any, Self
from urllib.parse import urlsplit


class Connection:
    """One connection to a service. `seconds` holds the duration of every call, by the name of the call."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.seconds: dict[str, list[float]] = {}

    @classmethod
    async def open(cls, server: str) -> Self:
        """Connect to the address of a service, such as http://127.0.0.1:8000."""
        address = urlsplit(server)
        return cls(*await asyncio.open_connection(address.hostname, address.port))

    async def post(self, path: str, body: dict[str, Any], name: str) -> dict[str, Any]:
        """Send a body as JSON and return the decoded answer. Raises RuntimeError for any status but 200."""
        content = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nhost: {HOST}\r\ncontent-type: application/json\r\ncontent-length: "
        started = time.perf_counter()
        self._writer.write(f"{head}{len(content)}\r\n\r\n".encode() + content)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        status, *lines = answer.lower().split(b"\r\n")
        (length,) = (line for line in lines if line.startswith(b"content-length:"))
        text = await self._reader.readexactly(int(length.split(b":")[1]))
        self.seconds.setdefault(name, []).append(time.perf_counter() - started)
        if b" 200 " not in status:
            raise RuntimeError(f"{answer.decode()}{text.decode()}")
        decoded: dict[str, Any] = json.loads(text)
        return decoded

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()


HOST = "127.0.0.1"
