"""The files of trials: uploaded under a lease, downloaded in chunks, and removed once no trial has them."""

import asyncio
import base64
import logging
import re
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, contextmanager
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
from service.leases.lookup import HeldLease, get_lease, hold_lease, studies_of
from service.registry.registry import Registry
from service.schemas.artifacts import CHECKPOINT, MAX_EARLIER_OUTPUTS, OUTPUT, earlier_output
from service.study.free_studies import until_free
from storage import (
    DATABASE_ERRORS,
    ArtifactRecord,
    BlobFile,
    BlobMissingError,
    BlobStore,
    EpochRecord,
    LeaseRecord,
    StorageError,
)

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
    """Uploads, downloads and removes artifacts of at most `max_bytes` each; a trial may have MAX_ARTIFACTS."""

    def __init__(
        self, registry: Registry, blobs: BlobStore, max_bytes: int, *, stall_seconds: float = STALL_SECONDS
    ) -> None:
        self._registry = registry
        self._index = registry.store.artifacts
        self._blobs = blobs
        self._max_bytes = max_bytes
        self._stall_seconds = stall_seconds
        # A thread pool for artifacts only: a slow disk or bucket must not use up the threads of the other calls.
        self._threads = CapacityLimiter(N_THREADS)

    async def upload_artifact(
        self, lease_id: str, name: str, step: int | None, digest: str | None, body: AsyncIterator[bytes]
    ) -> ArtifactRecord:
        """Store an upload whole or not at all. It replaces the trial's artifact of that name.

        `digest` is a Content-Digest (RFC 9530) or None. Raises LeaseNotFoundError, LeaseLostError, LeaseClosedError,
        InvalidError, TooLargeError, TooManyArtifactsError, IncompleteUploadError and storage.BlobStoreError.
        """
        if name == CHECKPOINT and step is None:
            raise InvalidError([("step", "step must be given with a checkpoint")])
        sha256 = None if digest is None else parse_digest(digest)
        blob_id = secrets.token_hex(16)
        try:
            await self._until_free(lease_id)
            with closing(await self._run(self._create_blob, lease_id, name, blob_id)) as blob:
                await self._fill(blob, body)
                if sha256 not in (None, blob.sha256):
                    raise InvalidError([("Content-Digest", f"the content has the SHA-256 {blob.sha256}, not {sha256}")])
                await self._run(self._blobs.finish, blob_id, blob)
            await self._until_free(lease_id)
            return await self._run(self._add, lease_id, name, step, blob_id, blob)
        except BaseException:
            self._index.abandon(blob_id)
            raise

    async def _until_free(self, lease_id: str) -> None:
        """Wait for the study of a lease, so that a thread does not wait for it."""
        await until_free(studies_of(self._registry, [lease_id]))

    def _create_blob(self, lease_id: str, name: str, blob_id: str) -> BlobFile:
        with self._holding(lease_id, name):
            self._index.reserve(blob_id)
        return self._blobs.begin(blob_id)

    @contextmanager
    def _holding(self, lease_id: str, name: str) -> Iterator[HeldLease]:
        """Hold the lease of an upload, check the number of artifacts, and wait for the commit of what is written."""
        with hold_lease(self._registry, lease_id, or_ended=name == OUTPUT) as held:
            self._check_number(held.record.trial_id, name)
            yield held
        self._registry.store.wait(held.committed)

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
                raise IncompleteUploadError(f"no bytes of the upload arrived for {self._stall_seconds:g} s") from error
            except ClientDisconnect as error:
                raise IncompleteUploadError("the upload was cut off") from error
            yield chunk

    def _add(self, lease_id: str, name: str, step: int | None, blob_id: str, blob: BlobFile) -> ArtifactRecord:
        """Add an uploaded artifact to the index. Raises if the lease has ended during the upload."""
        until = self._last_report(lease_id, step) if name == CHECKPOINT and step is not None else None
        with self._holding(lease_id, name) as held:
            lease = held.record
            if name == CHECKPOINT and step is not None:
                held.live.leases.set_checkpoint(lease_id, step, until)
            record = ArtifactRecord(
                trial_id=lease.trial_id,
                name=self._output_name(lease) if name == OUTPUT else name,
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

    def _output_name(self, lease: LeaseRecord) -> str:
        """The name for output of a lease. The output of the attempt before is kept under a name with its number."""
        known = self._index.get(lease.trial_id, OUTPUT)
        if known is None or known.attempt == lease.attempt:
            return OUTPUT
        if known.attempt > lease.attempt:
            return earlier_output(lease.attempt)
        self._index.rename(known, earlier_output(known.attempt))
        of_trial = self._index.of_trial(lease.trial_id)
        earlier = [record for record in of_trial if record.name == earlier_output(record.attempt)]
        for record in sorted(earlier, key=lambda record: record.attempt)[:-MAX_EARLIER_OUTPUTS]:
            self._index.remove(lease.trial_id, record.name)
        return OUTPUT

    def _last_report(self, lease_id: str, step: int) -> EpochRecord | None:
        """The last report of an open lease until a step, from the database, if the lease has forgotten reports."""
        live, lease = get_lease(self._registry, lease_id)
        return live.store.last_epoch_until(lease, step) if live.leases.has_forgotten(lease_id) else None

    def check_size(self, n_bytes: int) -> None:
        """Raises TooLargeError for more bytes than an artifact may have."""
        if n_bytes > self._max_bytes:
            raise TooLargeError(f"an artifact must have at most {self._max_bytes} bytes")

    def _check_number(self, trial_id: int, name: str) -> None:
        others = [known for known in self._index.of_trial(trial_id) if known.name != name]
        if len(others) >= MAX_ARTIFACTS:
            raise TooManyArtifactsError(f"a trial must have at most {MAX_ARTIFACTS} artifacts")

    async def open(self, trial_id: int, name: str) -> tuple[ArtifactRecord, BinaryIO]:
        """Return an artifact and its content as a file for `read_chunks`.

        Raises ArtifactNotFoundError and storage.BlobStoreError.
        """
        return await self._run(self._open, trial_id, name)

    def _open(self, trial_id: int, name: str) -> tuple[ArtifactRecord, BinaryIO]:
        missing: ArtifactRecord | None = None
        while True:  # an artifact may be replaced after its record was read and before its blob is opened
            record = self._index.get(trial_id, name)
            if record is None or record == missing:
                raise ArtifactNotFoundError(f"the trial has no artifact of this name: {name}")
            try:
                return record, self._blobs.open(record.blob_id)
            except BlobMissingError as error:
                log.warning("artifact %s: %s", name, error)
                missing = record

    async def read_chunks(self, file: BinaryIO) -> AsyncIterator[bytes]:
        """Yield the content of a file in chunks of at most CHUNK_BYTES."""
        while chunk := await self._run(file.read, CHUNK_BYTES):
            yield chunk

    async def keep_sweeping(self) -> None:
        """Remove the blobs of replaced and removed artifacts every SWEEP_SECONDS until the service ends."""
        while True:
            pause_seconds = SWEEP_SECONDS
            try:
                await self._run(self.sweep)
            except (*DATABASE_ERRORS, StorageError) as error:
                log.error("artifacts could not be swept; the next sweep tries again: %s", error)
                pause_seconds = SWEEP_AGAIN_SECONDS
            except Exception:
                log.exception("artifacts could not be swept; the next sweep tries again")
                pause_seconds = SWEEP_AGAIN_SECONDS
            await asyncio.sleep(pause_seconds)

    def sweep(self) -> None:
        """Remove the blobs that belong to no artifact and to no upload in progress. Raises storage.StorageError."""
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
    """Return the SHA-256 of a Content-Digest header (RFC 9530) in hexadecimal. Raises InvalidError."""
    for member in header.split(","):
        digest = DIGEST.fullmatch(member.strip())
        if digest is not None:
            return base64.b64decode(digest[1]).hex()
    raise InvalidError([("Content-Digest", f"it must hold sha-256=:BASE64: of the content: {header}")])


def format_digest(sha256: str) -> str:
    """Return the Content-Digest header (RFC 9530) for a SHA-256 in hexadecimal."""
    return f"sha-256=:{base64.b64encode(bytes.fromhex(sha256)).decode()}:"
