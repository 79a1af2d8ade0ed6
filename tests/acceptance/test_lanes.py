"""`narrows worker --lanes` against a real service: what is trained side by side is as if it were trained alone."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from service.client import Client
from service.schemas.results import Trial
from service.schemas.study.training import Training
from tests.acceptance.processes import worker
from tests.commands import run
from tests.conftest import StartService, clean_environment
from tests.training import train_trial
from tests.waiting import PATIENCE_SECONDS, until
from workers.data.trial_data import prepare_data
from workers.saved.files import load_model

CPU = torch.device("cpu")
SPACE = {
    "learning_rate": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True},
    "dropout": {"type": "float", "low": 0.0, "high": 0.5},
}
TRAINING = {"dataset": "digits", "model": {"name": "mlp", "hidden": [32], "batch_norm": True}, "epochs": 8}
ROUNDING = 5e-3
"""What float32 may come to over eight epochs: sums in another order, with other neighbours; an image is 0.0028."""
SEVERAL_IMAGES = 0.03
"""After few epochs many images are nearly of two classes. tests/contracts/test_padded_lanes.py compares in float64."""
CLOCKS = ("seconds", "training_seconds", "waiting_seconds")


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """As the workers have; two that wait for each other at every small step take many times as long."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Laboratory:
    def __init__(self, client: Client, folder: Path) -> None:
        self.client = client
        self.folder = folder

    def create(self, name: str, n_trials: int, **more: Any) -> None:
        definition = {"name": name, "search_space": SPACE, "training": TRAINING, "n_trials": n_trials, **more}
        self.client.create_study(definition)

    def work(self, *flags: str, **environment: str) -> str:
        """Run a worker until it is idle; what it said."""
        given = ["--server", self.client.server, "--processes", "1", "--exit-when-idle", "1", *flags]
        with worker(*given, environment=clean_environment(**environment), cwd=self.folder) as process:
            output, _ = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 0, output
        return output

    def model(self, study: str) -> Path:
        path = self.folder / f"{study}.safetensors"
        command = ["model", study, "--out", str(path), "--server", self.client.server]
        done = run(*command, environment=clean_environment(), cwd=self.folder)
        assert done.returncode == 0, done.stderr
        return path


@pytest.fixture
def laboratory(tmp_path: Path, service_process: StartService) -> Iterator[Laboratory]:
    service = service_process()
    with Client(service.url) as client:
        yield Laboratory(client, tmp_path)


def without_clocks(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if name not in CLOCKS}


def alone(trial: Trial, training: dict[str, Any], seed: int) -> dict[str, float]:
    """The same trial, trained in this process."""
    whole = Training.model_validate({**training, **trial.params})
    data = prepare_data(whole.dataset, Path(), CPU, download=False)
    metrics = train_trial(whole, seed, data, CPU, report=lambda *_: None, should_stop=lambda: False)
    assert metrics is not None
    return metrics


def test_the_kept_model_of_the_winner_has_the_accuracy_that_was_recorded(laboratory: Laboratory) -> None:
    laboratory.create("digits", 8, sampler="random", pruner="none")
    laboratory.work("--lanes", "3")
    (best,) = laboratory.client.best("digits", 1)
    model, about = load_model(laboratory.model("digits"))
    assert about["trial"] == best.number
    data = prepare_data(Training.model_validate(TRAINING).dataset, Path(), CPU, download=False)
    images = (data.images[data.validation].float() - data.mean) / data.std
    with torch.inference_mode():
        accuracy = (model(images).argmax(1) == data.labels[data.validation]).float().mean().item()
    assert accuracy == pytest.approx(best.metrics["validation_accuracy"], abs=1e-6)


def test_trials_in_lanes_with_refills_reproduce_alone(laboratory: Laboratory) -> None:
    laboratory.create("digits", 10, sampler="random", pruner="none")
    laboratory.work("--lanes", "4", "--keep-models", "all")
    for trial in laboratory.client.trials("digits"):
        path = laboratory.folder / "model"
        laboratory.client.download_artifact("digits", trial.number, "model", path)
        _, about = load_model(path)
        again = without_clocks(alone(trial, TRAINING, about["seed"]))
        del again["n_near_zero_weights"]  # of a few, one may lie on the other side of the limit
        for name, value in again.items():
            assert trial.metrics[name] == pytest.approx(value, rel=ROUNDING, abs=ROUNDING), name


