"""Routes of artifacts: workers upload files under a lease, readers download them."""

from typing import Annotated, Any, BinaryIO

from fastapi import APIRouter, Header, Path, Query, Request, Response
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from service.leases.artifacts import Artifacts, format_digest
from service.results.view import find_trial
from service.schemas.artifacts import CHECKPOINT, Artifact, ArtifactList
from service.schemas.fields import NAME_PATTERN
from service.schemas.problem import Problem
from service.schemas.protocol import MAX_STEP
from service.web.dependencies import ArtifactsDependency, LeaseIdPath, StudyDependency, TrialNumber
from storage import ArtifactRecord, trial_id_of

router = APIRouter(prefix="/v1", tags=["artifacts"])

NamePath = Annotated[
    str, Path(pattern=NAME_PATTERN, max_length=128, description="Name of the artifact.", examples=[CHECKPOINT])
]
StepQuery = Annotated[
    int | None,
    Query(ge=0, le=MAX_STEP, description="The step (epoch, from 0) after which it was written.", examples=[3]),
]
DigestHeader = Annotated[
    str | None,
    Header(
        max_length=1000,
        description="SHA-256 of the content (RFC 9530), which is verified.",
        examples=["sha-256=:n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=:"],
    ),
]
TagHeader = Annotated[
    str | None, Header(max_length=1000, description="ETag of the caller's own copy.", examples=['"9f86d081"'])
]
CONTENT: dict[str, Any] = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
UPLOAD = {"requestBody": {"required": True, "description": "The content of the file.", "content": CONTENT}}
UPLOADED: dict[int | str, dict[str, Any]] = {
    408: {"model": Problem, "description": "The upload stalled or was broken off."},
    413: {"model": Problem, "description": "The file is larger than an artifact may be."},
    507: {"model": Problem, "description": "The artifact store is full."},
}
DOWNLOADED: dict[int | str, dict[str, Any]] = {
    200: {"description": "The content. Content-Digest and ETag hold its SHA-256.", "content": CONTENT},
    304: {"description": "The caller's copy is up to date."},
}


@router.put(
    "/artifacts/{lease_id}/{artifact}",
    name="upload",
    openapi_extra=UPLOAD,
    response_description="The stored artifact.",
    responses=UPLOADED,
)
async def upload_artifact(
    lease_id: LeaseIdPath,
    artifact: NamePath,
    artifacts: ArtifactsDependency,
    request: Request,
    step: StepQuery = None,
    content_digest: DigestHeader = None,
) -> Artifact:
    """Upload an artifact of the leased trial.

    The file is stored whole or not at all, and replaces an earlier artifact of that name, so the call may be repeated.
    The `output` of an attempt is kept as `output-N` when the next attempt sends its own, that of five attempts at most.
    The artifact `checkpoint` needs a step: a further attempt at the trial resumes there. Reports up to that step are
    kept and later ones are discarded. It is deleted when the trial ends. A content that does not match its digest is
    refused with 422, a trial with too many artifacts with 409 `too_many_artifacts`, and a lease that has ended with 409
    `lease_lost` or `lease_closed`.
    """
    length = request.headers.get("content-length", "")
    artifacts.check_size(int(length) if length.isdecimal() else 0)
    return _view(await artifacts.upload_artifact(lease_id, artifact, step, content_digest, request.stream()))


@router.get(
    "/artifacts/{name}/{number}/{artifact}", name="download", response_class=StreamingResponse, responses=DOWNLOADED
)
async def download_artifact(
    live: StudyDependency,
    number: TrialNumber,
    artifact: NamePath,
    artifacts: ArtifactsDependency,
    if_none_match: TagHeader = None,
) -> Response:
    """Download an artifact of a trial.

    A caller that sends the ETag of its copy gets 304 if that is up to date. An unknown name answers 404
    `artifact_not_found`.
    """
    record, file = await artifacts.open(trial_id_of(find_trial(live, number)), artifact)
    headers = {"ETag": f'"{record.sha256}"', "Content-Digest": format_digest(record.sha256)}
    if if_none_match is not None and headers["ETag"] in if_none_match:
        file.close()
        return Response(status_code=304, headers=headers)
    headers["Content-Length"] = str(record.size_bytes)
    headers["Content-Disposition"] = f'attachment; filename="{record.name}"'
    return ArtifactResponse(artifacts, file, headers)


@router.get("/studies/{name}/trials/{number}/artifacts", response_description="The artifacts, by name.")
def list_artifacts(live: StudyDependency, number: TrialNumber) -> ArtifactList:
    """List the artifacts of a trial.

    The list has the size, digest and step of each file, not its content.
    """
    records = live.store.artifacts.of_trial(trial_id_of(find_trial(live, number)))
    return ArtifactList(artifacts=[_view(record) for record in records])


def _view(record: ArtifactRecord) -> Artifact:
    return Artifact.model_validate(record, from_attributes=True)


class ArtifactResponse(StreamingResponse):
    """Streams an open file and closes it, also when the client disconnects."""

    def __init__(self, artifacts: Artifacts, file: BinaryIO, headers: dict[str, str]) -> None:
        super().__init__(artifacts.read_chunks(file), headers=headers, media_type="application/octet-stream")
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream the file and close it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._file.close()
