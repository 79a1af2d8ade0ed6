"""Final evaluations as clients see them."""

from service.errors import FinalNotFoundError
from service.finals.confidence import Confirmed
from service.finals.plan import Plan, plan_of, ranking_of
from service.finals.start import counting
from service.registry.registry import Registry
from service.results.view import attempts_of
from service.schemas.final import Candidate, Evaluation, Final, TestScore
from service.study.live_study import LiveStudy
from storage import FinalRecord, Store, trial_id_of


def final_view(registry: Registry, live: LiveStudy) -> Final:
    """The evaluation that counts, with the others. Raises FinalNotFoundError."""
    store = registry.store
    found = [(one, registry.linked(one)) for one in store.finals.of_study(live.record.study_id)]
    views = {one.number: _evaluation(store, one, linked) for one, linked in found if linked is not None}
    if not views:
        raise FinalNotFoundError(f"study {live.record.name} has no final evaluation yet: POST here begins it")
    counts = counting(store, live)
    number = counts.number if counts is not None and counts.number in views else max(views)
    latest = views.pop(number)
    return Final(study=live.record.name, earlier=list(views.values()), **dict(latest))


def _evaluation(store: Store, final: FinalRecord, linked: LiveStudy) -> Evaluation:
    plan, ranking = plan_of(final), ranking_of(final)
    won = ranking if ranking and not ranking.winner.violated else None
    trials = linked.study.get_trials(deepcopy=False)
    tested = trials[plan.n_confirmations :]
    return Evaluation(
        number=final.number,
        state=final.state,
        linked_study=linked.record.name,
        trials_done=sum(trial.state.is_finished() for trial in trials),
        trials_total=plan.n_confirmations + 1,
        requested_by=final.requested_by,
        requested_at=final.requested_at,
        forced=final.reason is not None,
        reason=final.reason,
        metric=linked.definition.objectives[0].metric,
        n_seeds=plan.n_seeds,
        train_on_validation=plan.train_on_validation,
        candidates=_candidates(plan, ranking.confirmed if ranking else []),
        winner=won.winner.trial_number if won else None,
        distinguishable=won.distinguishable if won else None,
        comparison=won.comparison if won else None,
        tested_trial=tested[0].number if tested else None,
        test_said=None if final.test is None else TestScore.model_validate(final.test),
        test_attempts=attempts_of(store, trial_id_of(tested[0])) if tested else [],
        failure=final.failure,
        ended_at=final.ended_at,
    )


def _candidates(plan: Plan, confirmed: list[Confirmed]) -> list[Candidate]:
    """As they are ranked; before that, and those that could not be confirmed, as in the search."""
    planned = {candidate.trial_number: candidate for candidate in plan.candidates}
    unconfirmed = [Confirmed(number, []) for number in planned if number not in {one.trial_number for one in confirmed}]
    return [
        Candidate(
            trial_number=one.trial_number,
            params=planned[one.trial_number].params,
            validation_said=planned[one.trial_number].value,
            confirmed_values=list(one.values),
            confirmed_mean=one.mean,
            standard_error=one.standard_error,
            violated=list(one.violated),
        )
        for one in [*confirmed, *unconfirmed]
    ]
