"""The learning curves of a trial, page by page."""

from collections.abc import Iterator

from optuna.trial import FrozenTrial

from service.results.paging import decode_cursor, encode_cursor, key_from
from service.schemas.protocol import MAX_STEP
from service.schemas.results import Curves
from service.study.live_study import LiveStudy
from storage import trial_id_of

MAX_CELLS = 200_000
"""Values on one page, those that are null included: a page has one for each of its steps and metrics."""

StepMetrics = tuple[int, dict[str, float]]


def read_curves(live: LiveStudy, trial: FrozenTrial, limit: int | None, cursor: str | None) -> Curves:
    """One page of the metrics that a trial reported, by step: at most `limit` steps and MAX_CELLS values.

    For a trial of another program, Optuna's intermediate values. Raises InvalidError for a cursor of another list.
    """
    after_step = None if cursor is None else min(max(decode_cursor(cursor, key_from)[1], -1), MAX_STEP)
    page: list[StepMetrics] = []
    names: dict[str, None] = {}
    next_cursor = None
    for step, metrics in _reported(live, trial, after_step):
        n_cells = len(names | dict.fromkeys(metrics)) * (len(page) + 1)
        if len(page) == limit or (page and n_cells > MAX_CELLS):
            next_cursor = encode_cursor((0.0, page[-1][0]))
            break
        page.append((step, metrics))
        names |= dict.fromkeys(metrics)
    return Curves(
        steps=[step for step, _ in page],
        metrics={name: [metrics.get(name) for _, metrics in page] for name in names},
        next_cursor=next_cursor,
    )


def _reported(live: LiveStudy, trial: FrozenTrial, after_step: int | None) -> Iterator[StepMetrics]:
    """The reports of a trial after a step, in the order of their steps, read as far as they are asked for."""
    trial_id, is_reported = trial_id_of(trial), False
    for epoch in live.store.every_epoch(trial_id, after_step):
        is_reported = True
        yield epoch.step, epoch.metrics
    if is_reported or (after_step is not None and live.store.epochs(trial_id, limit=1)):
        return
    objective = live.definition.objectives[0].metric
    steps = [step for step in trial.intermediate_values if after_step is None or step > after_step]
    yield from ((step, {objective: trial.intermediate_values[step]}) for step in sorted(steps))
