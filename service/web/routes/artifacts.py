"""Files of trials: workers keep them under a lease, anybody reads them."""

from typing import Annotated, Any, BinaryIO

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from service.leases.artifacts import Artifacts, format_digest
from service.results.view import find_trial
from service.schemas.artifacts import CHECKPOINT, Artifact, ArtifactList
from service.schemas.fields import NAME_PATTERN
from service.schemas.problem import Problem
from service.web.dependencies import LeaseIdPath, StudyDependency, TrialNumber
from storage import ArtifactRecord

router = APIRouter(prefix="/v1", tags=["artifacts"])


def _artifacts(request: Request) -> Artifacts:
    artifacts = request.app.state.artifacts
    assert isinstance(artifacts, Artifacts), "set by create_app"
    return artifacts


ArtifactsDependency = Annotated[Artifacts, Depends(_artifacts)]
NamePath = Annotated[
    str, Path(pattern=NAME_PATTERN, max_length=128, description="Name of the artifact.", examples=[CHECKPOINT])
]
StepQuery = Annotated[
    int | None,
    Query(ge=0, le=10_000_000, description="The step (epoch, from 0) it was made after.", examples=[3]),
]
DigestHeader = Annotated[
    str | None,
    Header(
        max_length=1000,
        description="SHA-256 of the content (RFC 9530), which is checked.",
        examples=["sha-256=:n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=:"],
    ),
]
TagHeader = Annotated[
    str | None, Header(max_length=1000, description="ETag of what the caller has already.", examples=['"9f86d081"'])
]
CONTENT: dict[str, Any] = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
UPLOAD = {"requestBody": {"required": True, "description": "The content, as it is.", "content": CONTENT}}
UPLOADED: dict[int | str, dict[str, Any]] = {
    408: {"model": Problem, "description": "The upload stood still or broke off."},
    413: {"model": Problem, "description": "Larger than an artifact may be."},
    507: {"model": Problem, "description": "No room."},
}
DOWNLOADED: dict[int | str, dict[str, Any]] = {
    200: {"description": "The content; its SHA-256 is in Content-Digest and ETag.", "content": CONTENT},
    304: {"description": "The caller has it already."},
}


@router.put("/artifacts/{lease_id}/{artifact}", openapi_extra=UPLOAD, responses=UPLOADED)
async def upload(
    lease_id: LeaseIdPath,
    artifact: NamePath,
    artifacts: ArtifactsDependency,
    request: Request,
    step: StepQuery = None,
    content_digest: DigestHeader = None,
) -> Artifact:
    """Keep a file with the leased trial, in the place of an earlier one of that name.

    The one called `checkpoint` needs a step, and is where the trial goes on when it is tried again: what it reported
    up to that step stays, what came after is forgotten. It is deleted when the trial ends.
    """
    length = request.headers.get("content-length", "")
    artifacts.check_size(int(length) if length.isdecimal() else 0)
    return _view(await artifacts.take(lease_id, artifact, step, content_digest, request.stream()))


@router.get("/artifacts/{name}/{number}/{artifact}", response_class=StreamingResponse, responses=DOWNLOADED)
async def download(
    live: StudyDependency,
    number: TrialNumber,
    artifact: NamePath,
    artifacts: ArtifactsDependency,
    if_none_match: TagHeader = None,
) -> Response:
    """Read a file of a trial."""
    record, file = await artifacts.open(find_trial(live, number)._trial_id, artifact)
    headers = {"ETag": f'"{record.sha256}"', "Content-Digest": format_digest(record.sha256)}
    if if_none_match is not None and headers["ETag"] in if_none_match:
        file.close()
        return Response(status_code=304, headers=headers)
    headers["Content-Length"] = str(record.size_bytes)
    headers["Content-Disposition"] = f'attachment; filename="{record.name}"'
    return FileBody(artifacts, file, headers)


@router.get("/studies/{name}/trials/{number}/artifacts")
def list_artifacts(live: StudyDependency, number: TrialNumber, artifacts: ArtifactsDependency) -> ArtifactList:
    """The files of a trial."""
    records = artifacts.of_trial(find_trial(live, number)._trial_id)
    return ArtifactList(artifacts=[_view(record) for record in records])


def _view(record: ArtifactRecord) -> Artifact:
    return Artifact.model_validate(record, from_attributes=True)


class FileBody(StreamingResponse):
    """An open file as an answer; it is closed however the answer ends."""

    def __init__(self, artifacts: Artifacts, file: BinaryIO, headers: dict[str, str]) -> None:
        super().__init__(artifacts.read(file), headers=headers, media_type="application/octet-stream")
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._file.close()
