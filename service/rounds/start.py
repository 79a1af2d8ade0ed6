"""Start narrowing rounds: when the definition says so, or when a user asks for one."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from optuna.trial import FrozenTrial

from service.errors import InvalidError, RoundExistsError, StateConflictError
from service.results.ranking import complete_trials, ranked_trials
from service.rounds.ranges import NarrowedRange, narrow_range
from service.sampling.constraints import is_feasible
from service.sampling.round_view import narrowed_space
from service.sampling.samplers import chosen_sampler
from service.schemas.rounds import NarrowRequest
from service.schemas.study.definition_fields import KEEP_TOP, MARGIN, Narrowing
from service.schemas.study.search_space import FloatParameter
from service.study.live_study import LiveStudy
from storage import RoundRecord

BY_DEFINITION = "narrowing"


def start_due_round(live: LiveStudy) -> None:
    """Start the next round of the definition if it is due. The caller holds the study's lock."""
    narrowing = live.definition.narrowing
    if narrowing is not None and live.rounds.is_over(live.study, live.queue.n_created, live.record.n_trials):
        start_round(live, next_round(live, narrowing.keep_top, narrowing.margin, BY_DEFINITION))


def narrow_by_hand(live: LiveStudy, request: NarrowRequest, requested_by: str) -> RoundRecord:
    """Start the round that a user asks for and return its record; a preview is only returned.

    Raises InvalidError, RoundExistsError and StateConflictError.
    """
    with live.committed_change():
        live.tick()
        live.check_not_deleted()
        _check_number(live, request.round)
        _check_can_be_narrowed(live)
        keep_top, margin = _keep_top_and_margin(live.definition.narrowing, request)
        record = next_round(live, keep_top, margin, requested_by)
        if record.note is not None:
            raise StateConflictError(f"study {live.record.name} cannot be narrowed: {record.note}")
        if not request.preview:
            _check_changes_a_range(live, record)
            start_round(live, record)
    return record


def next_round(live: LiveStudy, keep_top: int, margin: float, requested_by: str) -> RoundRecord:
    """The record of the next round, its ranges around the best trials of the whole study.

    With fewer complete trials than `keep_top` the ranges stay as they are, and `note` says so.
    """
    kept = _best_trials(live, keep_top)
    note = None
    if len(kept) < keep_top:
        which = "" if all(map(is_feasible, complete_trials(live))) else " that satisfy every constraint"
        note = f"{len(kept)} complete trials{which}, and keep_top is {keep_top}"
        kept = []
    return RoundRecord(
        study_id=live.record.study_id,
        number=live.rounds.number + 1,
        first_trial=live.queue.n_created,
        began_at=live.clock.now(),
        requested_by=requested_by,
        keep_top=keep_top,
        margin=margin,
        kept=[trial.number for trial in kept],
        ranges={name: asdict(narrowed) for name, narrowed in _narrowed_ranges(live, kept, margin)},
        note=note,
    )


def start_round(live: LiveStudy, record: RoundRecord) -> None:
    """Write a round and sample from its ranges from now on. Trials that workers hold are not affected."""
    live.store.rounds.add(record)
    live.sample_from(record)
    live.events.round_begun(record.number, record.note or _summary(record))
    live.notify()
    live.want_suggestions()


def _narrowed_ranges(
    live: LiveStudy, kept: Sequence[FrozenTrial], margin: float
) -> Iterator[tuple[str, NarrowedRange]]:
    space = live.definition.search_space
    now = narrowed_space(space, live.rounds.latest)
    for name, first in space.items():
        present = now[name]
        if isinstance(first, FloatParameter) and isinstance(present, FloatParameter):
            values = [trial.params[name] for trial in kept if first.contains(trial.params.get(name))]
            yield name, narrow_range(first, present, values, margin)


def _best_trials(live: LiveStudy, k: int) -> list[FrozenTrial]:
    return ranked_trials(live, [trial for trial in complete_trials(live) if math.isfinite(trial.values[0])])[:k]


def _keep_top_and_margin(narrowing: Narrowing | None, request: NarrowRequest) -> tuple[int, float]:
    """What the request says, completed by the definition or else by the defaults."""
    keep_top, margin = (KEEP_TOP, MARGIN) if narrowing is None else (narrowing.keep_top, narrowing.margin)
    return request.keep_top or keep_top, margin if request.margin is None else request.margin


def _check_number(live: LiveStudy, number: int | None) -> None:
    """Raises RoundExistsError for a round that has started, InvalidError for one after the next."""
    latest = live.rounds.number
    if number is not None and number <= latest:
        raise RoundExistsError(f"round {number} of study {live.record.name} has begun already")
    if number is not None and number > latest + 1:
        raise InvalidError([("round", f"round must be the next one, {latest + 1}: {number}")])


def _check_can_be_narrowed(live: LiveStudy) -> None:
    """Raises StateConflictError if the study has no range to narrow, RoundExistsError if its round has no trial yet."""
    name, definition = live.record.name, live.definition
    sampler = chosen_sampler(definition)
    if live.final is not None:
        raise StateConflictError(f"study {name} is a final evaluation: its trials are given")
    if len(definition.objectives) > 1:
        raise StateConflictError(f"study {name} has several objectives: there is no best trial to narrow around")
    if sampler.exhaustive:
        raise StateConflictError(f"study {name} tries every configuration ({sampler.name}): it has no ranges to narrow")
    if not any(isinstance(parameter, FloatParameter) for parameter in definition.search_space.values()):
        raise StateConflictError(f"study {name} searches no float parameter: it has no range to narrow")
    if live.rounds.latest is not None and live.queue.n_created == live.rounds.first_trial:
        raise RoundExistsError(f"round {live.rounds.number} of study {name} has begun already, and has no trial yet")


def _check_changes_a_range(live: LiveStudy, record: RoundRecord) -> None:
    """Raises StateConflictError if every range stays as it is."""
    if all(narrowed["verdict"] == "kept" for narrowed in record.ranges.values()):
        raise StateConflictError(f"study {live.record.name} cannot be narrowed: {_summary(record)}")


def _summary(record: RoundRecord) -> str:
    return "; ".join(
        f"{name}: {narrowed['note'] or '{low:.4g} to {high:.4g}'.format_map(narrowed)}"
        for name, narrowed in record.ranges.items()
    )
