"""Samplers of users: each runs in a process of its own, sees the study, and fails without harm to anything else."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest

from tests.databases import SqliteTemplate
from tests.integration.custom_samplers_driver import MODULE, claim, run, sampler, service_with_samplers
from tests.integration.service_driver import Json, Service, definition, errors_of
from tests.waiting import until

pytestmark = [pytest.mark.processes, pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")]

MEMORY_BYTES = 2 * 1024**3
SPACE: Json = {
    "dropout": {"type": "float", "low": 0.0, "high": 0.4},
    "batch_size": {"type": "int", "low": 16, "high": 128},
}
CONDITIONAL: Json = {
    **SPACE,
    "optimizer": {"type": "categorical", "choices": ["sgd", "adam"]},
    "momentum": {"type": "float", "low": 0.0, "high": 0.8, "when": {"optimizer": ["sgd"]}},
}
HALVING = sampler("halving")


@pytest.fixture(scope="module")
def service(sqlite_template: SqliteTemplate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    url = sqlite_template.copy_to(tmp_path_factory.mktemp("database") / "narrows.db")
    with service_with_samplers(url, memory_bytes=MEMORY_BYTES) as service:
        yield service


def stock(service: Service, name: str) -> optuna.Study:
    return optuna.load_study(study_name=name, storage=service.store.optuna)


def processes(service: Service, name: str) -> list[int]:
    """Ids of the processes that a study's sampler has now."""
    process = service.app.state.registry.get(name).study.sampler._process
    return [] if process is None else [process.pid]


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_sampler_of_a_user_chooses_the_parameters_and_keeps_its_state_in_the_study(service: Service) -> None:
    name = service.create(search_space=CONDITIONAL, sampler=HALVING, n_trials=3)

    params = [lease["params"] for lease in run(service, name, 3)]

    counts = [round(0.4 / one["dropout"]) - 1 for one in params]
    assert 1 <= counts[0] < counts[1] < counts[2]  # a suggestion that came too late is not used
    assert [one["dropout"] for one in params] == pytest.approx([0.4 / (1 + count) for count in counts])
    assert [one["momentum"] for one in params] == pytest.approx([0.8 / (1 + count) for count in counts])
    assert {one["batch_size"] for one in params} == {16}
    assert stock(service, name).user_attrs["sampled"] >= counts[2]
    assert service.study(name)["sampler_note"] is None


def test_a_sampler_sees_all_of_the_study(service: Service) -> None:
    earlier = service.create(search_space=SPACE, sampler="random", n_trials=1)
    service.run(earlier, value=0.25)
    name = service.create(
        search_space=SPACE,
        sampler=HALVING,
        n_trials=10,
        warm_start_from=[earlier],
        enqueue=[{"dropout": 0.09}, {"dropout": 0.08, "batch_size": 32}],
    )
    # The second one lacks nothing, so it may come first.
    first, second = sorted((claim(service, name)[0] for _ in range(2)), key=lambda lease: lease["trial_number"])
    assert first["params"] == {"dropout": 0.09, "batch_size": 16}
    assert second["params"] == {"dropout": 0.08, "batch_size": 32}
    service.report(first, 0, 0.5)
    service.complete(first, 0.75)
    service.fail(second)
    run(service, name, 8)

    seen = stock(service, name).trials[9].system_attrs  # the first suggestions are made before the two have ended
    assert seen["seen"][0] == "COMPLETE"
    assert seen["values"][:2] == [[0.25], [0.75]]
    assert seen["reported"][1] == [[0, 0.5]]
    assert seen["seen"][1:3] == ["COMPLETE", "FAIL"]
    assert seen["directions"] == ["MAXIMIZE"]
    assert seen["heard"][1:3] == [["COMPLETE", [0.75]], ["FAIL", None]]


def test_a_sampler_sees_several_objectives_and_constraints(service: Service) -> None:
    name = service.create(
        search_space=SPACE,
        sampler=HALVING,
        n_trials=8,
        constraints=[{"metric": "n_parameters", "max": 10}],
        objectives=[
            {"metric": "validation_accuracy", "direction": "maximize"},
            {"metric": "validation_loss", "direction": "minimize"},
        ],
    )
    for _ in range(8):
        (lease,) = claim(service, name)
        service.complete(lease, metrics={"validation_accuracy": 0.5, "validation_loss": 0.25, "n_parameters": 12})

    seen = stock(service, name).trials[7].system_attrs
    assert seen["directions"] == ["MAXIMIZE", "MINIMIZE"]
    assert seen["values"][0] == [0.5, 0.25]
    assert list(seen["bounds"][0].values()) == [2.0]


