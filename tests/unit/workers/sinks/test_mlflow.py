"""MLflow runs in a real MLflow database, read by its client."""

from typing import Any

import pytest

from service.schemas.fields import Scalar
from service.schemas.protocol import Lease
from service.schemas.results import TrialState
from tests.sink_readers import mlflow_client
from tests.unit.workers.fakes import lease, lease_json
from workers.sinks.metric_fanout import LeaseEnded, MetricsReported
from workers.sinks.mlflow import MLflow

pytestmark = [pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"), pytest.mark.heavy]
PARAMS: dict[str, Scalar] = {"learning_rate": 0.01, "optimizer": "adam", "note: a": None}


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"


@pytest.fixture
def study(request: pytest.FixtureRequest) -> str:
    """Return another study name for each test. They share a database, because making one takes seconds."""
    return str(request.node.name).replace("[", ".").replace("]", "")


def first(study: str) -> Lease:
    return Lease.model_validate({**lease_json(), "study": study})


def resumed(study: str, step: int) -> Lease:
    more = {"lease_id": "later", "attempt": 2, "resume": {"step": step, "artifact": "checkpoint"}}
    return Lease.model_validate({**lease_json(), "study": study, **more})


def report(sink: MLflow, of: Lease, steps: range, loss: float) -> None:
    for step in steps:
        sink.write(MetricsReported(of, PARAMS, step, {"loss": loss}))


def runs(uri: str, study: str) -> list[Any]:
    client = mlflow_client(uri)
    experiment = client.get_experiment_by_name(study)
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id]))


def curve(uri: str, run: Any, name: str) -> list[tuple[int, float]]:
    return [(metric.step, metric.value) for metric in mlflow_client(uri).get_metric_history(run.info.run_id, name)]


@pytest.mark.parametrize(("state", "status"), [("COMPLETE", "FINISHED"), ("PRUNED", "KILLED"), ("FAIL", "FAILED")])
def test_a_trial_is_a_run(uri: str, study: str, state: TrialState, status: str) -> None:
    sink = MLflow(uri)
    report(sink, first(study), range(3), 0.5)
    (run,) = runs(uri, study)
    assert (run.info.status, run.data.tags["narrows.state"]) == ("RUNNING", "RUNNING")
    sink.write(LeaseEnded(first(study), {**PARAMS, "depth": 3}, state, {"loss": 0.25}))

    (run,) = runs(uri, study)
    assert run.info.run_name == f"{study} #0"
    assert run.info.status == status
    assert {name: run.data.tags[f"narrows.{name}"] for name in ("study", "trial", "state", "attempt")} == {
        "study": study,
        "trial": "0",
        "state": state,
        "attempt": "1",
    }
    assert run.data.params == {"learning_rate": "0.01", "optimizer": "adam", "note_ a": "null", "depth": "3"}
    assert curve(uri, run, "loss") == [(0, 0.5), (1, 0.5), (2, 0.5)]
    assert curve(uri, run, "final/loss") == [(0, 0.25)]


@pytest.mark.parametrize("left", [LeaseEnded(lease(), PARAMS, "WAITING", {}), None], ids=["given-back", "died"])
def test_a_continued_trial_has_no_step_twice(uri: str, study: str, left: LeaseEnded | None) -> None:
    before = MLflow(uri)
    report(before, first(study), range(6), 0.5)
    if left is not None:
        before.write(LeaseEnded(first(study), PARAMS, left.state, {}))
        assert runs(uri, study)[0].info.status == "SCHEDULED"
    after = MLflow(uri)  # on another machine
    report(after, resumed(study, 2), range(3, 8), 0.25)
    (run,) = runs(uri, study)
    assert (run.info.status, run.data.tags["narrows.attempt"]) == ("RUNNING", "2")
    after.write(LeaseEnded(resumed(study, 2), PARAMS, "COMPLETE", {"loss": 0.25}))
    assert curve(uri, run, "loss") == [(step, 0.5) for step in range(6)] + [(6, 0.25), (7, 0.25)]


@pytest.mark.parametrize("state", ["COMPLETE", "WAITING"])
def test_another_trial_of_the_same_number_gets_another_run(uri: str, study: str, state: TrialState) -> None:
    for _ in range(2):  # the study was deleted, as it had ended or while the trial was paused, and made again
        sink = MLflow(uri)
        report(sink, first(study), range(2), 0.5)
        sink.write(LeaseEnded(first(study), PARAMS, state, {}))
    assert [curve(uri, run, "loss") for run in runs(uri, study)] == [[(0, 0.5), (1, 0.5)]] * 2


def test_a_lost_trial_is_left_to_the_worker_that_has_it(uri: str, study: str) -> None:
    sink = MLflow(uri)
    report(sink, first(study), range(2), 0.5)
    sink.write(LeaseEnded(first(study), PARAMS, None, {}))
    assert [run.data.tags["narrows.state"] for run in runs(uri, study)] == ["RUNNING"]


def test_a_server_that_is_away_is_an_error_within_seconds(free_port: int) -> None:
    sink = MLflow(f"http://127.0.0.1:{free_port}")
    with pytest.raises(Exception, match=r"[Mm]ax retries exceeded"):
        report(sink, first("away"), range(1), 0.5)
