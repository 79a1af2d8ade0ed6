"""`narrows import`: from a CSV file and from databases of stock Optuna, into a study of a real service."""

import json
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from service.client import Client
from service.schemas.study.samplers import MAX_IMPORTED
from tests.acceptance.by_hand import claimed, definition, study_in_every_state
from tests.acceptance.holding_proxy import HoldingProxy
from tests.acceptance.service_checks import stock_storage
from tests.commands import Command, run
from tests.conftest import ROOT, ServiceProcess, StartService, clean_environment
from tests.waiting import until

RATE = {"learning_rate": {"type": "float", "low": 1e-5, "high": 0.1, "log": True}}
TPE = {"name": "tpe", "seed": 5}
N_ROWS, ROW_BYTES = 1400, 4000
"""Trials that a client imports in three parts."""


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
    # A data frame's file has nothing where the value is null.
    assert 0 < sum(params["gradient_clip"] is None for _, params, _ in source) < 4
    assert narrows(client, "import", str(frame), "--into", "frame") == (
        0,
        f"frame learns from 4 trials of frame.csv; {left_out}\n",
    )


HIDDEN: Any = ([64], [64, 64])


def diverging(trial: optuna.Trial) -> float:
    rate = trial.suggest_float("learning_rate", 1e-5, 0.1, log=True)
    trial.suggest_categorical("hidden", HIDDEN)
    trial.report(float("nan") if trial.number % 3 == 0 else rate, 0)
    if trial.number % 3 == 0:
        raise optuna.TrialPruned
    return rate


def test_what_can_be_taken_of_a_journal_is_taken(client: Client, tmp_path: Path) -> None:
    journal = tmp_path / "journal.log"
    storage = JournalStorage(JournalFileBackend(str(journal)))
    old = optuna.create_study(storage=storage, study_name="old", direction="maximize")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna warns of choices that are lists
        old.optimize(diverging, n_trials=9)
    space = {
        **RATE,
        "hidden": {"type": "categorical", "choices": ["[64]", "[64, 64]"]},
        "epochs": {"type": "int", "low": 3, "high": 9},
    }
    client.create_study(definition("new", search_space=space, sampler=TPE, training={"entrypoint": "mine.train:f"}))
    arguments = ("import", str(journal), "--into", "new", "--default", "epochs=5")
    assert narrows(client, *arguments) == (0, "new learns from 9 trials of study old of Optuna\n")
    (kept,) = json.loads(client.get("studies/new/imports"))["imports"]
    assert kept["n_trials"] == 9
    trials = json.loads(client.get("studies/new/imports/0"))["trials"]
    assert {trial["params"]["epochs"] for trial in trials} == {5}
    assert {trial["params"]["hidden"] for trial in trials} <= {"[64]", "[64, 64]"}
    assert [trial["last_value"] for trial in trials if trial["state"] == "PRUNED"] == ["nan"] * 3


def test_many_trials_go_in_parts(client: Client, tmp_path: Path) -> None:
    names = [f"hyperparameter_{number}" for number in range(20)]
    space = {name: {"type": "float", "low": 0.0, "high": 1.0} for name in names}
    client.create_study(definition("new", search_space=space, sampler=TPE, training={"entrypoint": "mine.train:f"}))
    rows = [",".join([*(f"0.{number:05}12345678{place}" for place in range(20)), "0.5"]) for number in range(5000)]
    rows[7] = rows[7].replace("0.", "fast", 1)
    file = tmp_path / "old.csv"
    file.write_text("\n".join([",".join([*names, "value"]), *rows, ""]))
    code, said = narrows(client, "import", str(file), "--into", "new")
    assert code == 0, said
    assert said.splitlines()[0] == "new learns from 4999 trials of old.csv; left out: 1 that cannot be read"
    assert said.splitlines()[1].startswith("left out: line 9, column hyperparameter_0: must be a number: 'fast")
    parts = client.imports("new")
    assert len(parts) > 1
    assert [part.source for part in parts] == [f"old.csv (part {n} of {len(parts)})" for n in range(1, len(parts) + 1)]
    assert client.study("new").n_imported == 4999


def write_rows(file: Path, n_rows: int, row_bytes: int = ROW_BYTES) -> None:
    """Write a CSV file of trials, of which `x0` has the number, `x1` has 0.1 and `name` is long."""
    rows = [f"{row},0.1,{'a' * row_bytes},0.5" for row in range(n_rows)]
    file.write_text("\n".join(["x0,x1,name,value", *rows, ""]))


