"""Routes of studies and of their results."""

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse

from service.registry.study_check import check_study
from service.results import export
from service.results.importances import importances
from service.results.paging import MAX_LIMIT, take_page
from service.results.ranking import best_trials, better_unfinished, complete_trials, pareto_trials
from service.results.study_version import version_of
from service.results.view import study_view, study_view_unless_deleted, trial_views
from service.sampling.constraints import why_none
from service.schemas.changes import StudyChange
from service.schemas.results import BestTrials, ExportFormat, Importances, Study, StudyList
from service.schemas.study.definition import Definition
from service.schemas.study_check import StudyCheck
from service.study.changes import change_study
from service.web.dependencies import (
    ChangedStudyDependency,
    DeletedStudyName,
    HistoriesDependency,
    RegistryDependency,
    StudyDependency,
    TablesDependency,
)
from service.web.etags import NOT_MODIFIED, IfNoneMatch, tagged, tagged_by_content, unless_same
from service.web.parsed_body import CHECKED_ONCE, ParsedBodyRoute

router = APIRouter(prefix="/v1", tags=["studies"], route_class=ParsedBodyRoute)

Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Maximum number of entries on a page.", examples=[100])]
CursorQuery = Annotated[
    str | None, Query(max_length=500, description="next_cursor of the previous page.", examples=[None])
]
ReplaceQuery = Annotated[
    bool,
    Query(description="Whether to replace a study of this name that has no complete trial.", examples=[False]),
]
CheckQuery = Annotated[bool, Query(description="Whether to check the definition only.", examples=[True])]
EXISTS_OR_CHECKED = "The study exists already with the same definition, or the definition was only checked."
HistoryQuery = Annotated[
    int | None,
    Query(ge=2, le=200, description="Most values of each study's `history`; none without it.", examples=[30]),
]
BestQuery = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Maximum number of trials.", examples=[5])]
WhereQuery = Annotated[
    str | None,
    Query(
        max_length=2_000,
        description="Only trials for which this is true. Comparisons of columns, `and`, `or`, `not`, `in (…)`, "
        "`is null`, `contains`.",
        examples=["dropout < 0.3 and state = COMPLETE"],
    ),
]
EXPORTED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "All trials. With optuna, the first line is the study and each following line is a trial.",
        "content": {"text/csv": {}, "application/json": {}, "application/x-ndjson": {}},
    }
}
Format = Annotated[
    ExportFormat,
    Query(description="Format of the file; optuna: JSON lines with everything that Optuna stores.", examples=["csv"]),
]
EXPORTS = {
    "csv": (export.as_csv, "csv", "text/csv"),
    "json": (export.as_json, "json", "application/json"),
    "optuna": (export.as_optuna, "jsonl", "application/x-ndjson"),
}


@router.post(
    "/studies",
    status_code=201,
    name="create",
    response_description="The study was created.",
    response_model=Study,
    responses={200: {"model": Study | StudyCheck, "description": EXISTS_OR_CHECKED}},
)
def create_study(
    definition: Annotated[Definition, CHECKED_ONCE],
    registry: RegistryDependency,
    response: Response,
    replace: ReplaceQuery = False,
    check: CheckQuery = False,
) -> Study | Response:
    """Create a study.

    The call may be repeated: the same definition again answers 200 with the existing study. Another definition under
    the same name is refused with 409 `study_exists`, an invalid definition with 422 and every wrong field. With
    `replace`, another definition takes the place of a study and its trials, unless one of them is complete (409
    `state_conflict`). With `check`, a valid definition answers 200 with what creating the study would meet, and nothing
    is created. Wrong fields of a YAML body come with their lines.
    """
    if check:
        return Response(check_study(registry, definition).model_dump_json(), media_type="application/json")
    live, new = registry.create(definition, replace=replace)
    response.status_code = 201 if new else 200
    return _view(registry, live)


