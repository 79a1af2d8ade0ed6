"""Plots and large studies in the dashboard, which processes of their own compute within limits."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from service.web.app import close_waits
from service.web.body_limits import MAX_YAML_AT_ONCE
from service.web.dashboard import study_views
from service.web.own_process import Limits
from tests.integration.service_driver import LEARNING_RATE, Service, problem_of
from tests.waiting import PATIENCE_SECONDS, until

pytestmark = pytest.mark.processes

SPACE = {"learning_rate": LEARNING_RATE, "dropout": {"type": "float", "low": 0.0, "high": 0.5}}


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_views, "VIEW_LIMITS", Limits(PATIENCE_SECONDS, 3 * 1024**3))


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
    monkeypatch.setattr(study_views, "VIEW_LIMITS", limits)
    problem = problem_of(sqlite_service.http.get(f"/api/studies/{study_id}/plot/contour"), 422)
    assert f"this plot of 6 trials needs more than {reason}" in problem["reason"]
    assert sqlite_service.http.get("/healthz").status_code == 200


@pytest.mark.parametrize(("path", "limit"), [("plot/contour", "MAX_PLOT_BYTES"), ("", "MAX_STUDY_BYTES")])
def test_a_view_with_a_large_answer_is_refused(
    sqlite_service: Service, study_id: int, monkeypatch: pytest.MonkeyPatch, path: str, limit: str
) -> None:
    monkeypatch.setattr(study_views, "MAX_TRIALS_IN_SERVICE", 0)
    monkeypatch.setattr(study_views, limit, 100)
    reason = problem_of(sqlite_service.http.get(f"/api/studies/{study_id}/{path}"), 422)["reason"]
    assert "must have at most 100 bytes here: this one of " in reason


def test_the_log_says_why_a_process_ended(
    sqlite_service: Service, study_id: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(study_views, "VIEW_LIMITS", Limits(PATIENCE_SECONDS, 1024**2))
    problem_of(sqlite_service.http.get(f"/api/studies/{study_id}/plot/contour"), 422)
    (line,) = [record.getMessage() for record in caplog.records if record.name == "service.web.own_process"]
    assert line.startswith("service.web.dashboard.view_process ended with status ")


def test_a_study_with_too_many_trials_is_not_plotted(
    sqlite_service: Service, study_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study_views, "MAX_SHOWN_TRIALS", 5)
    problem = problem_of(sqlite_service.http.get(f"/api/studies/{study_id}/plot/contour"), 422)
    assert "more than 5 trials is not plotted here: it has 6" in problem["reason"]


@pytest.mark.parametrize("kind", ["plot/contour", "param_importances", "param_importances/"])
@pytest.mark.parametrize("number", ["{:020}", "\N{ARABIC-INDIC DIGIT ONE}", "-{}"])
def test_no_other_way_to_write_a_study_leads_around_the_limits(
    sqlite_service: Service, study_id: int, kind: str, number: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study_views, "MAX_SHOWN_TRIALS", 5)
    written = number.format(study_id)
    problem_of(sqlite_service.http.get(f"/api/studies/{written}/{kind}"), 404)


def test_a_study_that_is_not_there_has_no_plot(sqlite_service: Service) -> None:
    assert (
        "no study of this id: 77" in problem_of(sqlite_service.http.get("/api/studies/77/plot/contour"), 404)["reason"]
    )


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that exists once a process of a plot has started. These processes never get to the plot."""
    file = tmp_path / "started"
    (tmp_path / "sitecustomize.py").write_text(f"import signal\nopen({str(file)!r}, 'w').close()\nsignal.pause()\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return file


def test_the_end_of_the_service_ends_a_plot(sqlite_service: Service, study_id: int, started: Path) -> None:
    with ThreadPoolExecutor(1) as threads:
        call = threads.submit(sqlite_service.http.get, f"/api/studies/{study_id}/plot/contour")
        until(started.exists, "the plot's process has started")
        close_waits(sqlite_service.app)
        problem = problem_of(call.result(PATIENCE_SECONDS), 503)
    assert problem["code"] == "shutting_down"


@pytest.mark.parametrize("path", ["/api/studies/{}/plot/contour", "/v1/studies"])
def test_a_machine_without_processes_is_overloaded(
    sqlite_service: Service, study_id: int, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    if path == "/v1/studies":
        text = "# " + "x" * MAX_YAML_AT_ONCE + "\nname: a\n"
        response = sqlite_service.http.post(path, content=text, headers={"Content-Type": "application/yaml"})
    else:
        response = sqlite_service.http.get(path.format(study_id))
    problem = problem_of(response, 503)
    assert problem["code"] == "overloaded"
    assert problem["detail"] == "no process could be started for this call: No such file or directory"
    assert int(response.headers["retry-after"]) > 0


# The page and the file of a large study


@pytest.mark.parametrize("path", ["/api/studies/{}", "/api/studies/{}?after=4", "/csv/{}", "/csv/{}?trial_ids=1,2"])
def test_a_process_shows_a_large_study_as_the_service_does(
    sqlite_service: Service, study_id: int, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = sqlite_service.store.optuna
    storage.set_study_user_attr(study_id, "owner", "ä")
    trial_id = storage.get_trial_id_from_study_id_trial_number(study_id, 1)
    note = {"version": 1, "body": "mind this one"}
    assert sqlite_service.http.put(f"/api/studies/{study_id}/{trial_id}/note", json=note).status_code == 200
    by_service = sqlite_service.http.get(path.format(study_id))

    monkeypatch.setattr(study_views, "MAX_TRIALS_IN_SERVICE", 5)
    by_process = sqlite_service.http.get(path.format(study_id))

    assert by_service.status_code == by_process.status_code == 200, by_process.text
    if path.startswith("/api"):
        assert by_process.json() == by_service.json()
    else:
        assert by_process.content == by_service.content
    for header in ("content-type", "content-disposition", "content-length"):
        assert by_process.headers.get(header) == by_service.headers.get(header)


@pytest.mark.parametrize("end", ["", "/", "//", "%0A", "%0A/"])
@pytest.mark.parametrize("path", ["/api/studies/{}", "/csv/{}", "/api/studies/{}/plot/contour"])
def test_the_limits_hold_however_the_path_ends(
    sqlite_service: Service, study_id: int, path: str, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study_views, "MAX_TRIALS_IN_SERVICE", 5)
    monkeypatch.setattr(study_views, "MAX_SHOWN_TRIALS", 5)
    problem = problem_of(sqlite_service.http.get(path.format(study_id) + end), 422)
    assert "a study of more than 5 trials is not" in problem["detail"]
    assert "it has 6; GET /v1/studies/STUDY/trials and 'narrows export STUDY' return them all" in problem["detail"]


@pytest.mark.parametrize("path", ["/api/studies/{}", "/csv/{}"])
def test_a_large_study_that_needs_too_much_is_refused(
    sqlite_service: Service, study_id: int, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study_views, "VIEW_LIMITS", Limits(PATIENCE_SECONDS, 1024**2))
    assert sqlite_service.http.get(path.format(study_id)).status_code == 200
    monkeypatch.setattr(study_views, "MAX_TRIALS_IN_SERVICE", 5)
    problem = problem_of(sqlite_service.http.get(path.format(study_id)), 422)
    assert problem["detail"].startswith("study: this study of 6 trials needs more than 300 s and ")


def test_calls_that_would_wait_too_long_are_refused(
    sqlite_service: Service, study_id: int, started: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study_views, "MAX_UNFINISHED", 1)
    path = f"/api/studies/{study_id}/plot/contour"
    with ThreadPoolExecutor(1) as threads:
        call = threads.submit(sqlite_service.http.get, path)
        until(started.exists, "the plot's process has started")
        problem = problem_of(sqlite_service.http.get(path), 503)
        close_waits(sqlite_service.app)
        call.result(PATIENCE_SECONDS)
    assert problem["code"] == "overloaded"


@pytest.mark.parametrize("path", ["/api/studies/{}", "/csv/{}"])
@pytest.mark.parametrize("number", ["77", "-1", "x", "\N{ARABIC-INDIC DIGIT ONE}"])
def test_a_study_that_is_not_there_is_not_shown(sqlite_service: Service, path: str, number: str) -> None:
    assert sqlite_service.http.get(path.format(number)).status_code == 404
