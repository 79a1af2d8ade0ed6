"""A custom sampler in studies whose trials pause at rungs, and in rounds with narrower ranges; and in the report."""

from collections.abc import Iterator
from datetime import UTC, datetime

import optuna
import pytest

from narrows.html_report.gather import gather
from narrows.html_report.page import render_page
from tests.databases import SqliteTemplate
from tests.integration.custom_samplers_driver import MODULE, claim, run, sampler, service_with_samplers
from tests.integration.narrowing_driver import rounds
from tests.integration.service_driver import Json, Service

pytestmark = [pytest.mark.processes, pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")]

SPACE: Json = {"dropout": {"type": "float", "low": 0.0, "high": 0.4}}
HALVING = sampler("halving")


@pytest.fixture(scope="module")
def service(sqlite_template: SqliteTemplate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    url = sqlite_template.copy_to(tmp_path_factory.mktemp("database") / "narrows.db")
    with service_with_samplers(url) as service:
        yield service


def stock(service: Service, name: str) -> optuna.Study:
    return optuna.load_study(study_name=name, storage=service.store.optuna)


def test_a_paused_trial_is_pruned_to_the_sampler(service: Service) -> None:
    pruner = {"name": "successive_halving", "min_resource": 1, "reduction_factor": 2, "promote": True}
    training = {"dataset": "digits", "model": "mlp", "epochs": 8}
    name = service.create(search_space=SPACE, sampler=HALVING, pruner=pruner, training=training, n_trials=10)
    decided = []
    for value in (0.9, 0.1):
        (lease,) = claim(service, name)
        for step in range(2):
            decided.append(service.report(lease, step, value - step / 100))
            if decided[-1] == "pause":
                service.upload(lease, "checkpoint", b"state", step=step)
                service.pause(lease)
                break
    assert "pause" in decided
    n_seen = len(stock(service, name).trials)
    while len(stock(service, name).trials) < n_seen + 4:
        claim(service, name)

    assert "PRUNED" in stock(service, name).trials[-1].system_attrs["seen"]
    assert service.study(name)["sampler_note"] is None


def test_a_round_has_a_new_process_and_its_own_ranges(service: Service) -> None:
    narrowing = {"rounds": 2, "trials_per_round": 3, "keep_top": 1, "margin": 0.05}
    name = service.create(search_space=SPACE, sampler=HALVING, narrowing=narrowing, n_trials=6)
    run(service, name, 3)
    service.tick()
    run(service, name, 3)

    ranges = rounds(service, name)[-1]["ranges"]["dropout"]
    values = [trial["params"]["dropout"] for trial in service.trials(name) if trial["number"] >= 3]
    assert len(values) == 3
    assert all(ranges["low"] <= value <= ranges["high"] for value in values)
    assert ranges["high"] - ranges["low"] < 0.1
    assert service.study(name)["sampler_note"] is None


def test_the_report_names_the_entrypoint(service: Service) -> None:
    name = service.create(search_space=SPACE, sampler=HALVING, n_trials=1)
    run(service, name)
    assert f"sampler {MODULE}:halving" in render_page(gather(service.client(), name), datetime.now(UTC))
