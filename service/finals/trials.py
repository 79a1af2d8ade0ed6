"""The trials of a final evaluation: their leases, their metrics of the test split, and what follows the last one."""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from service.errors import InvalidError
from service.finals.confidence import accuracy_interval, compare_candidates, mean, rank_candidates
from service.finals.plan import Plan, Ranking, Repetition, confirmed_candidates, plan_of, ranking_of
from service.schemas.final import TestScore
from service.schemas.study.training import TEST_METRICS, Training
from service.study.live_study import LiveStudy
from storage import LeaseRecord, trial_id_of

PREFIX = "test_"


def final_fields(live: LiveStudy, number: int, training: Training) -> dict[str, Any]:
    """The special fields in the lease of the trial that reads the test split; empty for any other trial."""
    final = live.final
    plan = None if final is None else plan_of(final)
    if plan is None or not plan.is_test_trial(number):
        return {}
    if not plan.train_on_validation:
        return {"test": True}
    return {"test": True, "train_on_validation": True, "training": _without_validation(live, plan, training)}


def _without_validation(live: LiveStudy, plan: Plan, training: Training) -> Training:
    """The training without early stopping, as nothing is held out: its epochs are the confirmations' median best."""
    if training.early_stopping is None:
        return training
    trial_ids = [trial_id_of(trial) for trial in _trials_of_winner(live, plan)]
    known = [live.final_metrics.get(trial_id, {}) for trial_id in trial_ids]
    best = [metrics["best_epoch"] + 1 for metrics in known if "best_epoch" in metrics]
    epochs = round(statistics.median(best)) if best else training.epochs
    return training.model_copy(update={"early_stopping": None, "epochs": epochs})


def _trials_of_winner(live: LiveStudy, plan: Plan) -> list[FrozenTrial]:
    """The trials that confirmed the winner with a finite objective value."""
    assert live.final is not None, "only a final evaluation has a plan"
    ranking = ranking_of(live.final)
    numbers = [candidate.trial_number for candidate in plan.candidates]
    index = 0 if ranking is None else numbers.index(ranking.winner.trial_number)
    trials = live.study.get_trials(deepcopy=False)
    confirmations = [trials[number] for number in plan.trials_of(index)]
    return [trial for trial in confirmations if _value(trial) is not None]


def check_no_test_metrics(metrics: Mapping[str, float], field: str) -> None:
    """Raises InvalidError for metrics of the test split, which only the last trial of a final evaluation may have."""
    errors = [
        (f"{field}.{name}", f"{name} must not be here: the test split is read by the final evaluation alone")
        for name in metrics
        if name.startswith(PREFIX) or name in TEST_METRICS
    ]
    if errors:
        raise InvalidError(errors)


def check_test_metrics(live: LiveStudy, lease: LeaseRecord, metrics: Mapping[str, float]) -> None:
    """Raises InvalidError if a trial that reads the test split lacks its metrics, or if another trial has them."""
    if not reads_test_split(live, lease):
        check_no_test_metrics(metrics, "metrics")
        return
    errors = list(_score_errors(metrics))
    if errors:
        raise InvalidError(errors)


def reads_test_split(live: LiveStudy, lease: LeaseRecord) -> bool:
    """Whether the trial of a lease is the one of a final evaluation that reads the test split."""
    return live.final is not None and plan_of(live.final).is_test_trial(lease.trial_number)


def _score_errors(metrics: Mapping[str, float]) -> Iterator[tuple[str, str]]:
    for name in TEST_METRICS:
        value = metrics.get(name)
        if value is None or math.isnan(value):
            yield f"metrics.{name}", f"{name} must be a number: this trial evaluates the test split"
        elif name == "test_accuracy" and not 0 <= value <= 1:
            yield f"metrics.{name}", f"{name} must be between 0 and 1: {value:g}"
        elif name == "n_test_images" and not (value >= 1 and float(value).is_integer() and value < 2**53):
            yield f"metrics.{name}", f"{name} must be a whole number from 1: {value:g}"


