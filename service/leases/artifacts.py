"""The files of trials: taken in under a lease and given out, chunk by chunk, and removed when nothing has them."""

import asyncio
import base64
import logging
import re
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from functools import partial
from typing import BinaryIO, TypeVar

from anyio import CapacityLimiter, to_thread
from starlette.requests import ClientDisconnect

from service.errors import (
    ArtifactNotFoundError,
    IncompleteUploadError,
    InvalidError,
    TooLargeError,
    TooManyArtifactsError,
)
from service.leases import calls as lease_calls
from service.registry.registry import Registry
from service.schemas.artifacts import CHECKPOINT, OUTPUT
from storage import DATABASE_ERRORS, ArtifactRecord, BlobFile, BlobMissingError, BlobStore, StorageError

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

MAX_ARTIFACT_BYTES = 1024**3
MAX_ARTIFACTS = 32
CHUNK_BYTES = 1024**2
N_THREADS = 8
STALL_SECONDS = 60.0
SWEEP_SECONDS = 0.5
SWEEP_AGAIN_SECONDS = 30.0
DIGEST = re.compile(r"sha-256=:([A-Za-z0-9+/]{43}=):")


class Artifacts:
    """Uploads, downloads and removals. An artifact may have `max_bytes`, and a trial 32 of them."""

    def __init__(
        self, registry: Registry, blobs: BlobStore, max_bytes: int, *, stall_seconds: float = STALL_SECONDS
    ) -> None:
        self._registry = registry
        self._index = registry.store.artifacts
        self._blobs = blobs
        self._max_bytes = max_bytes
        self._stall_seconds = stall_seconds
        # Threads of their own: a slow disk or bucket must not keep the other calls from theirs.
        self._threads = CapacityLimiter(N_THREADS)

    async def take(
        self, lease_id: str, name: str, step: int | None, digest: str | None, body: AsyncIterator[bytes]
    ) -> ArtifactRecord:
        """Keep an upload whole or not at all; it replaces the trial's artifact of that name.

        `digest` is a Content-Digest (RFC 9530) or None. Raises LeaseNotFoundError, LeaseLostError, LeaseClosedError,
        InvalidError, TooLargeError, TooManyArtifactsError, IncompleteUploadError and storage.BlobStoreError.
        """
        if name == CHECKPOINT and step is None:
            raise InvalidError([("step", "step must be given with a checkpoint")])
        sha256 = None if digest is None else parse_digest(digest)
        blob_id = secrets.token_hex(16)
        try:
            with closing(await self._run(self._begin, lease_id, name, blob_id)) as blob:
                await self._fill(blob, body)
                if sha256 not in (None, blob.sha256):
                    raise InvalidError([("Content-Digest", f"the content has the SHA-256 {blob.sha256}, not {sha256}")])
                await self._run(self._blobs.finish, blob_id, blob)
            return await self._run(self._add, lease_id, name, step, blob_id, blob)
        except BaseException:
            self._index.abandon(blob_id)
            raise

    def _begin(self, lease_id: str, name: str, blob_id: str) -> BlobFile:
        with lease_calls.holding(self._registry, lease_id, or_ended=name == OUTPUT) as lease:
            self._check_number(lease.trial_id, name)
            self._index.reserve(blob_id)
        return self._blobs.begin(blob_id)

    async def _fill(self, blob: BlobFile, body: AsyncIterator[bytes]) -> None:
        gathered = bytearray()
        async for chunk in self._steadily(body):
            gathered += chunk
            self.check_size(blob.size_bytes + len(gathered))
            if len(gathered) >= CHUNK_BYTES:
                await self._run(blob.write, bytes(gathered))
                gathered.clear()
        await self._run(blob.write, bytes(gathered))

    async def _steadily(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        while True:
            try:
                async with asyncio.timeout(self._stall_seconds):
                    chunk = await anext(body)
            except StopAsyncIteration:
                return
            except TimeoutError as error:
                raise IncompleteUploadError(f"nothing came of the upload for {self._stall_seconds:g} s") from error
            except ClientDisconnect as error:
                raise IncompleteUploadError("the upload broke off") from error
            yield chunk

    def _add(self, lease_id: str, name: str, step: int | None, blob_id: str, blob: BlobFile) -> ArtifactRecord:
        """The lease may have ended while the upload went on: then it changes nothing."""
        with lease_calls.holding(self._registry, lease_id, or_ended=name == OUTPUT) as lease:
            self._check_number(lease.trial_id, name)
            record = ArtifactRecord(
                trial_id=lease.trial_id,
                name=name,
                study_id=lease.study_id,
                lease_id=lease_id,
                attempt=lease.attempt,
                step=step,
                size_bytes=blob.size_bytes,
                sha256=blob.sha256,
                blob_id=blob_id,
                created_at=self._registry.clock.now(),
            )
            self._index.add(record)
        return record

    def check_size(self, n_bytes: int) -> None:
        """Raises TooLargeError."""
        if n_bytes > self._max_bytes:
            raise TooLargeError(f"an artifact must have at most {self._max_bytes} bytes")

    def _check_number(self, trial_id: int, name: str) -> None:
        others = [known for known in self._index.of_trial(trial_id) if known.name != name]
        if len(others) >= MAX_ARTIFACTS:
            raise TooManyArtifactsError(f"a trial must have at most {MAX_ARTIFACTS} artifacts")

    def of_trial(self, trial_id: int) -> list[ArtifactRecord]:
        """The artifacts of a trial, by name."""
        return self._index.of_trial(trial_id)

    async def open(self, trial_id: int, name: str) -> tuple[ArtifactRecord, BinaryIO]:
        """An artifact and its content, which `read` reads. Raises ArtifactNotFoundError and storage.BlobStoreError."""
        return await self._run(self._open, trial_id, name)

    def _open(self, trial_id: int, name: str) -> tuple[ArtifactRecord, BinaryIO]:
        missing: ArtifactRecord | None = None
        while True:  # an artifact may be replaced between the look at it and the opening of its blob
            record = self._index.get(trial_id, name)
            if record is None or record == missing:
                raise ArtifactNotFoundError(f"the trial has no artifact of this name: {name}")
            try:
                return record, self._blobs.open(record.blob_id)
            except BlobMissingError as error:
                log.warning("artifact %s: %s", name, error)
                missing = record

    async def read(self, file: BinaryIO) -> AsyncIterator[bytes]:
        """A file in chunks."""
        while chunk := await self._run(file.read, CHUNK_BYTES):
            yield chunk

    async def keep_sweeping(self) -> None:
        """Remove what nothing has any more, soon after it was let go, for as long as the service runs."""
        while True:
            pause_seconds = SWEEP_SECONDS
            try:
                await self._run(self.sweep)
            except (*DATABASE_ERRORS, StorageError) as error:
                log.error("artifacts that are gone cannot be removed yet: %s", error)
                pause_seconds = SWEEP_AGAIN_SECONDS
            except Exception:
                log.exception("artifacts that are gone cannot be removed yet")
                pause_seconds = SWEEP_AGAIN_SECONDS
            await asyncio.sleep(pause_seconds)

    def sweep(self) -> None:
        """Remove the blobs that no artifact has and nobody writes. Raises storage.StorageError."""
        removed = []
        try:
            for blob_id in self._index.removable_blobs():
                self._blobs.remove(blob_id)
                removed.append(blob_id)
        finally:
            if removed:
                self._index.forget_blobs(removed)

    async def _run(self, call: Callable[..., Answer], *arguments: object) -> Answer:
        return await to_thread.run_sync(partial(call, *arguments), limiter=self._threads)


def parse_digest(header: str) -> str:
    """The SHA-256 of a Content-Digest (RFC 9530), in hexadecimal. Raises InvalidError."""
    for member in header.split(","):
        found = DIGEST.fullmatch(member.strip())
        if found is not None:
            return base64.b64decode(found[1]).hex()
    raise InvalidError([("Content-Digest", f"it must hold sha-256=:BASE64: of the content: {header}")])


def format_digest(sha256: str) -> str:
    """A Content-Digest (RFC 9530) of a SHA-256 in hexadecimal."""
    return f"sha-256=:{base64.b64encode(bytes.fromhex(sha256)).decode()}:"
