"""Custom models and data sets, trained by the built-in trainer on real workers."""

import re
import signal
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from tests.acceptance.user_code_service import CODE, UserCodeService, gone, kill_all, open_service
from tests.waiting import until

RATE = {"learning_rate": {"type": "float", "low": 1e-3, "high": 1e-2, "log": True}}
PAIRS = {"entrypoint": "tuned.nets:build_pairs"}
N_SLOW = 40
"""Epochs, of a quarter of a second each: long enough to be killed in the middle."""
LINEAR = {"entrypoint": "tuned.nets:build_linear"}
DIGITS = {"entrypoint": "tuned.nets:build_dataset", "arguments": {"test": True}}

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "raise": ({}, "RuntimeError: no such net"),
    "die": ({}, "ended with status 0 before"),
    "abort": ({}, "killed by SIGABRT"),
    "hang": ({"step_timeout_seconds": 5.0}, "reported nothing for 5 s (step_timeout_seconds)"),
    "narrow": ({}, "tuned.nets:build_wrong must give logits of 2 classes: 1"),
}


def create(service: UserCodeService, name: str, training: dict[str, Any], **changes: Any) -> str:
    definition = {
        "name": name,
        "search_space": RATE,
        "training": {"model": LINEAR, "dataset": PAIRS, "epochs": 2, "batch_size": 16, **training},
        "sampler": {"name": "random", "seed": 0},
        "pruner": "none",
        "n_trials": 1,
        **changes,
    }
    service.client.create_study(definition)
    return name


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UserCodeService]:
    """With workers that allow `tuned`."""
    with (
        open_service(tmp_path_factory.mktemp("service")) as service,
        service.worker("--allow", "tuned", "--processes", "2"),
    ):
        yield service


@pytest.fixture(scope="module")
def studies(service: UserCodeService) -> UserCodeService:
    """All that finish by themselves, under way."""
    space = {**RATE, "model.arguments.width": {"type": "int", "low": 16, "high": 32}}
    model = {"entrypoint": "tuned.nets:build_model", "arguments": {"depth": 2, "dropout": 0.1}}
    training = {"model": model, "dataset": DIGITS, "epochs": 6, "batch_size": 64, "l1_decay": 1e-6, "noise_std": 0.05}
    create(service, "searched", training, search_space=space, n_trials=3, confirmation={"top_k": 1, "n_seeds": 2})
    for kind, (training, _) in WRONG.items():
        model = {"entrypoint": "tuned.nets:build_wrong", "arguments": {"kind": kind}}
        create(service, kind, {"model": model, **training}, max_attempts=1)
    create(service, "built-in-on-custom", {"model": "mlp", "dataset": PAIRS}, max_attempts=1)
    create(service, "missing", {"model": {"entrypoint": "tuned.missing:build"}}, max_attempts=2)
    return service


def test_a_custom_model_is_searched_trained_and_kept(studies: UserCodeService) -> None:
    trials = studies.finished("searched")

    assert [trial.state for trial in trials] == ["COMPLETE"] * 3, [trial.reason for trial in trials]
    for trial in trials:
        assert trial.values == [trial.metrics["validation_accuracy"]]
        assert trial.metrics["validation_accuracy"] > 0.7
        width = int(str(trial.params["model.arguments.width"]))
        assert f"building with {{'depth': 2, 'dropout': 0.1, 'width': {width}}}" in studies.output(
            "searched", trial.number
        )
        assert studies.client.curves("searched", trial.number).steps == list(range(6))
        assert trial.metrics["n_parameters"] == 65 * width + 2 * (width * width + 3 * width) + 11 * width - width + 10


def test_a_kept_model_is_loaded_into_what_the_users_code_builds(studies: UserCodeService) -> None:
    import importlib.util

    from workers.saved.files import load_model

    studies.finished("searched")
    best = studies.client.best("searched", 1)[0]
    path = studies.folder / "custom-model.safetensors"
    studies.client.download_artifact("searched", best.number, "model", path)
    spec = importlib.util.spec_from_file_location("nets_of_the_user", CODE / "tuned" / "nets.py")
    assert spec is not None
    assert spec.loader is not None
    nets = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(nets)
    width = best.params["model.arguments.width"]
    model, description = load_model(path, nets.build_model({"width": width, "depth": 2}))
    inputs, labels = nets.build_dataset({})[1]

    with torch.no_grad():
        accuracy = (model(inputs.float()).argmax(1) == labels).float().mean()
    assert best.metrics["validation_accuracy"] == pytest.approx(float(accuracy), abs=1e-6)
    assert description["n_classes"] == 10


def test_the_final_evaluation_reads_the_third_part(studies: UserCodeService) -> None:
    studies.finished("searched")
    final = studies.tested("searched")
    assert final.test_said is not None, final.failure
    assert final.test_said.n_images == 397
    assert final.test_said.accuracy > 0.7


@pytest.mark.parametrize("kind", WRONG)
def test_what_a_models_code_does_wrong_fails_its_trial(studies: UserCodeService, kind: str) -> None:
    (trial,) = studies.finished(kind)
    assert trial.state == "FAIL"
    assert WRONG[kind][1] in (trial.reason or "")
    if kind != "hang":  # the time may be over before the code begins
        assert f"about to {kind}" in studies.output(kind)


def test_parts_that_do_not_fit_each_other_say_so(studies: UserCodeService) -> None:
    (trial,) = studies.finished("built-in-on-custom")
    assert "built-in models take images [channels, height, width]" in (trial.reason or "")


