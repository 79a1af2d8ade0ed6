"""Files of trials over HTTP: streamed in pieces, checked by their SHA-256."""

import base64
import hashlib
import io
import secrets
from contextlib import closing
from pathlib import Path

from service.client.errors import UnexpectedAnswerError
from service.client.transport import Transport
from service.schemas.artifacts import Artifact

KEEPING_SECONDS = 300.0
"""How much longer than usual the service may take to store a large file."""
PIECE_BYTES = 1024**2


def upload(transport: Transport, path: str, content: Path | bytes, step: int | None) -> Artifact:
    """Send a file or bytes to a path of the API. Raises OSError if the file cannot be read."""
    with closing(_opened(content)) as file:
        digest = hashlib.file_digest(file, "sha256").digest()
        file.seek(0)
        headers = {"Content-Digest": _digest_header(digest)}
        answer = transport.upload(path, {"step": step}, file, headers, KEEPING_SECONDS)
    return transport.parse(Artifact, answer)


def download(transport: Transport, source: str, path: Path) -> None:
    """Write the answer of a path of the API to a file. Raises UnexpectedAnswerError if the answer is damaged."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with transport.opened(source) as response, part.open("xb") as file:
            sha256 = hashlib.sha256()
            for piece in response.iter_bytes(PIECE_BYTES):
                sha256.update(piece)
                file.write(piece)
            if response.headers.get("Content-Digest") != _digest_header(sha256.digest()):
                raise UnexpectedAnswerError(f"{transport.server} sent a file with a wrong SHA-256: {source}")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _opened(content: Path | bytes) -> io.BytesIO | io.BufferedReader:
    return io.BytesIO(content) if isinstance(content, bytes) else content.open("rb")


def _digest_header(sha256: bytes) -> str:
    return f"sha-256=:{base64.b64encode(sha256).decode()}:"
