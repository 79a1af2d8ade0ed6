"""The definitions and the code in docs/searches.md do what it says, with a real service and a real worker."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.schemas.results import Trial
from service.schemas.study.samplers import BuiltInSampler
from tests.acceptance.pages import definitions_of, files_of, page
from tests.acceptance.user_code_service import UserCodeService, open_service

PAGE = page("searches.md")
DEFINITIONS = definitions_of(PAGE)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UserCodeService]:
    folder = tmp_path_factory.mktemp("page")
    for name, text in files_of(PAGE):
        path: Path = folder / "code" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    with open_service(folder, "--samplers", "shifting", PYTHONPATH=str(folder / "code")) as service:
        for definition in DEFINITIONS:
            service.client.create_study(definition.model_dump(mode="json", exclude_unset=True))
        with service.worker("--allow", "searching", "--processes", "1", "--keep-models", "best", code=folder / "code"):
            yield service


@pytest.fixture
def finished(service: UserCodeService, request: pytest.FixtureRequest) -> list[Trial]:
    trials = service.finished(request.param)
    assert {trial.state for trial in trials} <= {"COMPLETE", "PRUNED"}, [trial.reason for trial in trials]
    return trials


@pytest.mark.parametrize("finished", ["every-kind"], indirect=True)
def test_every_kind_of_parameter_is_sampled(finished: list[Trial]) -> None:
    assert finished[0].params["optimizer"] == "adam"
    assert finished[0].params["learning_rate"] == 0.01
    for trial in finished:
        assert ("momentum" in trial.params) == (trial.params["optimizer"] == "sgd")
        assert trial.params["nesterov"] is True
        assert trial.params["model.hidden.0"] in (8, 16, 24, 32)
        assert repr(trial.params["gradient_clip"]) in ("None", "1", "5.5")


@pytest.mark.parametrize("finished", ["small-and-quick"], indirect=True)
def test_the_best_trial_is_small_and_quick(service: UserCodeService, finished: list[Trial]) -> None:
    complete = [trial for trial in finished if trial.state == "COMPLETE"]
    large = [trial for trial in complete if trial.metrics["n_parameters"] > 2000]
    assert large
    assert all("n_parameters <= 2000" in trial.violated for trial in large)
    small = [trial for trial in complete if not trial.violated]
    best = service.client.study("small-and-quick").best
    assert best is not None
    assert best.values == [max(trial.values[0] for trial in small if trial.values)]
    assert "model" in [artifact.name for artifact in service.client.artifacts("small-and-quick", best.number)]
    for trial in large:
        assert service.client.artifacts("small-and-quick", trial.number) == []


@pytest.mark.parametrize("finished", ["promoted"], indirect=True)
def test_the_best_three_are_trained_to_their_ends_and_paused_ones_go_on(finished: list[Trial]) -> None:
    complete = [trial for trial in finished if trial.state == "COMPLETE"]
    assert len(complete) >= 3
    assert all(trial.step == 8 for trial in complete)
    assert {0, 8} <= {trial.step for trial in finished} <= {0, 2, 8}
    assert any([one.outcome for one in trial.attempts][:1] == ["pause"] and trial.step != 0 for trial in finished)


@pytest.mark.parametrize("finished", ["bounded"], indirect=True)
def test_an_objective_prunes_by_its_first_value_and_sets_constraints(
    service: UserCodeService, finished: list[Trial]
) -> None:
    for trial in finished:
        x, y = float(str(trial.params["x"])), float(str(trial.params["y"]))
        inside = (x - 5) ** 2 + y**2 - 25
        assert trial.constraints == {"inside": pytest.approx(inside)}
        assert trial.violated == (["inside"] if inside > 0 else [])
        assert trial.state == ("PRUNED" if 4 * x**2 + 4 * y**2 + 2 > 80 else "COMPLETE")
    assert {trial.state for trial in finished} == {"COMPLETE", "PRUNED"}
    assert all(not trial.violated for trial in service.client.pareto("bounded"))


@pytest.mark.parametrize("finished", ["shifted"], indirect=True)
def test_a_users_own_sampler_chooses_the_parameters(service: UserCodeService, finished: list[Trial]) -> None:
    assert service.client.study("shifted").sampler_note is None
    assert len({trial.params["dropout"] for trial in finished}) == len(finished) == 6
    log = (service.folder / "service.log").read_text()
    assert "the sampler" not in log


def test_every_sampler_is_in_the_table() -> None:
    for kind in BuiltInSampler.__args__:
        (name,) = kind.model_fields["name"].annotation.__args__
        assert f"| `{name}`" in PAGE


def test_a_study_within_a_budget_ends_when_its_epochs_are_trained(service: UserCodeService) -> None:
    trials = service.finished("within-a-budget")
    study = service.client.study("within-a-budget")
    n_epochs = sum(trial.step + 1 for trial in trials if trial.step is not None)
    assert 5 <= n_epochs < 20 * 3
    assert study.finished_reason == f"its trials have trained {n_epochs} epochs (max_total_epochs 5)"
    assert study.epochs_trained == n_epochs
    assert study.device_hours is not None
    assert 0 < study.device_hours < 1.5