@router.get("/studies", response_model=StudyList, response_description="One page of studies.", responses=NOT_MODIFIED)
def list_studies(
    registry: RegistryDependency,
    histories: HistoriesDependency,
    limit: Limit = 100,
    cursor: CursorQuery = None,
    history: HistoryQuery = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """List all studies.

    Studies come oldest first, in pages. A cursor that this route did not return is refused with 422.
    """
    entries, next_cursor = take_page(registry.every(), lambda live: (0.0, live.record.study_id), limit, cursor)
    history_of = None if history is None else partial(histories.of, n_points=history)
    views = [study_view_unless_deleted(live, registry.waits_for, history_of) for live in entries]
    return tagged_by_content(
        StudyList(studies=[view for view in views if view is not None], next_cursor=next_cursor), if_none_match
    )


@router.get(
    "/studies/{name}", name="get", response_model=Study, response_description="The study.", responses=NOT_MODIFIED
)
def get_study(live: StudyDependency, registry: RegistryDependency, if_none_match: IfNoneMatch = None) -> Response:
    """Read a study.

    The answer has the definition, the state, the number of trials in each state and the best trial.
    """
    live.tick_if_free()
    return tagged_by_content(_view(registry, live), if_none_match)


@router.patch("/studies/{name}", name="change", response_description="The changed study.")
def update_study(live: ChangedStudyDependency, registry: RegistryDependency, change: StudyChange) -> Study:
    """Pause, resume, stop or extend a study.

    The change is made whole or not at all. Setting the present state again changes nothing, except that `running` lets
    workers go on that got no more trials because of failures. n_trials must be larger than before (422); a change that
    the study's state does not allow is refused with 409 `state_conflict`.
    """
    change_study(live, change)
    return _view(registry, live)


@router.delete("/studies/{name}", status_code=204, name="delete", response_description="The study is deleted.")
def delete_study(name: DeletedStudyName, registry: RegistryDependency) -> None:
    """Delete a study.

    Its trials, artifacts and final evaluations are deleted with it, and its open leases are lost. The study of a final
    evaluation cannot be deleted by itself (409 `state_conflict`).
    """
    registry.delete(name)


@router.get("/studies/{name}/best", name="best", response_description="The best trials, the best one first.")
def list_best_trials(live: StudyDependency, k: BestQuery = 5) -> BestTrials:
    """List the best trials of a study.

    Only complete trials that satisfy every constraint count. A study with several objectives has no single best trial
    and is refused with 409 `state_conflict`: read its Pareto front instead. A pruned or paused trial that was better by
    its last value is in `better_unfinished`.
    """
    note = why_none(complete_trials(live))
    trials, unfinished = best_trials(live, k), better_unfinished(live)
    return BestTrials(
        trials=trial_views(live, trials),
        note=note,
        better_unfinished=None if unfinished is None else trial_views(live, [unfinished])[0],
    )


@router.get(
    "/studies/{name}/pareto",
    name="pareto",
    response_description="The trials of the Pareto front, ordered by the first objective.",
)
def list_pareto_trials(live: StudyDependency) -> BestTrials:
    """List the Pareto front of a study.

    These are the complete trials that no other trial dominates. Trials that violate a constraint are left out.
    """
    note = why_none(complete_trials(live))
    return BestTrials(trials=trial_views(live, pareto_trials(live)), note=note)


@router.get(
    "/studies/{name}/importance",
    name="importance",
    response_model=Importances,
    response_description="The importance of each parameter.",
    responses=NOT_MODIFIED,
)
def get_importances(live: StudyDependency, if_none_match: IfNoneMatch = None) -> Response:
    """Estimate the importance of each parameter.

    Optuna's default evaluator computes it for the first objective, or fANOVA over the widest ranges if ranges differ
    between trials. The answer is empty while fewer than two different objective values exist, and `note` names the
    parameters that have no share.
    """
    version = version_of(live)
    same = unless_same(version, if_none_match)
    return same or tagged(importances(live).model_dump_json().encode(), version)


@router.get("/studies/{name}/export", response_class=StreamingResponse, responses=EXPORTED)
def export_trials(
    live: StudyDependency, tables: TablesDependency, format: Format = "csv", where: WhereQuery = None
) -> StreamingResponse:
    """Export all trials as a file, or those that match a filter.

    The file is streamed as CSV, as JSON or in Optuna's terms as JSON lines. A wrong filter is refused with 422 and the
    position in it.
    """
    write, suffix, media_type = EXPORTS[format]
    trials = live.study.get_trials(deepcopy=False)
    if where:
        trials = [trials[number] for number in tables.matching(live, where)]
    headers = {"Content-Disposition": f'attachment; filename="{live.record.name}.{suffix}"'}
    return StreamingResponse(export.in_pieces(write(live, trials)), media_type=media_type, headers=headers)


def _view(registry: RegistryDependency, live: StudyDependency) -> Study:
    try:
        return study_view(live, registry.waits_for(live))
    except KeyError:  # raised by Optuna when the study was deleted meanwhile
        live.check_not_deleted()
        raise
