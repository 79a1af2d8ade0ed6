"""Trials that pause at a rung and are promoted, with a real service and real workers."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from service.schemas.results import Trial
from tests.acceptance.user_code_service import OPERATOR, UserCodeService, open_service
from tests.server_sent_events import ServerSentEvent, parse
from tests.waiting import PATIENCE_SECONDS

N_TRIALS, N_EPOCHS = 8, 8
PRUNER = {"name": "successive_halving", "min_resource": 1, "reduction_factor": 2, "promote": True, "n_finalists": 0}
MEASURED = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "learning_rate")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UserCodeService]:
    with open_service(tmp_path_factory.mktemp("service")) as service:
        yield service


def definition(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "name": name,
        "search_space": {"learning_rate": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True}},
        "training": {
            "dataset": "digits",
            "model": {"name": "mlp", "hidden": [16]},
            "epochs": N_EPOCHS,
            "dropout": 0.2,
            "schedule": "cosine",
        },
        "sampler": {"name": "random", "seed": 0},
        "pruner": PRUNER,
        "n_trials": N_TRIALS,
        **changes,
    }


def events_of(service: UserCodeService, last_event_id: str | None) -> list[ServerSentEvent]:
    query = {"follow": "false"} | ({} if last_event_id is None else {"last_event_id": last_event_id})
    headers = {"Authorization": f"Bearer {OPERATOR}"}
    return parse(httpx.get(f"{service.url}/v1/events", params=query, headers=headers, timeout=PATIENCE_SECONDS).text)


@pytest.fixture(scope="module")
def start(service: UserCodeService) -> str:
    """The id of the last event before the studies."""
    *_, last = events_of(service, None)
    assert last.id is not None
    return last.id


@pytest.fixture(scope="module")
def promoted(service: UserCodeService, start: str) -> list[Trial]:
    """The trials of a study with promotions, trained by one lane."""
    service.client.create_study(definition("promoted"))
    with service.worker("--study", "promoted", "--processes", "1", "--lanes", "1"):
        return service.finished("promoted")


def test_promoted_trials_end_with_the_numbers_of_an_uninterrupted_training(
    service: UserCodeService, promoted: list[Trial]
) -> None:
    resumed = [trial for trial in promoted if [one.outcome for one in trial.attempts].count("pause") > 0]
    complete = [trial for trial in promoted if trial.state == "COMPLETE"]
    assert any(len(trial.attempts) > 1 for trial in resumed), "some trial went on after a pause"
    assert complete
    assert {trial.state for trial in promoted} == {"COMPLETE", "PRUNED"}
    assert all(attempt.attempt == 1 for trial in promoted for attempt in trial.attempts)
    params = [trial.params for trial in promoted]
    service.client.create_study(definition("whole", pruner="none", enqueue=params))
    with service.worker("--study", "whole", "--processes", "1", "--lanes", "1"):
        whole = service.finished("whole")

    for trial, uninterrupted in zip(promoted, whole, strict=True):
        ours, theirs = (service.client.curves(name, trial.number) for name in ("promoted", "whole"))
        n_steps = len(ours.steps)
        assert ours.steps == list(range(n_steps))
        for metric in MEASURED:
            assert ours.metrics[metric] == theirs.metrics[metric][:n_steps], metric
        if trial.state == "COMPLETE":
            assert n_steps == N_EPOCHS
            assert trial.values == uninterrupted.values


def test_no_epoch_is_trained_or_told_twice(service: UserCodeService, start: str, promoted: list[Trial]) -> None:
    told = [
        (event.data["trial"], event.data["step"])
        for event in events_of(service, start)
        if event.type == "trial_reported" and event.data["study"] == "promoted"
    ]
    log = (service.folder / "worker.log").read_text().splitlines()
    n_again = 0
    for trial in promoted:
        assert trial.step is not None
        assert [step for number, step in told if number == trial.number] == list(range(trial.step + 1))
        resumed = [line for line in log if f"promoted #{trial.number}: goes on after step" in line]
        assert len(resumed) == len(trial.attempts) - 1, log
        n_again += sum(int(line.rpartition(" ")[2]) + 1 for line in resumed)
    assert n_again > 0, "epochs that training again would have cost"
    assert not any("begins anew" in line for line in log)


def test_no_checkpoint_outlives_its_trial(service: UserCodeService, promoted: list[Trial]) -> None:
    kept = [artifact.name for trial in promoted for artifact in service.client.artifacts("promoted", trial.number)]
    assert "checkpoint" not in kept


def test_code_that_keeps_files_pauses_and_goes_on(service: UserCodeService) -> None:
    """All trials are as good as one another, so the first one is promoted: it is begun three times, and trains once."""
    objectives = [{"metric": "count", "direction": "maximize"}]
    training = {"arguments": {"n_steps": 3}}
    service.create("counted", "tuned.steps:train", objectives=objectives, training=training, pruner=PRUNER, n_trials=4)
    with service.worker("--allow", "tuned", "--study", "counted", "--processes", "1"):
        trials = service.finished("counted")

    assert [trial.state for trial in trials] == ["COMPLETE", "PRUNED", "PRUNED", "PRUNED"]
    curves = service.client.curves("counted", 0)
    assert curves.metrics == {"count": [1.0, 2.0, 3.0], "began_at": [0.0, 1.0, 2.0]}
    assert [attempt.outcome for attempt in trials[0].attempts] == ["pause", "pause", "complete"]
    assert [trial.step for trial in trials] == [2, 1, 0, 0]


def test_code_without_files_is_pruned_as_ever(service: UserCodeService) -> None:
    service.create("plain", "tuned.examples:prune_classifier", pruner=PRUNER, n_trials=1)
    with service.worker("--allow", "tuned", "--study", "plain", "--processes", "1"):
        (trial,) = service.finished("plain")

    assert (trial.state, trial.step) == ("PRUNED", 0)
    assert [attempt.outcome for attempt in trial.attempts] == ["prune"]


def test_an_own_model_pauses_and_goes_on_with_the_same_numbers(service: UserCodeService) -> None:
    model, dataset = {"entrypoint": "tuned.nets:build_linear"}, {"entrypoint": "tuned.nets:build_pairs"}
    training = {"model": model, "dataset": dataset, "epochs": 2, "batch_size": 16}
    service.client.create_study(definition("own", training=training, n_trials=2))
    with service.worker("--allow", "tuned", "--study", "own", "--processes", "1"):
        trials = service.finished("own")
    params = [trial.params for trial in trials]
    service.client.create_study(definition("own-whole", training=training, n_trials=2, pruner="none", enqueue=params))
    with service.worker("--allow", "tuned", "--study", "own-whole", "--processes", "1"):
        service.finished("own-whole")

    assert {trial.state for trial in trials} == {"COMPLETE", "PRUNED"}, [trial.reason for trial in trials]
    assert any(len(trial.attempts) > 1 for trial in trials)
    for trial in trials:
        ours, theirs = (service.client.curves(name, trial.number) for name in ("own", "own-whole"))
        n_steps = len(ours.steps)
        assert ours.steps == list(range(n_steps))
        for metric in MEASURED:
            assert ours.metrics[metric] == theirs.metrics[metric][:n_steps], metric


def test_finalists_of_different_sizes_end_in_lanes_with_the_numbers_of_an_uninterrupted_training(
    service: UserCodeService,
) -> None:
    space = {**definition("any")["search_space"], "model.hidden.0": {"type": "int", "low": 8, "high": 16}}
    training = {"dataset": "digits", "model": {"name": "mlp"}, "epochs": N_EPOCHS}
    same = {"search_space": space, "training": training, "n_trials": 4}
    pruner = {**PRUNER, "reduction_factor": 8, "n_finalists": 2}
    service.client.create_study(definition("finalists", **{**same, "pruner": pruner}))
    with service.worker("--study", "finalists", "--processes", "1", "--lanes", "2"):
        trials = service.finished("finalists")
    assert sorted(trial.state for trial in trials) == ["COMPLETE", "COMPLETE", "PRUNED", "PRUNED"]
    params = [trial.params for trial in trials]
    service.client.create_study(definition("finalists-whole", **{**same, "pruner": "none", "enqueue": params}))
    with service.worker("--study", "finalists-whole", "--processes", "1", "--lanes", "1"):
        uninterrupted = service.finished("finalists-whole")

    for trial, other in zip(trials, uninterrupted, strict=True):
        assert trial.attempts[0].outcome == "pause"
        assert trial.step == (N_EPOCHS - 1 if trial.state == "COMPLETE" else 0)
        ours, theirs = (service.client.curves(one.study, one.number) for one in (trial, other))
        for metric in ("train_accuracy", "validation_accuracy"):
            assert ours.metrics[metric] == pytest.approx(theirs.metrics[metric][: len(ours.steps)], abs=0.004), metric
