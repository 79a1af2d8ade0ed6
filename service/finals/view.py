"""Final evaluations as clients see them."""

from service.errors import FinalNotFoundError
from service.finals.confidence import ConfirmedCandidate
from service.finals.plan import Plan, plan_of, ranking_of
from service.finals.start import current_final
from service.registry.registry import Registry
from service.results.view import attempts_of
from service.schemas.final import Candidate, Evaluation, Final, TestScore
from service.study.live_study import LiveStudy
from storage import FinalRecord, trial_id_of


def final_view(registry: Registry, live: LiveStudy) -> Final:
    """The current final evaluation of a study, with the earlier ones. Raises FinalNotFoundError."""
    finals = live.store.finals.of_study(live.record.study_id)
    views = {
        final.number: _evaluation(final, linked) for final in finals if (linked := registry.linked(final)) is not None
    }
    if not views:
        raise FinalNotFoundError(f"study {live.record.name} has no final evaluation yet: POST here begins it")
    current = current_final(live)
    view = views.pop(current.number if current is not None and current.number in views else max(views))
    return Final(study=live.record.name, earlier=list(views.values()), **dict(view))


def _evaluation(final: FinalRecord, linked: LiveStudy) -> Evaluation:
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
        test_attempts=attempts_of(linked.store, trial_id_of(tested[0])) if tested else [],
        n_test_attempts=linked.store.leases.n_of_trial(trial_id_of(tested[0])) if tested else 0,
        failure=final.failure,
        ended_at=final.ended_at,
    )


def _candidates(plan: Plan, confirmed: list[ConfirmedCandidate]) -> list[Candidate]:
    """The candidates in the order of the ranking, then those that are not confirmed in the order of the plan."""
    planned = {candidate.trial_number: candidate for candidate in plan.candidates}
    ranked_numbers = {candidate.trial_number for candidate in confirmed}
    unconfirmed = [ConfirmedCandidate(number, []) for number in planned if number not in ranked_numbers]
    return [
        Candidate(
            trial_number=candidate.trial_number,
            params=planned[candidate.trial_number].params,
            validation_said=planned[candidate.trial_number].value,
            confirmed_values=list(candidate.values),
            confirmed_mean=candidate.mean,
            standard_error=candidate.standard_error,
            violated=list(candidate.violated),
        )
        for candidate in [*confirmed, *unconfirmed]
    ]
