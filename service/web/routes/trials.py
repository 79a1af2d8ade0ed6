"""Routes of the trials of a study."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from optuna.trial import TrialState as OptunaState

from service.results.curves import read_curves
from service.results.paging import take_page, trial_key
from service.results.view import find_trial, trial_views
from service.schemas.changes import NewTrial
from service.schemas.results import Curves, Trial, TrialList, TrialState
from service.study.changes import enqueue_params, retry_trial
from service.web.dependencies import ChangedStudyDependency, StudyDependency, TrialNumber
from service.web.parsed_body import ParsedBodyRoute
from service.web.routes.studies import CursorQuery, Limit

router = APIRouter(prefix="/v1", tags=["trials"], route_class=ParsedBodyRoute)

Order = Literal[
    "number", "-number", "value", "-value", "started_at", "-started_at", "duration_seconds", "-duration_seconds"
]
OrderQuery = Annotated[
    Order,
    Query(description="Sort key; a leading - sorts descending; value is the first objective.", examples=["-value"]),
]
StepLimit = Annotated[int | None, Query(ge=1, description="Maximum number of steps on a page.", examples=[1000])]
StateQuery = Annotated[TrialState | None, Query(description="Only trials in this state.", examples=["COMPLETE"])]


@router.get("/studies/{name}/trials", response_description="One page of trials.")
def list_trials(
    live: StudyDependency,
    state: StateQuery = None,
    order_by: OrderQuery = "number",
    limit: Limit = 100,
    cursor: CursorQuery = None,
) -> TrialList:
    """List the trials of a study.

    Trials come in pages. A cursor that this route did not return for this order is refused with 422.
    """
    states = None if state is None else (OptunaState[state],)
    trials = live.study.get_trials(deepcopy=False, states=states)
    entries, next_cursor = take_page(trials, trial_key(order_by), limit, cursor, is_sorted=order_by == "number")
    return TrialList(trials=trial_views(live, entries), next_cursor=next_cursor)


@router.post(
    "/studies/{name}/trials",
    status_code=201,
    name="enqueue",
    response_description="The new trial, which waits for a worker.",
    responses={200: {"model": Trial, "description": "With skip_if_exists: a trial that has these parameters already."}},
)
def enqueue_trial(live: ChangedStudyDependency, new: NewTrial, response: Response) -> Trial:
    """Enqueue a configuration to try next.

    Each call adds a trial, which counts towards n_trials; parameters that are left out are sampled. With skip_if_exists
    a call may be repeated: it adds no second trial. Parameters outside of the search space, and conditional ones whose
    condition the others do not meet, are refused with 422, a study whose trials all exist with 409 `budget_exhausted`,
    a grid without an untried configuration with 409 `nothing_left`, and a study that has ended with 409
    `state_conflict`.
    """
    number, is_new = enqueue_params(live, new.params, skip_if_exists=new.skip_if_exists)
    response.status_code = 201 if is_new else 200
    return _view(live, number)


@router.get("/studies/{name}/trials/{number}", name="get", response_description="The trial.")
def get_trial(live: StudyDependency, number: TrialNumber) -> Trial:
    """Read a trial.

    The answer has its parameters, state, objective values, final metrics and attempts.
    """
    return _view(live, number)


@router.post(
    "/studies/{name}/trials/{number}/retry",
    status_code=201,
    name="retry",
    response_description="The new trial, which waits for a worker.",
)
def retry_failed_trial(live: ChangedStudyDependency, number: TrialNumber) -> Trial:
    """Try a failed trial again.

    The new trial has the same parameters, and n_trials grows by one, so that a finished study runs again. The failed
    trial stays as it is. A trial that has not failed, or that is tried again already, is refused with 409
    `state_conflict`.
    """
    return _view(live, retry_trial(live, find_trial(live, number)))


@router.get(
    "/studies/{name}/trials/{number}/curves",
    response_description="The reported metrics by step.",
    response_model_exclude_none=True,
)
def get_curves(
    live: StudyDependency, number: TrialNumber, limit: StepLimit = None, cursor: CursorQuery = None
) -> Curves:
    """Read the learning curves of a trial.

    The answer has every metric that the trial reported, epoch by epoch. A trial with more than 200,000 values, those
    that are null included, comes in pages, and so does every trial with `limit`.
    """
    return read_curves(live, find_trial(live, number), limit, cursor)


def _view(live: StudyDependency, number: int) -> Trial:
    return trial_views(live, [find_trial(live, number)])[0]
