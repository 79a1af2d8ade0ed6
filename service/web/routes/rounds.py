"""The narrowing rounds of a study: read them, begin the next one by hand."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from service.rounds.start import narrow_by_hand
from service.rounds.view import narrowed_round, round_list
from service.schemas.rounds import NarrowedRound, NarrowRequest, RoundList
from service.web.dependencies import StudyDependency, asker

router = APIRouter(prefix="/v1", tags=["studies"])

ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"model": NarrowedRound, "description": "A preview: nothing has changed."},
}


@router.get("/studies/{name}/rounds")
def rounds(live: StudyDependency) -> RoundList:
    """The ranges of every round, and what its trials came to. A study that was never narrowed has one round."""
    live.tick()
    return round_list(live)


@router.post("/studies/{name}/narrow", status_code=201, responses=ANSWERS)
def narrow(
    live: StudyDependency,
    response: Response,
    who: Annotated[str, Depends(asker)],
    wanted: NarrowRequest | None = None,
) -> NarrowedRound:
    """Sample from ranges around the best trials from now on, or see with preview which these would be.

    A round begins once: with its number (`round`), the same call again gets 409 round_exists; without it too, as long
    as the round has no trial.
    """
    wanted = wanted or NarrowRequest()
    with live.working():
        live.tick()
        live.check_not_deleted()
        record = narrow_by_hand(live, wanted, who)
        answer = narrowed_round(live, record, preview=wanted.preview)
    response.status_code = 200 if wanted.preview else 201
    return answer
