"""The trials of a final evaluation: what is special about their leases and ends, and what comes after the last one."""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from service.errors import InvalidError
from service.finals.confidence import accuracy_interval, compare, mean, rank
from service.finals.plan import (
    Plan,
    Ranking,
    Repetition,
    confirmation_seed,
    confirmations,
    plan_of,
    ranking_of,
    trial_seed,
)
from service.schemas.study.training import TEST_METRICS, Training
from service.study.live_study import LiveStudy
from storage import LeaseRecord, trial_id_of

PREFIX = "test_"


# Leases


def seed_of(live: LiveStudy, number: int) -> int:
    """A trial's own seed."""
    seed, final = live.definition.training.seed, live.final
    return trial_seed(seed, number) if final is None else confirmation_seed(seed, final, plan_of(final), number)


def final_fields(live: LiveStudy, number: int, training: Training) -> dict[str, Any]:
    """What the lease of a trial says otherwise than in a search: nothing, for all trials but the test's."""
    final = live.final
    plan = None if final is None else plan_of(final)
    if plan is None or not plan.is_test(number):
        return {}
    if not plan.train_on_validation:
        return {"test": True}
    return {"test": True, "train_on_validation": True, "training": _without_validation(live, plan, training)}


def _without_validation(live: LiveStudy, plan: Plan, training: Training) -> Training:
    """Nothing is held out to stop by: as many epochs as were best in the confirmations, at the median."""
    if training.early_stopping is None:
        return training
    trial_ids = [trial_id_of(trial) for trial in _winners(live, plan)]
    best = [
        result.metrics["best_epoch"] + 1 for result in live.store.results(trial_ids) if "best_epoch" in result.metrics
    ]
    epochs = round(statistics.median(best)) if best else training.epochs
    return training.model_copy(update={"early_stopping": None, "epochs": epochs})


def _winners(live: LiveStudy, plan: Plan) -> list[FrozenTrial]:
    """The confirmations of the winner that count."""
    assert live.final is not None, "a plan is a final evaluation's"
    ranking = ranking_of(live.final)
    numbers = [candidate.trial_number for candidate in plan.candidates]
    place = 0 if ranking is None else numbers.index(ranking.winner.trial_number)
    trials = live.study.get_trials(deepcopy=False)
    confirmations = [trials[number] for number in plan.trials_of(place)]
    return [trial for trial in confirmations if _value(trial) is not None]


# Metrics of the test split


def check_no_test_metrics(metrics: Mapping[str, float], field: str) -> None:
    """Raises InvalidError: nothing but the end of a final evaluation may speak of the test split."""
    errors = [
        (f"{field}.{name}", f"{name} must not be here: the test split is read by the final evaluation alone")
        for name in metrics
        if name.startswith(PREFIX) or name in TEST_METRICS
    ]
    if errors:
        raise InvalidError(errors)


def check_completion(live: LiveStudy, lease: LeaseRecord, metrics: Mapping[str, float]) -> None:
    """Raises InvalidError for a test score from any trial but the one that has it, and for that one without."""
    if not is_test(live, lease):
        check_no_test_metrics(metrics, "metrics")
        return
    errors = list(_score_errors(metrics))
    if errors:
        raise InvalidError(errors)


def is_test(live: LiveStudy, lease: LeaseRecord) -> bool:
    return live.final is not None and plan_of(live.final).is_test(lease.trial_number)


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
    """The objective values of a model that nothing was held out from: the means of its confirmations."""
    if live.final is None or not is_test(live, lease):
        return None
    plan = plan_of(live.final)
    if not plan.train_on_validation:
        return None
    return [mean(column) for column in zip(*(trial.values for trial in _winners(live, plan)), strict=True)]


# Ends


def record_test(live: LiveStudy, lease: LeaseRecord, metrics: Mapping[str, float]) -> None:
    """Write down what the test split said, for good, in the transaction that completes its trial."""
    if live.final is None or not is_test(live, lease):
        return
    n_images = int(metrics["n_test_images"])
    low, high = accuracy_interval(metrics["test_accuracy"], n_images)
    test = {
        "loss": metrics["test_loss"],
        "accuracy": metrics["test_accuracy"],
        "accuracy_low": low,
        "accuracy_high": high,
        "n_images": n_images,
    }
    live.store.finals.change(live.final, state="complete", test=_finite(test), ended_at=live.clock.now())


def go_on(live: LiveStudy) -> bool:
    """When all trials of a study have ended: whether its final evaluation needs one more, which is then there."""
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
        broken = "; ".join(f"trial {one.trial_number} violates {', '.join(one.violated)}" for one in ranking.confirmed)
        what = f"no configuration keeps its constraints when it is trained again: {broken}"
        _fail(live, what, ranking=ranking.model_dump(mode="json"))
        return False
    live.store.finals.change(final, ranking=ranking.model_dump(mode="json"))
    live.record = live.store.change_study(live.record, n_trials=plan.n_confirmations + 1)
    params = next(one.params for one in plan.candidates if one.trial_number == ranking.winner.trial_number)
    live.enqueue(params)
    return True


def _ranking(live: LiveStudy, plan: Plan) -> Ranking | None:
    trials = live.study.get_trials(deepcopy=False)
    repetitions = [Repetition(_value(trial), trial.constraints) for trial in trials]
    confirmed = rank(confirmations(plan, repetitions), live.definition.objectives[0].direction)
    if not confirmed:
        return None
    runner_up = next((one for one in confirmed[1:] if not one.violated), None)
    distinguishable, comparison = compare(confirmed[0], runner_up)
    return Ranking(confirmed=confirmed, distinguishable=distinguishable, comparison=comparison)


def _value(trial: FrozenTrial) -> float | None:
    """Its first objective value, if it has a finite one."""
    if trial.state != TrialState.COMPLETE or not math.isfinite(trial.values[0]):
        return None
    return float(trial.values[0])


def _give_up(live: LiveStudy, what: str, numbers: Sequence[int]) -> None:
    """With the reasons of the leases of these trials."""
    trials = live.study.get_trials(deepcopy=False)
    leases = live.store.leases.of_trials([trial_id_of(trials[number]) for number in numbers])
    reasons = dict.fromkeys(lease.reason for lease in leases if lease.reason)
    _fail(live, f"{what}: {'; '.join(reasons) or 'no trial is complete'}")


def _fail(live: LiveStudy, failure: str, **more: Any) -> None:
    assert live.final is not None, "go_on has looked"
    live.store.finals.change(live.final, state="failed", failure=failure, ended_at=live.clock.now(), **more)


def _finite(values: Mapping[str, float]) -> dict[str, float | str]:
    """JSON has no infinite numbers."""
    return {name: value if math.isfinite(value) else str(value) for name, value in values.items()}
