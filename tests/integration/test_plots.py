"""Plots of the dashboard, which a process of their own computes within limits."""

import json

import pytest

from service.web.dashboard import plots
from service.web.own_process import Limits
from tests.integration.service_driver import LEARNING_RATE, Service, problem_of
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.processes

SPACE = {"learning_rate": LEARNING_RATE, "dropout": {"type": "float", "low": 0.0, "high": 0.5}}


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "PLOT_LIMITS", Limits(PATIENCE_SECONDS, 3 * 1024**3))


@pytest.fixture
def study_id(sqlite_service: Service) -> int:
    """A study with a few complete trials and one that is running."""
    name = sqlite_service.create(search_space=SPACE, n_trials=6)
    for value in (0.1, 0.5, 0.3, 0.9, 0.7):
        sqlite_service.run(name, value=value)
    sqlite_service.claim_one(name)
    return sqlite_service.store.optuna.get_study_id_from_name(name)


@pytest.mark.parametrize("kind", ["contour", "rank", "slice"])
def test_a_plot_is_drawn_from_the_studys_trials(sqlite_service: Service, study_id: int, kind: str) -> None:
    response = sqlite_service.http.get(f"/api/studies/{study_id}/plot/{kind}")
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("application/json")
    assert json.loads(response.text)["data"]


def test_importances_have_every_parameter(sqlite_service: Service, study_id: int) -> None:
    (found,) = sqlite_service.http.get(f"/api/studies/{study_id}/param_importances").json()["param_importances"]
    assert {one["name"] for one in found} == set(SPACE)


@pytest.mark.parametrize(
    ("limits", "reason"),
    [(Limits(0.01, 3 * 1024**3), "0.01 s and 3 GiB"), (Limits(PATIENCE_SECONDS, 1024**2), "300 s and 0.000976562 GiB")],
)
def test_a_plot_that_needs_too_much_is_refused_and_the_service_goes_on(
    sqlite_service: Service, study_id: int, limits: Limits, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plots, "PLOT_LIMITS", limits)
    problem = problem_of(sqlite_service.http.get(f"/api/studies/{study_id}/plot/contour"), 422)
    assert f"this plot of 6 trials needs more than {reason}" in problem["reason"]
    assert sqlite_service.http.get("/healthz").status_code == 200


def test_a_study_with_too_many_trials_is_not_plotted(
    sqlite_service: Service, study_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plots, "MAX_PLOTTED_TRIALS", 5)
    problem = problem_of(sqlite_service.http.get(f"/api/studies/{study_id}/plot/contour"), 422)
    assert "more than 5 trials is not plotted here: it has 6" in problem["reason"]


def test_a_study_that_is_not_there_has_no_plot(sqlite_service: Service) -> None:
    assert (
        "no study of this id: 77" in problem_of(sqlite_service.http.get("/api/studies/77/plot/contour"), 404)["reason"]
    )
