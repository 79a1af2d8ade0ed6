"""`narrows worker --tensorboard --mlflow`: real workers write, TensorBoard's and MLflow's own readers read."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.user_code_service import UserCodeService, kill_all, open_service
from tests.conftest import ROOT, clean_environment
from tests.sink_readers import mlflow_client, tensorboard_reader
from tests.waiting import until

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
ONE = ("--allow", "tuned", "--processes", "1", "--checkpoint-seconds", "1")


class Places:
    """Where workers write to."""

    def __init__(self, folder: Path) -> None:
        self.tensorboard = folder / "boards"
        self.mlflow = f"sqlite:///{folder / 'mlflow.db'}"
        self.flags = ("--tensorboard", str(self.tensorboard), "--mlflow", self.mlflow)

    def scalars(self, study: str, number: int, name: str) -> list[tuple[int, float]]:
        reader = tensorboard_reader(self.tensorboard / study / f"{number:05d}")
        return [(event.step, event.value) for event in reader.Scalars(name)]

    def runs(self, study: str) -> list[Any]:
        client = mlflow_client(self.mlflow)
        experiment = client.get_experiment_by_name(study)
        assert experiment is not None
        return list(client.search_runs([experiment.experiment_id]))

    def history(self, run: Any, name: str) -> list[tuple[int, float]]:
        history = mlflow_client(self.mlflow).get_metric_history(run.info.run_id, name)
        return [(metric.step, metric.value) for metric in history]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UserCodeService]:
    """With short leases, and no worker."""
    with open_service(tmp_path_factory.mktemp("service"), "--lease-seconds", "2") as service:
        yield service


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path)


def test_lanes_of_the_built_in_training_are_written(service: UserCodeService, places: Places) -> None:
    definition = {
        "name": "built-in",
        "search_space": {"learning_rate": {"type": "float", "low": 0.001, "high": 0.1, "log": True}},
        "training": {"dataset": "digits", "model": {"name": "mlp", "hidden": [16]}, "epochs": 3},
        "n_trials": 4,
        "pruner": "none",
    }
    service.client.create_study(definition)
    with service.worker("--processes", "1", "--lanes", "2", "--study", "built-in", *places.flags):
        trials = service.finished("built-in")

    runs = {run.data.tags["narrows.trial"]: run for run in places.runs("built-in")}
    assert len(runs) == len(trials) == 4
    for trial in trials:
        curves = service.client.curves("built-in", trial.number)
        run = runs[str(trial.number)]
        for name in ("train_loss", "validation_accuracy"):
            reported = list(zip(curves.steps, curves.metrics[name], strict=True))
            assert places.history(run, name) == reported
            written = places.scalars("built-in", trial.number, name)
            assert [step for step, _ in written] == curves.steps
            assert [value for _, value in written] == pytest.approx(curves.metrics[name])  # in single precision
        assert run.data.params == {"learning_rate": str(trial.params["learning_rate"])}
        assert (run.info.status, run.data.tags["narrows.state"]) == ("FINISHED", trial.state)
        assert run.data.metrics["final/best_epoch"] == trial.metrics["best_epoch"]


def test_a_trial_whose_worker_was_killed_has_no_step_twice(service: UserCodeService, places: Places) -> None:
    n_steps = 25
    service.create(
        "killed",
        "tuned.steps:train",
        training={"arguments": {"n_steps": n_steps, "seconds": 0.2}},
        objectives=[{"metric": "count", "direction": "maximize"}],
        enqueue=[{}],
    )
    with service.worker(*ONE, "--study", "killed", *places.flags) as worker:
        until(lambda: (service.client.trial("killed", 0).step or 0) >= 12, "some steps are done")
        kill_all(worker.pid)
    with service.worker(*ONE, "--study", "killed", *places.flags):
        (trial,) = service.finished("killed")

    assert trial.state == "COMPLETE", trial.reason
    (run,) = places.runs("killed")
    assert (run.info.status, run.data.tags["narrows.attempt"]) == ("FINISHED", "2")
    began = {int(value) for _, value in places.scalars("killed", 0, "began_at")}
    assert len(began) == 2, "the second attempt went on from a checkpoint"
    for counted in (places.history(run, "count"), places.scalars("killed", 0, "count")):
        steps = [step for step, _ in counted]
        assert steps == sorted(set(steps)), "no step is there twice"
        assert [value for _, value in counted] == [step + 1.0 for step in steps]
        missing = set(range(n_steps)) - set(steps)
        assert all(step < max(began) for step in missing), "only what was not written when the worker was killed"


def test_parameters_that_code_asks_for_are_written(service: UserCodeService, places: Places) -> None:
    service.create("asked", "tuned.steps:wait_in_a_branch", training={"arguments": {"go": "/"}})
    with service.worker(*ONE, "--study", "asked", *places.flags):
        (trial,) = service.finished("asked")
    (run,) = places.runs("asked")
    assert len(trial.params) == 3
    assert run.data.params == {name: str(value) for name, value in trial.params.items()}


def test_sinks_that_cannot_be_written_fail_no_trial(service: UserCodeService, tmp_path: Path, free_port: int) -> None:
    (tmp_path / "file").write_text("no folder")
    service.create(
        "unwritten",
        "tuned.steps:train",
        training={"arguments": {"n_steps": 5}},
        objectives=[{"metric": "count", "direction": "maximize"}],
        n_trials=3,
    )
    log = service.folder / "worker.log"
    before = len(log.read_text()) if log.exists() else 0
    flags = ("--tensorboard", str(tmp_path / "file" / "boards"), "--mlflow", f"http://127.0.0.1:{free_port}")
    with service.worker(*ONE, "--study", "unwritten", *flags):
        trials = service.finished("unwritten")

    assert [trial.state for trial in trials] == ["COMPLETE"] * 3
    said = [line for line in log.read_text()[before:].splitlines() if "is not written to" in line]
    assert sorted(line.partition(" is not")[0].rpartition(" ")[2] for line in said) == ["MLflow", "TensorBoard"]


@pytest.mark.parametrize("flag", ["tensorboard", "mlflow"])
def test_a_missing_package_is_one_line_at_the_start(tmp_path: Path, flag: str) -> None:
    code = f"import sys; sys.modules[{flag!r}] = None; from workers.__main__ import main; sys.exit(main(sys.argv[1:]))"
    given = ["--server=http://127.0.0.1:1", "--devices=cpu", "--data-dir=.", "--download=false", "--lanes=auto"]
    more = ["--checkpoint-seconds=30", "--keep-models=best", "--log-level=info", f"--{flag}={tmp_path / 'place'}"]
    run = subprocess.run(
        [sys.executable, "-c", code, *given, *more], capture_output=True, text=True, cwd=ROOT, env=clean_environment()
    )
    assert run.returncode == 2
    assert run.stderr == f"narrows: --{flag} needs the package {flag}: pip install 'narrows[{flag}]'\n"
