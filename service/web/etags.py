"""Answers 304 to a caller that has the present version of an answer.

No browser stores an answer on its disk, so a page keeps the answer and its ETag itself, and sends If-None-Match.
"""

import hashlib
from typing import Annotated, Any

from fastapi import Header, Response
from pydantic import BaseModel

IfNoneMatch = Annotated[
    str | None,
    Header(
        alias="If-None-Match",
        max_length=1000,
        description="ETag of the caller's own copy: the answer is 304 without a body if that is up to date.",
        examples=['"5f0c9a61-7-1042-311-0"'],
    ),
]
NOT_MODIFIED: dict[int | str, dict[str, Any]] = {304: {"description": "The caller's copy is up to date."}}


def unless_same(version: str, if_none_match: str | None) -> Response | None:
    """The answer to a caller whose copy has this version; None for any other caller."""
    tag = f'"{version}"'
    if if_none_match is None or tag not in [one.strip().removeprefix("W/") for one in if_none_match.split(",")]:
        return None
    return Response(status_code=304, headers={"ETag": tag})


def tagged_by_content(answer: BaseModel, if_none_match: str | None) -> Response:
    """An answer as JSON with a digest of itself as its version, or 304: for what is cheap to compute."""
    content = answer.model_dump_json().encode()
    version = hashlib.sha256(content).hexdigest()[:32]
    return unless_same(version, if_none_match) or tagged(content, version)


def tagged(content: bytes, version: str) -> Response:
    """JSON as an answer with its version."""
    return Response(content, media_type="application/json", headers={"ETag": f'"{version}"'})
