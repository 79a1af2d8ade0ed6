"""Trials from elsewhere that a study's sampler learns from: bring them, read them."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Response

from service.imports.take import import_trials
from service.imports.view import find_import, import_list
from service.schemas.imports import Import, ImportList, ImportWithTrials, NewImport
from service.web.dependencies import StudyDependency, asker

router = APIRouter(prefix="/v1", tags=["studies"])

ANSWERS: dict[int | str, dict[str, Any]] = {200: {"model": Import, "description": "These were imported already."}}
ImportNumber = Annotated[int, Path(ge=0, lt=2**31, description="Number of the import, from 0.", examples=[0])]


@router.post("/studies/{name}/imports", status_code=201, responses=ANSWERS)
def bring(live: StudyDependency, response: Response, who: Annotated[str, Depends(asker)], wanted: NewImport) -> Import:
    """Let the sampler learn from trials that are none of this study: all that fit, or none when a rule is broken.

    The same call again imports nothing more. Imported trials count towards nothing and are no candidates for best.
    """
    answer, new = import_trials(live, wanted, who)
    response.status_code = 201 if new else 200
    return answer


@router.get("/studies/{name}/imports")
def imports(live: StudyDependency) -> ImportList:
    """What the sampler has learned from besides the study's own trials."""
    return import_list(live)


@router.get("/studies/{name}/imports/{number}")
def get(live: StudyDependency, number: ImportNumber) -> ImportWithTrials:
    """One import with its trials."""
    return find_import(live, number)