def confirmed_values(live: LiveStudy, lease: LeaseRecord) -> list[float] | None:
    """The means of the winner's objective values, for a test trial that also trains on the validation split.

    That trial has no objective values of its own, as nothing is held out. None for any other trial.
    """
    if live.final is None or not reads_test_split(live, lease):
        return None
    plan = plan_of(live.final)
    if not plan.train_on_validation:
        return None
    return [mean(column) for column in zip(*(trial.values for trial in _trials_of_winner(live, plan)), strict=True)]


def record_test_score(live: LiveStudy, lease: LeaseRecord, metrics: Mapping[str, float]) -> None:
    """Write the score on the test split, in the transaction that completes the trial that read it."""
    if live.final is None or not reads_test_split(live, lease):
        return
    n_images = int(metrics["n_test_images"])
    low, high = accuracy_interval(metrics["test_accuracy"], n_images)
    score = TestScore(
        loss=metrics["test_loss"],
        accuracy=metrics["test_accuracy"],
        accuracy_low=low,
        accuracy_high=high,
        n_images=n_images,
    )
    test = score.model_dump(mode="json")
    live.store.finals.change(live.final, state="complete", test=test, ended_at=live.clock.now())


def continue_final(live: LiveStudy) -> bool:
    """Continue a final evaluation after the last trial of its study: rank the candidates, or end it.

    Returns True if it enqueued the trial that reads the test split, False if nothing is left to do.
    """
    final = live.final
    if final is None or final.state != "running":
        return False
    if final.ranking is not None:
        _give_up(live, "the test split was not evaluated", [plan_of(final).n_confirmations])
        return False
    plan = plan_of(final)
    ranking = _ranking(live, plan)
    if ranking is None:
        _give_up(live, "no configuration could be confirmed", range(plan.n_confirmations))
        return False
    if ranking.winner.violated:
        violations = "; ".join(
            f"trial {candidate.trial_number} violates {', '.join(candidate.violated)}"
            for candidate in ranking.confirmed
        )
        failure = f"no configuration keeps its constraints when it is trained again: {violations}"
        _fail(live, failure, ranking=ranking.model_dump(mode="json"))
        return False
    live.store.finals.change(final, ranking=ranking.model_dump(mode="json"))
    live.record = live.store.change_study(live.record, n_trials=plan.n_confirmations + 1)
    winner = next(planned for planned in plan.candidates if planned.trial_number == ranking.winner.trial_number)
    live.enqueue(winner.params)
    return True


def _ranking(live: LiveStudy, plan: Plan) -> Ranking | None:
    trials = live.study.get_trials(deepcopy=False)
    repetitions = [Repetition(_value(trial), trial.constraints) for trial in trials]
    confirmed = rank_candidates(confirmed_candidates(plan, repetitions), live.definition.objectives[0].direction)
    if not confirmed:
        return None
    runner_up = next((candidate for candidate in confirmed[1:] if not candidate.violated), None)
    distinguishable, comparison = compare_candidates(confirmed[0], runner_up)
    return Ranking(confirmed=confirmed, distinguishable=distinguishable, comparison=comparison)


def _value(trial: FrozenTrial) -> float | None:
    """The first objective value of a complete trial if it is finite, else None."""
    if trial.state != TrialState.COMPLETE or not math.isfinite(trial.values[0]):
        return None
    return float(trial.values[0])


def _give_up(live: LiveStudy, failure: str, numbers: Sequence[int]) -> None:
    """End the final evaluation as failed, with the reasons of the leases of these trials."""
    trials = live.study.get_trials(deepcopy=False)
    leases = live.store.leases.of_trials([trial_id_of(trials[number]) for number in numbers])
    reasons = dict.fromkeys(lease.reason for lease in leases if lease.reason)
    _fail(live, f"{failure}: {'; '.join(reasons) or 'no trial is complete'}")


def _fail(live: LiveStudy, failure: str, **more: Any) -> None:
    assert live.final is not None, "continue_final has checked it"
    live.store.finals.change(live.final, state="failed", failure=failure, ended_at=live.clock.now(), **more)
