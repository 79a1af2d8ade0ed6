"""Routes of the final evaluation of a study."""

from typing import Any

from fastapi import APIRouter, Response

from service.finals.start import start_final
from service.finals.view import final_view
from service.schemas.final import Final, FinalRequest
from service.web.dependencies import CallerName, ChangedStudyDependency, RegistryDependency, StudyDependency
from service.web.parsed_body import ParsedBodyRoute

router = APIRouter(prefix="/v1", tags=["studies"], route_class=ParsedBodyRoute)

ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"model": Final, "description": "The final evaluation is complete; this is its record."},
    202: {"model": Final, "description": "The final evaluation is running."},
}
STATUS = {"running": 202, "complete": 200, "failed": 200}


@router.post(
    "/studies/{name}/final",
    status_code=201,
    name="begin_final",
    response_description="The final evaluation was started.",
    responses=ANSWERS,
)
def start_final_evaluation(
    live: ChangedStudyDependency,
    registry: RegistryDependency,
    response: Response,
    caller: CallerName,
    wanted: FinalRequest | None = None,
) -> Final:
    """Confirm the best trials and evaluate the winner.

    The best configurations are trained again with fresh seeds; then the winner is evaluated on the test split, once.
    The call may be repeated: it answers 202 while the evaluation runs and 200 with its record afterwards. `force`
    starts another one and needs a `reason` (422 without). A study that is still running, that has no candidate or that
    trains with an entrypoint is refused with 409 `state_conflict`.
    """
    new = start_final(registry, live, wanted or FinalRequest(), caller)
    final = final_view(registry, live)
    response.status_code = 201 if new else STATUS[final.state]
    return final


@router.get("/studies/{name}/final", name="get", response_description="The latest final evaluation.")
def get_final(live: StudyDependency, registry: RegistryDependency) -> Final:
    """Read the final evaluation of a study.

    The answer has its progress while it runs and its record afterwards. A study without one answers 404
    `final_not_found`.
    """
    return final_view(registry, live)
