"""Narrowing rounds as clients see them."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from optuna.trial import FrozenTrial

from service.results.ranking import ranked_trials
from service.rounds.ranges import share_of_first
from service.schemas.rounds import FIRST_ROUND, NarrowedRound, Range, Round, RoundList
from service.schemas.study.search_space import FloatParameter
from service.study.live_study import LiveStudy
from storage import RoundRecord


def round_list(live: LiveStudy) -> RoundList:
    """All rounds of a study, in order. The first round has the definition's ranges."""
    trials = live.study.get_trials(deepcopy=False)
    later = live.rounds.later()  # after the trials: a round that starts meanwhile has none of these
    ends = [record.first_trial for record in later] + [len(trials)]
    views = [_first_round(live, trials[: ends[0]])]
    for record, end in zip(later, ends[1:], strict=True):
        views.append(Round(**_fields(live, record), **_results(live, trials[record.first_trial : end])))
    return RoundList(study=live.record.name, rounds=views)


def narrowed_round(live: LiveStudy, record: RoundRecord, *, preview: bool) -> NarrowedRound:
    """A round that has just started, or, as a preview, would start now."""
    fields = _fields(live, record) | {"study": live.record.name, "preview": preview}
    return NarrowedRound(**fields | ({"began_at": None} if preview else {}), **_results(live, []))


def _first_round(live: LiveStudy, trials: Sequence[FrozenTrial]) -> Round:
    ranges = {
        name: Range(low=parameter.low, high=parameter.high, log=parameter.log, share=1.0, verdict="first", note=None)
        for name, parameter in live.definition.search_space.items()
        if isinstance(parameter, FloatParameter)
    }
    return Round(
        round=FIRST_ROUND,
        first_trial=0,
        began_at=live.record.started_at,
        requested_by=None,
        keep_top=None,
        margin=None,
        kept=[],
        ranges=ranges,
        note=None,
        **_results(live, trials),
    )


def _fields(live: LiveStudy, record: RoundRecord) -> dict[str, Any]:
    ranges = {name: _range(live, name, narrowed) for name, narrowed in record.ranges.items()}
    return {**asdict(record), "round": record.number, "ranges": ranges}


def _range(live: LiveStudy, name: str, narrowed: dict[str, Any]) -> Range:
    first = live.definition.search_space[name]
    assert isinstance(first, FloatParameter), "only float parameters are narrowed"
    share = share_of_first(first, narrowed["low"], min(narrowed["high"], first.last))
    return Range(**narrowed, log=first.log, share=share)


def _results(live: LiveStudy, trials: Sequence[FrozenTrial]) -> dict[str, Any]:
    best = [trial for trial in ranked_trials(live, trials) if math.isfinite(trial.values[0])]
    has_best = best and len(live.definition.objectives) == 1
    return {"n_trials": len(trials), "best": best[0].values[0] if has_best else None}
