"""Routes of compact answers about many trials. Few run at a time, each in a thread."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from service.results import export
from service.results.bulk_curves import bulk_curves, select_trials
from service.results.progress import progress
from service.results.study_version import version_of
from service.schemas.study_views import BulkCurves, Progress, TrialTable
from service.study.live_study import LiveStudy
from service.web.dependencies import StudyDependency, TablesDependency
from service.web.etags import NOT_MODIFIED, IfNoneMatch, tagged, unless_same
from service.web.long_calls import long_calls
from service.web.routes.studies import WhereQuery

router = APIRouter(prefix="/v1", tags=["trials"])

MAX_METRICS = 8
MAX_ROWS = 10_000
MetricsQuery = Annotated[
    list[Annotated[str, Query(min_length=1, max_length=128)]] | None,
    Query(
        max_length=MAX_METRICS,
        description="Metrics, at most 8; the first objective without any.",
        examples=[["validation_accuracy", "train_accuracy"]],
    ),
]
TrialsQuery = Annotated[
    str,
    Query(
        max_length=10_000,
        description="Which trials, at most 1,000: `best:N` (best first, then the newest others), `last:N`, `running`, "
        "or numbers with commas.",
        examples=["best:100"],
    ),
]
CurvePoints = Annotated[
    int, Query(ge=2, le=2_000, description="Most steps of each trial; longer curves are thinned.", examples=[500])
]
Points = Annotated[int, Query(ge=2, le=2_000, description="Most points of each list.", examples=[300])]
OrderQuery = Annotated[
    str,
    Query(
        max_length=300,
        description="Column to sort by; a leading - sorts descending. Trials that lack it come last.",
        examples=["-value"],
    ),
]
ColumnsQuery = Annotated[
    list[Annotated[str, Query(max_length=300)]] | None,
    Query(
        max_length=500,
        description="Names of columns, as `available` lists them; number, state, values, parameters and duration "
        "without any.",
        examples=[["number", "params.learning_rate"]],
    ),
]
OffsetQuery = Annotated[int, Query(ge=0, le=10**9, description="Position of the first row, from 0.", examples=[0])]
LimitQuery = Annotated[int, Query(ge=0, le=MAX_ROWS, description="Most rows of the answer.", examples=[100])]
TableFormat = Annotated[
    Literal["json", "csv"],
    Query(description="csv: all matching rows as a file, whatever offset and limit say.", examples=["json"]),
]
TABLE: dict[int | str, dict[str, Any]] = {
    200: {"model": TrialTable, "description": "The rows.", "content": {"text/csv": {}}},
    **NOT_MODIFIED,
}


@router.get(
    "/studies/{name}/curves",
    name="bulk-curves",
    response_model=BulkCurves,
    response_description="The curves.",
    responses=NOT_MODIFIED,
)
async def get_bulk_curves(
    request: Request,
    live: StudyDependency,
    tables: TablesDependency,
    metric: MetricsQuery = None,
    trials: TrialsQuery = "best:100",
    points: CurvePoints = 500,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Read the learning curves of many trials.

    The answer is compact. If it would have more than 500,000 values, the last trials are left out.
    """
    names = list(dict.fromkeys(metric or [live.definition.objectives[0].metric]))

    def read() -> bytes:
        return bulk_curves(live, tables.facts, select_trials(live, trials), names, points)

    return await _answer(request, live, if_none_match, read)


@router.get("/studies/{name}/table", name="table", response_class=Response, responses=TABLE)
async def get_table(
    request: Request,
    live: StudyDependency,
    tables: TablesDependency,
    columns: ColumnsQuery = None,
    where: WhereQuery = None,
    order_by: OrderQuery = "number",
    offset: OffsetQuery = 0,
    limit: LimitQuery = 100,
    format: TableFormat = "json",
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Read rows of a table of trials.

    Rows come from any position, filtered and sorted by any column. A column has the name `number`, `state`,
    `params.NAME`, `values.METRIC`, `metrics.NAME` or another one of `available`; a name alone is that of a parameter,
    or else of an objective, and `value` is the first objective. A name with odd characters stands in backquotes. Of
    texts, `=` compares all characters, and a comparison with something that a trial lacks is false. A wrong filter is
    refused with 422 and the position in it.
    """
    if format == "csv":
        lines = await long_calls().run_view(object(), lambda: tables.csv_of(live, columns or [], where, order_by))
        headers = {"Content-Disposition": f'attachment; filename="{live.record.name}.csv"'}
        return StreamingResponse(export.in_pieces(lines), media_type="text/csv", headers=headers)
    return await _answer(
        request, live, if_none_match, lambda: tables.json_of(live, columns or [], where, order_by, offset, limit)
    )


@router.get(
    "/studies/{name}/progress",
    name="progress",
    response_model=Progress,
    response_description="The best values so far, and the trials by state over time.",
    responses=NOT_MODIFIED,
)
async def get_progress(
    request: Request,
    live: StudyDependency,
    tables: TablesDependency,
    points: Points = 300,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Read how a study has come on.

    The best value so far is listed where it became better, by trials, by trained epochs and by time. `seconds` of a
    study that goes on is that of the latest change.
    """
    return await _answer(request, live, if_none_match, lambda: progress(live, tables.facts, points))


async def _answer(request: Request, live: LiveStudy, if_none_match: str | None, read: Callable[[], bytes]) -> Response:
    """The answer that is read in a thread, or 304. Who has an earlier copy may wait a moment for the next."""
    same = unless_same(version_of(live), if_none_match)
    if same is not None:
        return same

    def read_version() -> tuple[bytes, str]:
        version = version_of(live)
        return read(), version

    key = (live.record.study_id, request.url.path, request.url.query)
    return tagged(*await long_calls().run_view(key, read_version, is_patient=if_none_match is not None))