def test_after_a_restart_a_sampler_goes_on_with_what_the_database_has(
    sqlite_template: SqliteTemplate, tmp_path: Path
) -> None:
    with service_with_samplers(sqlite_template.copy_to(tmp_path / "narrows.db")) as service:
        name = service.create(search_space=SPACE, sampler=HALVING, n_trials=8)
        run(service, name, 4)
        n_before = stock(service, name).user_attrs["sampled"]
        (before,) = processes(service, name)
        service.restart()
        assert not is_running(before)
        run(service, name, 2)

        study = stock(service, name)
        assert study.user_attrs["sampled"] > n_before
        assert study.trials[5].system_attrs["heard"][0] == ["COMPLETE", [0.5]]
        assert service.study(name)["sampler_note"] is None


def test_code_that_asks_for_parameters_as_it_runs_gets_them_from_the_sampler(service: Service) -> None:
    training = {"entrypoint": "mypkg:train"}
    name = service.create(search_space={}, training=training, sampler=HALVING, n_trials=2)
    values = []
    for _ in range(2):
        (lease,) = claim(service, name, allow=["mypkg"])
        path, wanted = f"/v1/leases/{lease['lease_id']}/suggest", {"type": "float", "low": 0.0, "high": 1.0}
        for parameter in ("x", "y"):
            response = service.http.post(path, json={"name": parameter, "distribution": wanted})
            assert response.status_code == 200, response.text
            values.append(response.json()["value"])
        service.complete(lease)

    assert values[0] == values[1] != values[2] == values[3]
    assert 0 < values[2] < values[0] < 1
    assert service.study(name)["sampler_note"] is None


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ("raise", "ValueError: no model fits"),
        ("exit", "its process ended with status 7"),
        ("sys_exit", "SystemExit: 3"),
        ("fill", "it needs more than 2,048 MiB of memory"),
        ("outside", "must be in FloatDistribution(high=0.4, log=False, low=0.0, step=None): 1e+09"),
        ("nan", "ValueError: `nan` is invalid value."),
        ("text", "ValueError: 'much' is not a valid type"),
    ],
)
def test_a_sampler_that_fails_gives_random_parameters_and_says_why(
    service: Service, caplog: pytest.LogCaptureFixture, how: str, text: str
) -> None:
    other = service.create(search_space=SPACE, sampler="random", n_trials=1)
    name = service.create(search_space=SPACE, sampler=sampler("bad", how=how), n_trials=1)

    (lease,) = run(service, name)

    assert 0 <= lease["params"]["dropout"] <= 0.4
    assert 16 <= lease["params"]["batch_size"] <= 128
    note = service.study(name)["sampler_note"]
    assert re.match("the sampler failed [0-9]+ times?, random parameters took their place: ", note), note
    assert f"{MODULE}:bad: " in note
    assert text in note
    assert text in caplog.text
    assert service.run(other)
    assert service.study(other)["sampler_note"] is None


