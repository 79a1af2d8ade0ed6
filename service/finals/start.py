"""Begin final evaluations: when users or definitions ask, and the search is over."""

import itertools
import math
from contextlib import suppress

from optuna.trial import FrozenTrial, TrialState

from service.errors import InvalidError, StateConflictError, StudyNotFoundError
from service.finals.plan import Plan, Planned, linked_definition
from service.registry.registry import Registry
from service.results.view import complete_trials, ranked_trials
from service.sampling.ask import is_complete
from service.sampling.constraints import is_feasible, why_none
from service.schemas.final import FinalRequest, linked_name
from service.schemas.study.checks import params_errors
from service.schemas.study.definition_fields import Params
from service.schemas.study.search_space import FloatParameter, SearchSpace
from service.study.live_study import LiveStudy
from storage import DuplicateStudyError, FinalRecord, Store, StudyRecord

BY_DEFINITION = "confirmation"


def start_final(registry: Registry, live: LiveStudy, wanted: FinalRequest, requested_by: str) -> bool:
    """Begin the final evaluation of a study, unless there is one that counts; whether it is new.

    Raises InvalidError and StateConflictError.
    """
    with registry.changing(), live.lock:
        live.tick()
        live.check_not_deleted()
        new = _is_new(registry.store, live, wanted)
        if new:
            _start(registry, live, wanted, requested_by)
    return new


def start_due_finals(registry: Registry) -> None:
    """Begin those that definitions ask for."""
    registry.for_each(lambda live: _start_if_due(registry, live))


def _start_if_due(registry: Registry, live: LiveStudy) -> None:
    if _is_due(registry.store, live):
        with suppress(StudyNotFoundError, StateConflictError):  # it was deleted or changed since
            start_final(registry, live, FinalRequest(), BY_DEFINITION)


def _start(registry: Registry, live: LiveStudy, wanted: FinalRequest, requested_by: str) -> None:
    store, study_id = registry.store, live.record.study_id
    plan = _plan(live, wanted)
    number = 1 + len(store.finals.of_study(study_id))
    linked = _add_linked(registry, live, plan, number)
    final = FinalRecord(
        study_id=study_id,
        number=number,
        linked_study_id=linked.study_id,
        state="running",
        plan=plan.model_dump(mode="json"),
        requested_at=registry.clock.now(),
        requested_by=requested_by,
        reason=wanted.reason if counting(store, live) is not None else None,
    )
    store.finals.add(final)
    registry.load(linked)


def _add_linked(registry: Registry, live: LiveStudy, plan: Plan, number: int) -> StudyRecord:
    """The study of the trials, under the first of its names that no other study has."""
    for suffix in itertools.count(number):
        with suppress(DuplicateStudyError):
            return registry.add(linked_definition(live.definition, linked_name(live.record.name, suffix), plan))
    raise AssertionError("numbers do not end")


def counting(store: Store, live: LiveStudy) -> FinalRecord | None:
    """The evaluation that a further call is answered with: the one under way, or the last complete one."""
    evaluations = store.finals.of_study(live.record.study_id)
    return next((one for one in reversed(evaluations) if one.state != "failed"), None)


def _is_new(store: Store, live: LiveStudy, wanted: FinalRequest) -> bool:
    """Whether this call begins an evaluation. Raises InvalidError and StateConflictError when it cannot."""
    if wanted.force and not wanted.reason:
        raise InvalidError([("reason", "reason must be given with force: it is kept with the record")])
    known = counting(store, live)
    if known is not None and (known.state == "running" or not wanted.force):
        return False
    _check_over(live)
    return True


def _check_over(live: LiveStudy) -> None:
    """Raises StateConflictError while the search may still find something better."""
    name, state = live.record.name, live.record.state
    if live.definition.is_user_code:
        raise StateConflictError(f"study {name} trains with an entrypoint: nothing is known of its test split")
    if live.final is not None:
        raise StateConflictError(f"study {name} is a final evaluation itself")
    if state not in ("finished", "stopped"):
        raise StateConflictError(f"study {name} is {state}: the final evaluation follows when it has finished")
    if len(live.leases) > 0:
        raise StateConflictError(f"study {name} is {state}, but workers still have trials of it: {len(live.leases)}")


def _is_due(store: Store, live: LiveStudy) -> bool:
    """Whether the definition asks for an evaluation that has not begun."""
    if live.definition.confirmation is None or live.deleted or live.record.state != "finished":
        return False
    return not store.finals.of_study(live.record.study_id) and bool(_best(live, 1))


def _plan(live: LiveStudy, wanted: FinalRequest) -> Plan:
    """The best configurations, each once, by the first objective. Raises StateConflictError without any."""
    defaults = live.definition.confirmation
    asked = wanted if defaults is None else wanted.model_copy(update=_unasked(wanted, defaults.model_dump()))
    best = _best(live, asked.top_k)
    if not best:
        raise StateConflictError(f"study {live.record.name} has {_why_no_candidate(live)}")
    candidates = [Planned(trial_number=one.number, value=one.values[0], params=one.params) for one in best]
    return Plan(n_seeds=asked.n_seeds, train_on_validation=asked.train_on_validation, candidates=candidates)


def _why_no_candidate(live: LiveStudy) -> str:
    trials = complete_trials(live)
    nothing = "there is nothing to evaluate"
    if infeasible := why_none(trials):
        return f"no feasible trial: {nothing} ({infeasible})"
    if any(not math.isfinite(trial.values[0]) for trial in trials if is_feasible(trial)):
        return f"no trial whose {live.definition.objectives[0].metric} is finite: {nothing}"
    return f"no complete trial: {nothing}"


def _unasked(wanted: FinalRequest, defaults: dict[str, int]) -> dict[str, int]:
    """What the definition says where the call says nothing."""
    return {name: value for name, value in defaults.items() if name not in wanted.model_fields_set}


def _best(live: LiveStudy, k: int) -> list[FrozenTrial]:
    best: list[FrozenTrial] = []
    found: list[Params] = []
    for trial in ranked_trials(live, live.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))):
        if len(best) == k:
            break
        configuration = _by_steps(live.definition.search_space, trial.params)
        if _can_be_repeated(live, trial) and configuration not in found:
            best.append(trial)
            found.append(configuration)
    return best


def _by_steps(space: SearchSpace, params: Params) -> Params:
    """Parameters in which 0.45 and 0.44999999999999996 of a stepped range are the same."""
    found = dict(params)
    for name, one in space.items():
        value = params.get(name)
        if isinstance(one, FloatParameter) and one.step is not None and isinstance(value, int | float):
            found[name] = one.at(round((value - one.low) / one.step))
    return found


def _can_be_repeated(live: LiveStudy, trial: FrozenTrial) -> bool:
    """Not so for what another program has put into the study, and no mean tells anything beside an infinite value."""
    space = live.definition.search_space
    finite = math.isfinite(trial.values[0])
    return finite and is_complete(trial, space) and not any(params_errors(live.definition, trial.params))
