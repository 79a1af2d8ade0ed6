"""The final evaluation of a study: begin it, read it."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from service.finals.start import start_final
from service.finals.view import final_view
from service.schemas.final import Final, FinalRequest
from service.web.dependencies import RegistryDependency, StudyDependency, asker

router = APIRouter(prefix="/v1", tags=["studies"])

ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"model": Final, "description": "It is complete: the record."},
    202: {"model": Final, "description": "It is under way."},
}
STATUS = {"running": 202, "complete": 200, "failed": 200}


@router.post("/studies/{name}/final", status_code=201, responses=ANSWERS)
def begin_final(
    live: StudyDependency,
    registry: RegistryDependency,
    response: Response,
    asker: Annotated[str, Depends(asker)],
    wanted: FinalRequest | None = None,
) -> Final:
    """Confirm the best trials with fresh seeds, then evaluate the winner on the test split, once.

    The same call again answers 202 while that is under way, and 200 with the record ever after.
    """
    new = start_final(registry, live, wanted or FinalRequest(), asker)
    final = final_view(registry, live)
    response.status_code = 201 if new else STATUS[final.state]
    return final


@router.get("/studies/{name}/final")
def get(live: StudyDependency, registry: RegistryDependency) -> Final:
    """How far the final evaluation is, or its record."""
    return final_view(registry, live)