def study_for_rows(client: Client, name: str, row_bytes: int = ROW_BYTES) -> None:
    numbers = {name: {"type": "float", "low": 0.0, "high": 1e6} for name in ("x0", "x1")}
    space = {**numbers, "name": {"type": "categorical", "choices": ["a" * row_bytes]}}
    client.create_study(definition(name, search_space=space, sampler=TPE, training={"entrypoint": "mine.train:f"}))


def imported_rows(client: Client, name: str) -> list[float]:
    imports = [json.loads(client.get(f"studies/{name}/imports/{one.number}")) for one in client.imports(name)]
    return [trial["params"]["x0"] for one in imports for trial in one["trials"]]


@contextmanager
def import_held_at_its_second_part(client: Client, file: Path) -> Iterator[Command]:
    """Write a CSV file and import it into a new study `new`; the connection of the second part breaks at the end."""
    study_for_rows(client, "new")
    write_rows(file, N_ROWS)
    with HoldingProxy(client.server, "/v1/studies/new/imports", n_passed=1) as proxy:
        arguments = ("import", str(file), "--into", "new", "--server", proxy.url)
        command = Command(*arguments, environment=clean_environment(), cwd=ROOT, stderr=subprocess.STDOUT)
        until(proxy.is_holding, "the second part is on its way")
        yield command


def test_an_import_goes_on_after_its_client_was_killed(client: Client, tmp_path: Path) -> None:
    file = tmp_path / "old.csv"
    with import_held_at_its_second_part(client, file) as command:
        command.kill()
        command.communicate()
    assert 0 < len(imported_rows(client, "new")) < N_ROWS

    code, said = narrows(client, "import", str(file), "--into", "new")

    assert (code, said) == (0, f"new learns from {N_ROWS} trials of old.csv\n")
    assert imported_rows(client, "new") == list(range(N_ROWS))


def test_an_import_that_loses_its_service_says_how_far_it_came(client: Client, tmp_path: Path) -> None:
    file = tmp_path / "old.csv"
    with import_held_at_its_second_part(client, file) as command:
        pass
    said, _ = command.communicate()

    n_done = len(imported_rows(client, "new"))
    assert command.returncode == 1
    assert (
        f"part 1 of 3, with {n_done} trials, is imported: the same command imports the rest, and no trial twice" in said
    )
    assert narrows(client, "import", str(file), "--into", "new")[0] == 0
    assert imported_rows(client, "new") == list(range(N_ROWS))


def test_nothing_is_imported_if_not_all_parts_can_be(client: Client, tmp_path: Path) -> None:
    study_for_rows(client, "new", row_bytes=200)
    file = tmp_path / "many.csv"
    write_rows(file, MAX_IMPORTED + 1, row_bytes=200)

    code, said = narrows(client, "import", str(file), "--into", "new")

    assert (code, said) == (1, "narrows: a study must import at most 10000 trials: 10001 with many.csv\n")
    assert client.imports("new") == []


def test_parts_without_any_trial_that_fits_are_not_imported(client: Client, tmp_path: Path) -> None:
    study_for_rows(client, "new")
    file = tmp_path / "old.csv"
    write_rows(file, 600)
    file.write_text(file.read_text().replace(",0.1", ",-0.1"))

    code, said = narrows(client, "import", str(file), "--into", "new")

    problem = "at least one trial must fit the search space: old.csv has none"
    assert (code, said) == (1, f"narrows: {problem}; left out: 600 because of their values\n")
    assert client.imports("new") == []


def test_what_cannot_be_imported_is_said_in_one_line(client: Client, tmp_path: Path) -> None:
    client.create_study(definition("new", search_space=RATE, sampler=TPE))
    good, bad, far = (tmp_path / name for name in ("good.csv", "bad.csv", "far.csv"))
    good.write_text("learning_rate,value\n0.01,0.9\n")
    bad.write_text("learning_rate,value\nfast,0.9\n")
    far.write_text("learning_rate,value\n7.0,0.9\n")
    database, minimized = f"sqlite:///{tmp_path / 'two.db'}", f"sqlite:///{tmp_path / 'minimized.db'}"
    with stock_storage(database) as storage:
        for name in ("a", "b"):
            optuna.create_study(study_name=name, storage=storage)
    with stock_storage(minimized) as storage:
        optuna.create_study(study_name="a", storage=storage)
    missing = tmp_path / "missing.db"
    for arguments, line in (
        ((str(bad), "new"), f"{bad}: line 2, column learning_rate: must be a number: 'fast'"),
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