def test_the_log_has_the_traceback_inside_of_the_sampler(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    name = service.create(search_space=SPACE, sampler=sampler("bad", how="raise"), n_trials=1)
    run(service, name)
    assert "in _raise" in caplog.text


def test_what_a_sampler_prints_disturbs_nothing(service: Service) -> None:
    space = {"dropout": SPACE["dropout"]}
    name = service.create(search_space=space, sampler=sampler("bad", how="print"), n_trials=1)
    assert run(service, name)[0]["params"] == {"dropout": 0.05}
    assert service.study(name)["sampler_note"] is None


def test_a_sampler_that_fails_once_is_asked_again(service: Service) -> None:
    name = service.create(search_space=SPACE, sampler=sampler("bad", how="exit", after=2), n_trials=6)
    leases = run(service, name, 6)
    assert len(leases) == 6
    assert stock(service, name).user_attrs["sampled"] > 3, "its process was started again"


def test_a_sampler_that_hangs_is_given_up_and_holds_up_no_other_study(
    sqlite_template: SqliteTemplate, tmp_path: Path
) -> None:
    with service_with_samplers(sqlite_template.copy_to(tmp_path / "narrows.db")) as service:
        _hang(service)


def _hang(service: Service) -> None:
    hanging = service.create(search_space=SPACE, sampler=sampler("bad", 3600, how="hang"), n_trials=2)
    other = service.create(search_space=SPACE, sampler="random", n_trials=8)
    until(lambda: service.claim(hanging) or processes(service, hanging), "the sampler is asked")

    for _ in range(8):
        assert [lease["study"] for lease in service.claim()] == [other]
    assert service.claim(hanging) == []

    (pid,) = processes(service, hanging)
    assert service.http.delete(f"/v1/studies/{hanging}").status_code in (200, 204)
    until(lambda: not is_running(pid), "the process of the deleted study has ended")


def test_a_sampler_that_takes_too_long_gives_random_parameters(service: Service) -> None:
    name = service.create(search_space=SPACE, sampler=sampler("bad", 0.5, how="hang"), n_trials=1)
    run(service, name)
    assert f"{MODULE}:bad: it took longer than 0.5 s" in service.study(name)["sampler_note"]


def test_a_process_ends_with_its_study(service: Service) -> None:
    name = service.create(search_space=SPACE, sampler=HALVING, n_trials=1)
    (lease,) = claim(service, name)
    (pid,) = processes(service, name)
    service.complete(lease)
    until(lambda: not is_running(pid), "the process of the finished study has ended")
    assert service.study(name)["state"] == "finished"
    service.change(name, n_trials=2)
    run(service, name)
    assert service.study(name)["sampler_note"] is None


def test_a_process_that_was_killed_is_noted_and_started_again(service: Service) -> None:
    name = service.create(search_space=SPACE, sampler=HALVING, n_trials=6)
    run(service, name, 1)
    (pid,) = processes(service, name)
    os.kill(pid, signal.SIGKILL)
    run(service, name, 3)
    assert "its process was ended by SIGKILL" in service.study(name)["sampler_note"]
    until(lambda: processes(service, name) not in ([], [pid]), "another process has been started")


REFUSED: dict[str, tuple[Json, str, str]] = {
    "not allowed": (
        {"entrypoint": "optuna.samplers:RandomSampler"},
        "sampler.entrypoint",
        "entrypoint must be in a package that the service allows for samplers: 'optuna.samplers:RandomSampler' (the "
        f"service allows {MODULE}; start it with narrows serve --samplers optuna)",
    ),
    "no module": ({"entrypoint": f"{MODULE}.deep:make"}, "sampler", "ModuleNotFoundError: No module named"),
    "no function": ({"entrypoint": f"{MODULE}:make"}, "sampler", "has no attribute 'make'"),
    "no sampler": (
        {"entrypoint": f"{MODULE}:no_sampler"},
        "sampler",
        f"TypeError: {MODULE}:no_sampler must return an optuna.samplers.BaseSampler: int",
    ),
    "options": (
        {"entrypoint": f"{MODULE}:halving", "options": {"seed": 1}},
        "sampler",
        "unexpected keyword argument 'seed'",
    ),
    "error": ({"entrypoint": f"{MODULE}:without_file"}, "sampler", "RuntimeError: no model file"),
    "malformed": ({"entrypoint": "mypkg"}, "sampler.entrypoint", "'mypkg'"),
    "name too": ({"entrypoint": f"{MODULE}:halving", "name": "tpe"}, "sampler.name", "name"),
}


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("case", REFUSED)
def test_a_sampler_that_cannot_be_made_is_refused(service: Service, case: str, check: bool) -> None:
    given, field, text = REFUSED[case]
    query: dict[str, Any] = {"check": True} if check else {}
    wanted = definition(sampler=given)
    errors = errors_of(service.http.post("/v1/studies", params=query, json=wanted))
    assert list(errors) == [field]
    assert text in errors[field]
    assert service.http.get(f"/v1/studies/{wanted['name']}").status_code == 404


def test_a_study_whose_sampler_is_not_allowed_any_more_says_so(sqlite_template: SqliteTemplate, tmp_path: Path) -> None:
    with service_with_samplers(sqlite_template.copy_to(tmp_path / "narrows.db")) as service:
        name = service.create(search_space=SPACE, sampler=HALVING, n_trials=2)
        service.allowed = []
        service.restart()
        run(service, name)
        assert "start it with narrows serve --samplers" in service.study(name)["sampler_note"]