def test_trials_of_several_sizes_share_lanes_with_the_results_of_one_lane(laboratory: Laboratory) -> None:
    """No times are known and none are taken with a given number of lanes, so the default costs of a CPU decide."""
    space = {
        **SPACE,
        "model.hidden.0": {"type": "int", "low": 8, "high": 32, "log": True},
        "batch_size": {"type": "int", "low": 16, "high": 64, "log": True},
    }
    sizes = [(8, 50), (32, 20), (30, 64), (17, 33), (25, 64), (9, 16), (32, 16), (20, 50)]
    enqueued = [
        {"learning_rate": 0.003, "dropout": 0.05 * number, "model.hidden.0": width, "batch_size": batch_size}
        for number, (width, batch_size) in enumerate(sizes)
    ]
    training = {**TRAINING, "model": {"name": "mlp"}, "epochs": 4}
    outputs = {}
    for lanes in ("4", "1"):
        laboratory.create(
            f"lanes-{lanes}",
            len(sizes),
            search_space=space,
            training=training,
            sampler="random",
            pruner="none",
            enqueue=enqueued,
        )
        outputs[lanes] = laboratory.work("--lanes", lanes, XDG_CACHE_HOME=str(laboratory.folder))
    assert outputs["4"].count("lanes-4: trials of several sizes train together, padded to ") == 1
    assert "padded" not in outputs["1"]
    pairs = zip(laboratory.client.trials("lanes-4"), laboratory.client.trials("lanes-1"), strict=True)
    for trial, single in pairs:
        assert (trial.number, trial.params, trial.state) == (single.number, single.params, "COMPLETE")
        for name in ("train_loss", "validation_loss"):
            assert trial.metrics[name] == pytest.approx(single.metrics[name], rel=ROUNDING), name
        for name in ("train_accuracy", "validation_accuracy"):
            assert trial.metrics[name] == pytest.approx(single.metrics[name], abs=SEVERAL_IMAGES), name


def test_a_lane_is_refilled_while_its_neighbours_go_on(laboratory: Laboratory) -> None:
    """One long trial and many short ones in two lanes: the short ones pass by the long one."""
    space = {**SPACE, "epochs": {"type": "categorical", "choices": [2, 400]}}
    training = {key: value for key, value in TRAINING.items() if key != "epochs"}
    long, short = {"epochs": 400}, {"epochs": 2}
    laboratory.create(
        "digits",
        12,
        search_space=space,
        training=training,
        sampler="random",
        pruner="none",
        enqueue=[long] + [short] * 11,
    )
    laboratory.work("--lanes", "2")
    first, *others = laboratory.client.trials("digits")
    assert first.finished_at is not None
    finished_at = [trial.finished_at for trial in others if trial.finished_at is not None]
    assert len(finished_at) == 11
    assert max(finished_at) <= first.finished_at


def test_lanes_are_chosen_in_training_and_said_once_for_each_study(laboratory: Laboratory) -> None:
    shapes = [{"batch_size": size} for size in (16, 24, 32, 48)]
    space = {**SPACE, "batch_size": {"type": "int", "low": 16, "high": 64}}
    laboratory.create("digits", 6, search_space=space, sampler="random", pruner="none", enqueue=shapes)
    output = laboratory.work("--lanes", "auto")
    assert output.count("(batches/s by lanes: ") == 1
    assert laboratory.client.study("digits").trial_counts.COMPLETE == 6


def interrupt(laboratory: Laboratory, n_lanes: int, first_step: int = 0) -> str:
    """Ask a worker to end when every trial has trained for some epochs from a step on; what it said."""

    def have_trained() -> bool:
        trials = laboratory.client.trials("digits")
        return sum((trial.step or 0) >= first_step + 5 for trial in trials) == n_lanes

    given = ["--server", laboratory.client.server, "--processes", "1", "--lanes", str(n_lanes)]
    with worker(*given, environment=clean_environment(), cwd=laboratory.folder) as process:
        until(have_trained, "every trial has trained for some epochs")
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, output
    counts = laboratory.client.study("digits").trial_counts
    waiting = counts.WAITING
    assert waiting == n_lanes, "they are long enough to be interrupted"
    return output


def test_a_trial_that_was_interrupted_ends_as_without_a_break_to_the_last_bit(laboratory: Laboratory) -> None:
    n_epochs = 150
    training = {**TRAINING, "epochs": n_epochs, "batch_size": 32}
    laboratory.create("digits", 1, training=training, sampler="random", pruner="none")
    interrupt(laboratory, 1)
    assert laboratory.work("--lanes", "1").count("goes on after step") == 1
    trial = laboratory.client.trial("digits", 0)
    assert [attempt.outcome for attempt in trial.attempts] == ["release", "complete"]
    assert laboratory.client.curves("digits", 0).steps == list(range(n_epochs))
    _, about = load_model(laboratory.model("digits"))
    expected = without_clocks(alone(trial, training, about["seed"]))
    assert without_clocks(trial.metrics).items() >= expected.items()


def test_all_trials_of_a_worker_that_is_asked_to_end_go_on_from_where_they_were(laboratory: Laboratory) -> None:
    training = {**TRAINING, "epochs": 100_000, "batch_size": 256}
    laboratory.create("digits", 3, training=training, sampler="random", pruner="none")
    assert interrupt(laboratory, 3).count("given back") == 3
    steps = [trial.step or 0 for trial in laboratory.client.trials("digits")]
    again = interrupt(laboratory, 3, max(steps))
    assert again.count("goes on after step") == 3
    for trial in laboratory.client.trials("digits"):
        assert [attempt.outcome for attempt in trial.attempts] == ["release", "release"]
        assert laboratory.client.curves("digits", trial.number).steps == list(range((trial.step or 0) + 1))