def test_a_model_whose_code_is_missing_here_is_tried_again(studies: UserCodeService) -> None:
    (trial,) = studies.finished("missing")
    assert [attempt.outcome for attempt in trial.attempts] == ["fail", "fail"]
    assert "tuned.missing:build cannot be imported" in (trial.reason or "")


@pytest.mark.parametrize("training", [{"model": {"entrypoint": "os:getenv"}}, {"dataset": {"entrypoint": "os:getenv"}}])
def test_what_is_not_allowed_waits_and_says_so(service: UserCodeService, training: dict[str, Any]) -> None:
    name = create(service, f"refused-{'-'.join(training)}", training)
    create(service, f"after-{name}", {})
    service.finished(f"after-{name}")
    study = service.client.study(name)
    assert study.trial_counts.RUNNING + study.trial_counts.FAIL + study.trial_counts.COMPLETE == 0
    assert "no worker allows" in (study.waits_for or "")
    assert "os:getenv" in (study.waits_for or "")


def test_a_trial_goes_on_where_a_killed_worker_has_kept_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Not from its beginning, and the result is that of a trial nobody has killed.

    The state is written at most once a second, so it may be of some epochs before the last one that was reported.
    """
    one = ("--allow", "tuned", "--processes", "1", "--checkpoint-seconds", "1")
    model = {"entrypoint": "tuned.nets:build_slow", "arguments": {"seconds": 0.05}}
    with open_service(tmp_path_factory.mktemp("killed"), "--lease-seconds", "2") as service:
        for name in ("killed", "whole"):
            create(service, name, {"model": model, "epochs": N_SLOW}, enqueue=[{"learning_rate": 0.01}])
            service.client.change(name, state="paused")
        service.client.change("killed", state="running")
        with service.worker(*one) as worker:

            def has_checkpoint() -> bool:
                return any((one.step or 0) >= 3 for one in service.client.artifacts("killed", 0))

            until(has_checkpoint, "a checkpoint of an epoch is with the service")
            users = kill_all(worker.pid)
            assert gone(users), "the process of the model does not outlive its worker"
        service.client.change("whole", state="running")
        with service.worker(*one) as worker:
            (killed,), (whole,) = service.finished("killed"), service.finished("whole")
            worker.send_signal(signal.SIGTERM)

        assert [attempt.outcome for attempt in killed.attempts] == ["expire", "complete"]
        curves, expected = (service.client.curves(name, 0) for name in ("killed", "whole"))
        assert curves.steps == list(range(N_SLOW))
        for metric in ("train_loss", "validation_loss"):
            assert curves.metrics[metric] == pytest.approx(expected.metrics[metric], rel=1e-5)
        (n_epochs,) = re.findall(r"goes on after (\d+) epochs", service.output("killed"))
        assert int(n_epochs) >= 1
        assert whole.state == "COMPLETE"


def test_a_trial_that_was_promoted_goes_on_from_its_rung(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Its epochs are each reported once, by more than one attempt."""
    pruner = {"name": "successive_halving", "min_resource": 1, "reduction_factor": 2, "promote": True}
    with open_service(tmp_path_factory.mktemp("promoted")) as service:
        create(service, "promoted", {"epochs": 4}, pruner=pruner, n_trials=4)
        with service.worker("--allow", "tuned", "--processes", "1"):
            trials = service.finished("promoted")

        paused = [trial for trial in trials if "pause" in [attempt.outcome for attempt in trial.attempts]]
        done = [trial for trial in paused if trial.state == "COMPLETE"]
        assert done, [(trial.state, trial.reason) for trial in trials]
        for trial in done:
            assert service.client.curves("promoted", trial.number).steps == [0, 1, 2, 3]
            assert "goes on after" in service.output("promoted", trial.number)
            assert "starts again" not in service.output("promoted", trial.number)


def test_trials_of_one_kind_train_in_lanes_and_are_given_back_with_their_states(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Of a worker that is asked to end and the next one; some are pruned, and what frees a lane is followed at once."""
    one = ("--allow", "tuned", "--processes", "1", "--lanes", "4", "--checkpoint-seconds", "1")
    model = {"entrypoint": "tuned.nets:build_model", "arguments": {"width": 16, "dropout": 0.1}}
    pruner = {"name": "median", "n_startup_trials": 3, "n_warmup_steps": 4}
    with open_service(tmp_path_factory.mktemp("lanes")) as service:
        training = {"model": model, "dataset": DIGITS, "epochs": 40}
        create(service, "lanes", training, pruner=pruner, n_trials=16)

        def have_checkpoints() -> bool:
            running = [trial.number for trial in service.client.trials("lanes") if trial.state == "RUNNING"]
            return sum(bool(service.client.artifacts("lanes", number)) for number in running) > 1

        with service.worker(*one):
            until(have_checkpoints, "several trials that train have checkpoints")
        given_back = [trial.number for trial in service.client.trials("lanes") if trial.state == "WAITING"]
        with service.worker(*one):
            trials = service.finished("lanes")

        assert len(given_back) > 1
        assert {trial.state for trial in trials} <= {"COMPLETE", "PRUNED"}, [trial.reason for trial in trials]
        assert {trial.user_attrs["lanes"] for trial in trials} == {"up to 4 at a time"}
        assert any("goes on after" in service.output("lanes", number) for number in given_back)
        for trial in trials:
            steps = service.client.curves("lanes", trial.number).steps
            assert steps == list(range(len(steps)))
            assert trial.state == "PRUNED" or len(steps) == 40
        assert any("the output of all of them" in service.output("lanes", trial.number) for trial in trials)
