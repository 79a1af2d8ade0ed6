"""`narrows import`: from a CSV file and from databases of stock Optuna, into a study of a real service."""

import json
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest

from service.client import Client
from tests.acceptance.by_hand import claimed, definition, study_in_every_state
from tests.acceptance.service_checks import stock_storage
from tests.commands import run
from tests.conftest import ROOT, ServiceProcess, StartService, clean_environment

RATE = {"learning_rate": {"type": "float", "low": 1e-5, "high": 0.1, "log": True}}
TPE = {"name": "tpe", "seed": 5}


@pytest.fixture
def service(service_process: StartService, tmp_path: Path) -> ServiceProcess:
    return service_process("--database", f"sqlite:///{tmp_path / 'service.db'}")


@pytest.fixture
def client(service: ServiceProcess) -> Iterator[Client]:
    with Client(service.url) as client:
        yield client


def narrows(client: Client, *arguments: str) -> tuple[int, str]:
    done = run(*arguments, "--server", client.server, environment=clean_environment(), cwd=ROOT)
    return done.returncode, done.stdout + done.stderr


def objective(trial: optuna.Trial) -> float:
    rate = trial.suggest_float("learning_rate", 1e-5, 0.1, log=True)
    for step in range(3):
        trial.report(0.9 - abs(rate - 0.01) * step, step)
        if trial.number % 5 == 4:
            raise optuna.TrialPruned
    return 0.9 - abs(rate - 0.01)


def test_an_optuna_study_goes_on_here_as_it_would_have_there(client: Client, database_url: str) -> None:
    with stock_storage(database_url) as storage:
        old = optuna.create_study(
            study_name="old", storage=storage, direction="maximize", sampler=optuna.samplers.RandomSampler(1)
        )
        old.optimize(objective, n_trials=15)
        client.create_study(definition("new", search_space=RATE, sampler=TPE))
        arguments = ("import", database_url, "--into", "new", "--source-study", "old")
        said = "new learns from 15 trials of study old of Optuna\n"
        assert narrows(client, *arguments) == (0, said)
        assert narrows(client, *arguments) == (0, said)  # the same once more is the same import

        on = optuna.load_study(study_name="old", storage=storage, sampler=optuna.samplers.TPESampler(seed=5))
        expected = on.ask().suggest_float("learning_rate", 1e-5, 0.1, log=True)
    assert claimed(client, "new").params == {"learning_rate": expected}
    assert client.study("new").n_imported == 15
    assert [one.n_trials for one in client.imports("new")] == [15]


def test_what_was_exported_can_be_imported(client: Client, tmp_path: Path) -> None:
    study_in_every_state(client, "every")
    client.create_study(definition("csv", sampler=TPE))
    client.create_study(definition("frame", sampler=TPE))
    client.create_study(definition("optuna", sampler=TPE))
    file, frame, database = tmp_path / "every.csv", tmp_path / "frame.csv", f"sqlite:///{tmp_path / 'every.db'}"
    narrows(client, "export", "every", "--out", str(file))
    narrows(client, "export", "every", "--to", database)
    client.trials_dataframe("every").to_csv(frame, index=False)

    left_out = "left out: 3 because of their state"
    assert narrows(client, "import", str(file), "--into", "csv") == (
        0,
        f"csv learns from 4 trials of every.csv; {left_out}\n",
    )
    assert narrows(client, "import", database, "--into", "optuna") == (
        0,
        f"optuna learns from 4 trials of study every of Optuna; {left_out}\n",
    )
    source = [(trial.state, trial.params, trial.values) for trial in client.trials("every")][:4]
    for study in ("csv", "optuna"):
        found = client.get(f"studies/{study}/imports/0")
        kept = [(trial["state"], trial["params"], trial["values"]) for trial in json.loads(found)["trials"]]
        assert kept == source, study
    # A data frame's file has nothing where the value is null: such a trial lacks a parameter.
    n_null = sum(params["gradient_clip"] is None for _, params, _ in source)
    assert 0 < n_null < 4
    assert narrows(client, "import", str(frame), "--into", "frame") == (
        0,
        f"frame learns from {4 - n_null} trials of frame.csv; {left_out}, {n_null} because of their names\n",
    )


def test_what_cannot_be_imported_is_said_in_one_line(client: Client, tmp_path: Path) -> None:
    client.create_study(definition("new", search_space=RATE, sampler=TPE))
    good, bad, far = (tmp_path / name for name in ("good.csv", "bad.csv", "far.csv"))
    good.write_text("learning_rate,value\n0.01,0.9\n")
    bad.write_text("learning_rate,value\n0.01,0.9\nfast,0.9\n")
    far.write_text("learning_rate,value\n7.0,0.9\n")
    database, minimized = f"sqlite:///{tmp_path / 'two.db'}", f"sqlite:///{tmp_path / 'minimized.db'}"
    with stock_storage(database) as storage:
        for name in ("a", "b"):
            optuna.create_study(study_name=name, storage=storage)
    with stock_storage(minimized) as storage:
        optuna.create_study(study_name="a", storage=storage)
    missing = tmp_path / "missing.db"
    for arguments, line in (
        ((str(bad), "new"), f"{bad}: line 3, column learning_rate: must be a number: 'fast'"),
        (
            (str(far), "new"),
            "trials: at least one trial must fit the search space: far.csv has none "
            "(1 left out because of their values)",
        ),
        ((str(tmp_path / "no.csv"), "new"), f"{tmp_path / 'no.csv'}: No such file or directory"),
        ((str(good), "nowhere"), "no study of this name: nowhere"),
        ((f"sqlite:///{missing}", "new"), f"there is no such file: {missing}"),
        ((database, "new"), f"{database} has 2 studies, one must be named: a, b"),
        ((minimized, "new"), "directions must be those of new (maximize): a has minimize"),
        ((database, "new", "--source-study", "c"), f"{database} has no study 'c', it has: a, b"),
    ):
        source, into, *more = arguments
        assert narrows(client, "import", source, "--into", into, *more) == (1, f"narrows: {line}\n")
    assert not missing.exists()
    assert client.imports("new") == []
    assert narrows(client, "import", str(good), "--into", "new")[0] == 0
