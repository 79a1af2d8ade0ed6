"""Routes of the narrowing rounds of a study."""

from typing import Any

from fastapi import APIRouter, Response

from service.rounds.start import narrow_by_hand
from service.rounds.view import narrowed_round, round_list
from service.schemas.rounds import NarrowedRound, NarrowRequest, RoundList
from service.web.dependencies import CallerName, ChangedStudyDependency, StudyDependency
from service.web.parsed_body import ParsedBodyRoute

router = APIRouter(prefix="/v1", tags=["studies"], route_class=ParsedBodyRoute)

ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"model": NarrowedRound, "description": "A preview: nothing has changed."},
}


@router.get("/studies/{name}/rounds", name="rounds", response_description="The rounds, the first one first.")
def list_rounds(live: StudyDependency) -> RoundList:
    """List the narrowing rounds of a study.

    Each round has its ranges and the results of its trials. A study that was never narrowed has one round.
    """
    live.tick_if_free()
    return round_list(live)


@router.post(
    "/studies/{name}/narrow", status_code=201, name="narrow", response_description="The new round.", responses=ANSWERS
)
def narrow_study(
    live: ChangedStudyDependency, response: Response, caller: CallerName, wanted: NarrowRequest | None = None
) -> NarrowedRound:
    """Narrow the ranges to the best trials.

    From now on the sampler draws from ranges around the best trials; `preview` only shows these ranges. A round begins
    once: the same `round` again, or a call without `round` while the latest round has no trial, is refused with 409
    `round_exists`. A study that cannot be narrowed is refused with 409 `state_conflict`.
    """
    wanted = wanted or NarrowRequest()
    record = narrow_by_hand(live, wanted, caller)
    response.status_code = 200 if wanted.preview else 201
    return narrowed_round(live, record, preview=wanted.preview)
