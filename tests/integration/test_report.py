"""What a report asks the service for, over the client's calls."""

from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from safetensors.numpy import save

from narrows.html_report import gather as gathering
from narrows.html_report.gather import gather
from narrows.html_report.search_plots import search_plots
from service.client import Client, ServiceError
from tests.integration import user_code_driver as user_code
from tests.integration.service_driver import Json, Service


@pytest.fixture
def client(service: Service) -> Client:
    return service.client()


def run(service: Service, name: str, value: float, *, model: bytes | None = None, n_epochs: int = 3) -> Json:
    lease = service.claim_one(name)
    for step in range(n_epochs):
        service.report(lease, step, value * (step + 1) / n_epochs, train_accuracy=value)
    if model is not None:
        service.upload(lease, "model", model)
    service.complete(lease, value)
    return lease


def model_of(size: float) -> bytes:
    content: bytes = save(
        {"0.weight": np.full((4, 4), size, dtype=np.float32), "0.bias": np.zeros(4, dtype=np.float32)}
    )
    return content


def test_everything_that_a_page_needs_is_gathered(service: Service, client: Client) -> None:
    name = service.create(n_trials=30)
    for number in range(25):
        run(service, name, 0.5 + number / 100)
    running = service.claim_one(name)

    found = gather(client, name)

    assert [trial.number for trial in found.trials] == [*range(25), running["trial_number"]]
    assert [trial.number for trial in found.best] == list(range(24, 4, -1))
    assert sorted(found.curves) == list(range(25))
    assert found.curves[24].metrics["train_accuracy"] == [0.74] * 3
    assert len(found.diagnosis.trials) == 26
    assert found.weights == {}


def test_models_of_the_best_trials_are_counted_and_damaged_ones_are_not(service: Service, client: Client) -> None:
    name = service.create(n_trials=9)
    models = [model_of(0.5), b"damaged", None, *(model_of(1e-5) for _ in range(6))]
    for number, model in enumerate(models):
        run(service, name, 0.9 - number / 100, model=model)

    found = gather(client, name).weights

    assert list(found) == [0, 3, 4, 5, 6]
    assert [histogram.n_weights for histogram in found.values()] == [16] * 5
    assert sum(found[0].counts[:20]) == 0
    assert sum(found[3].counts[:20]) == 16


def test_several_objectives_have_their_front(service: Service, client: Client) -> None:
    objectives = [
        {"metric": "validation_accuracy", "direction": "maximize"},
        {"metric": "n_parameters", "direction": "minimize"},
    ]
    name = service.create(objectives=objectives)
    for accuracy, n_parameters in ((0.5, 10.0), (0.4, 20.0), (0.9, 30.0)):
        lease = service.claim_one(name)
        service.complete(lease, values=[accuracy, n_parameters])

    assert [trial.number for trial in gather(client, name).best] == [2, 0]


def test_the_copy_is_the_study_that_optuna_itself_reads(service: Service, client: Client, tmp_path: Path) -> None:
    space: dict[str, Any] = {
        "learning_rate": {"type": "float", "low": 1e-5, "high": 0.1, "log": True},
        "dropout": {"type": "float", "low": 0.0, "high": 0.5, "step": 0.1},
        "batch_size": {"type": "int", "low": 16, "high": 64, "log": True},
        "optimizer": {"type": "categorical", "choices": ["sgd", "adam"]},
    }
    name = service.create(search_space=space, n_trials=6)
    for number in range(4):
        run(service, name, 0.5 + number / 10)
    service.fail(service.claim_one(name))

    copy = gather(client, name).as_optuna.trials
    stock = optuna.load_study(study_name=name, storage=service.url).trials

    assert len(copy) == 5
    for one, other in zip(copy, stock, strict=True):
        assert (one.number, one.state, one.params, one.values) == (
            other.number,
            other.state,
            other.params,
            other.values,
        )
        assert one.distributions == other.distributions
        assert one.intermediate_values == other.intermediate_values


def test_values_are_drawn_of_the_trials_that_have_curves(
    service: Service, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "N_CURVES", 3)
    name = service.create(n_trials=5)
    for number in range(5):
        run(service, name, 0.9 - number / 10)
    monkeypatch.setattr(gathering, "N_BEST", 2)  # the best two, and then the newest one

    found = gather(client, name)

    assert [trial.number for trial in found.best] == [0, 1]
    assert [len(trial.intermediate_values) for trial in found.as_optuna.trials] == [3, 3, 0, 0, 3]


def test_parameters_that_code_asked_for_as_it_ran_are_drawn(service: Service, client: Client) -> None:
    name = user_code.create(service, n_trials=6)
    for number in range(6):
        lease = user_code.lease_of(service, name)
        user_code.value_of(service, lease, "learning_rate", user_code.RATE)
        user_code.value_of(service, lease, "depth", {"type": "int", "low": 1, "high": 4 + number})
        service.complete(lease, 0.5 + number / 10)

    plots = {plot.title: plot.figure for plot in search_plots(gather(client, name))}

    assert {"Slice", "Parallel coordinates", "Parameter importances"} <= set(plots)
    assert {axis.title.text for axis in plots["Slice"].select_xaxes()} == {"depth", "learning_rate"}


def test_the_rounds_of_a_study_that_was_narrowed_are_gathered(service: Service, client: Client) -> None:
    name = service.create(n_trials=9, enqueue=[{"learning_rate": rate} for rate in (1e-3, 1e-4, 1e-2)])
    for value in (0.9, 0.8, 0.7):
        run(service, name, value)
    assert gather(client, name).rounds == []

    client.narrow(name, {"keep_top": 2})

    first, second = gather(client, name).rounds
    assert (first.round, second.round) == (1, 2)
    assert {name: (ends.low, ends.high) for name, ends in first.ranges.items()} == {"learning_rate": (1e-5, 0.1)}
    assert 1e-5 < second.ranges["learning_rate"].low <= 1e-4
    assert 1e-3 <= second.ranges["learning_rate"].high < 0.1


def test_a_study_that_is_not_there_is_an_error(client: Client) -> None:
    with pytest.raises(ServiceError, match="no study of this name: x"):
        gather(client, "x")


def test_a_trial_that_begins_while_it_is_gathered_is_judged_among_the_trials(
    service: Service, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = service.create(n_trials=9)
    run(service, name, 0.5)
    fetch = client.trials

    def then_one_more(wanted: str) -> Any:
        trials = list(fetch(wanted))
        run(service, name, 0.6)
        return iter(trials)

    monkeypatch.setattr(client, "trials", then_one_more)
    found = gather(client, name)

    assert {one.number for one in found.diagnosis.trials} <= {trial.number for trial in found.trials}


def test_values_that_no_axis_can_span_are_left_out(service: Service, client: Client) -> None:
    space = {name: {"type": "float", "low": 0.1, "high": 0.9} for name in ("dropout", "momentum")}
    objectives = [{"metric": "validation_loss", "direction": "minimize"}]
    name = service.create(n_trials=5, search_space=space, objectives=objectives)
    for value in (1e308, -1e308, 0.5, 0.6, 0.7):
        lease = service.claim_one(name)
        service.report(lease, 0, value, validation_loss=value)
        body = {"metrics": {"validation_loss": value}}
        assert service.http.post(f"/v1/leases/{lease['lease_id']}/complete", json=body).status_code == 200

    plots = {plot.title for plot in search_plots(gather(client, name))}

    assert {"Optimization history", "Parallel coordinates", "Slice"} <= plots
