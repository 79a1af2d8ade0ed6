"""Start final evaluations of studies that have ended, on request of a user or of the definition."""

import itertools
import math
from contextlib import suppress

from optuna.trial import FrozenTrial

from service.errors import InvalidError, StateConflictError, StudyNotFoundError
from service.finals.plan import Plan, PlannedCandidate, linked_definition
from service.registry.registry import Registry
from service.results.ranking import complete_trials, ranked_trials
from service.sampling.ask import has_all_params
from service.sampling.constraints import is_feasible, why_none
from service.schemas.final import FinalRequest, linked_name
from service.schemas.study.checks import params_errors
from service.schemas.study.definition_fields import Params
from service.schemas.study.search_space import FloatParameter, SearchSpace
from service.study.live_study import LiveStudy
from storage import DuplicateStudyError, FinalRecord, StudyRecord

BY_DEFINITION = "confirmation"


def start_final(registry: Registry, live: LiveStudy, request: FinalRequest, requested_by: str) -> bool:
    """Start a final evaluation of a study. Returns False, and starts none, if the current one answers the request.

    Raises InvalidError and StateConflictError.
    """
    with registry.committed_change(), live.lock:
        live.tick()
        live.check_not_deleted()
        is_new = _is_new(live, request)
        if is_new:
            _start(registry, live, request, requested_by)
    return is_new


def start_due_finals(registry: Registry) -> None:
    """Start the final evaluations that definitions ask for and whose searches have finished."""
    registry.for_each(lambda live: _start_if_due(registry, live))


def _start_if_due(registry: Registry, live: LiveStudy) -> None:
    if _is_due(live):
        with suppress(StudyNotFoundError, StateConflictError):  # it was deleted or changed since
            start_final(registry, live, FinalRequest(), BY_DEFINITION)


def _start(registry: Registry, live: LiveStudy, request: FinalRequest, requested_by: str) -> None:
    store, study_id = registry.store, live.record.study_id
    plan = _plan(live, request)
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
        reason=request.reason if current_final(live) is not None else None,
    )
    store.finals.add(final)
    registry.load(linked)


def _add_linked(registry: Registry, live: LiveStudy, plan: Plan, number: int) -> StudyRecord:
    """Create the linked study, under the first of its possible names that no other study has."""
    for suffix in itertools.count(number):
        with suppress(DuplicateStudyError):
            return registry.write_study(linked_definition(live.definition, linked_name(live.record.name, suffix), plan))
    raise AssertionError("numbers do not end")


def current_final(live: LiveStudy) -> FinalRecord | None:
    """The latest final evaluation of a study that runs or is complete; None if there is none but failed ones."""
    finals = live.store.finals.of_study(live.record.study_id)
    return next((final for final in reversed(finals) if final.state != "failed"), None)


def _is_new(live: LiveStudy, request: FinalRequest) -> bool:
    """Whether the request starts an evaluation. Raises InvalidError and StateConflictError if it must not."""
    if request.force and not request.reason:
        raise InvalidError([("reason", "reason must be given with force: it is kept with the record")])
    current = current_final(live)
    if current is not None and (current.state == "running" or not request.force):
        return False
    _check_search_is_over(live)
    return True


def _check_search_is_over(live: LiveStudy) -> None:
    """Raises StateConflictError while the search may still find something better."""
    name, state = live.record.name, live.record.state
    if live.definition.is_user_code:
        kind = "an entrypoint" if live.definition.entrypoints else "a command"
        raise StateConflictError(f"study {name} trains with {kind}: nothing is known of its test split")
    if live.final is not None:
        raise StateConflictError(f"study {name} is a final evaluation itself")
    if state not in ("finished", "stopped"):
        raise StateConflictError(f"study {name} is {state}: the final evaluation follows when it has finished")
    if len(live.leases) > 0:
        raise StateConflictError(f"study {name} is {state}, but workers still have trials of it: {len(live.leases)}")


def _is_due(live: LiveStudy) -> bool:
    """Whether the definition asks for an evaluation, none was started, and there is a candidate for it."""
    if live.definition.confirmation is None or live.deleted or live.record.state != "finished":
        return False
    return not live.store.finals.of_study(live.record.study_id) and bool(_best_candidates(live, 1))


def _plan(live: LiveStudy, request: FinalRequest) -> Plan:
    """The plan for a request. The definition fills its unset fields. Raises StateConflictError without a candidate."""
    defaults = live.definition.confirmation
    if defaults is not None:
        unset = {name: value for name, value in defaults.model_dump().items() if name not in request.model_fields_set}
        request = request.model_copy(update=unset)
    best = _best_candidates(live, request.top_k)
    if not best:
        raise StateConflictError(f"study {live.record.name} has {_why_no_candidate(live)}")
    candidates = [
        PlannedCandidate(trial_number=trial.number, value=trial.values[0], params=trial.params) for trial in best
    ]
    return Plan(n_seeds=request.n_seeds, train_on_validation=request.train_on_validation, candidates=candidates)


def _why_no_candidate(live: LiveStudy) -> str:
    trials = complete_trials(live)
    nothing = "there is nothing to evaluate"
    if infeasible := why_none(trials):
        return f"no feasible trial: {nothing} ({infeasible})"
    if any(not math.isfinite(trial.values[0]) for trial in trials if is_feasible(trial)):
        return f"no trial whose {live.definition.objectives[0].metric} is finite: {nothing}"
    return f"no complete trial: {nothing}"


def _best_candidates(live: LiveStudy, k: int) -> list[FrozenTrial]:
    """The best trials with different configurations, at most `k`, by the first objective."""
    best: list[FrozenTrial] = []
    configurations: list[Params] = []
    for trial in ranked_trials(live, complete_trials(live)):
        if len(best) == k:
            break
        configuration = _by_steps(live.definition.search_space, trial.params)
        if _can_be_repeated(live, trial) and configuration not in configurations:
            best.append(trial)
            configurations.append(configuration)
    return best


def _by_steps(space: SearchSpace, params: Params) -> Params:
    """The parameters with values of stepped ranges moved to a step, so that 0.44999999999999996 equals 0.45."""
    stepped = dict(params)
    for name, parameter in space.items():
        value = params.get(name)
        if isinstance(parameter, FloatParameter) and parameter.step is not None and isinstance(value, int | float):
            stepped[name] = parameter.at(round((value - parameter.low) / parameter.step))
    return stepped


def _can_be_repeated(live: LiveStudy, trial: FrozenTrial) -> bool:
    """Whether a trial can be a candidate: its value is finite and its parameters fit the definition.

    Trials that another program has written into the study may have any parameters.
    """
    space = live.definition.search_space
    finite = math.isfinite(trial.values[0])
    return finite and has_all_params(trial, space) and not any(params_errors(live.definition, trial.params))
