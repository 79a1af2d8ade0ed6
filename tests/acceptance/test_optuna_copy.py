"""A study in a notebook: as an Optuna study, as a data frame, and while it runs; against stock Optuna's own reading."""

import sys
import threading
from collections.abc import Iterator
from io import StringIO
from typing import Any

import optuna
import pytest
from optuna import visualization
from rich.console import Console

from service.client import Client, MissingPackageError
from service.client.optuna_copy import ReadOnlyError
from tests.acceptance.by_hand import (
    DISTRIBUTIONS,
    METRIC,
    completed,
    definition,
    study_in_every_state,
    study_of_custom_objective,
)
from tests.acceptance.service_checks import stock_storage
from tests.conftest import ServiceProcess, StartService

PLOTS = (
    visualization.plot_optimization_history,
    visualization.plot_intermediate_values,
    visualization.plot_parallel_coordinate,
    visualization.plot_contour,
    visualization.plot_slice,
    visualization.plot_rank,
    visualization.plot_edf,
    visualization.plot_timeline,
    visualization.plot_param_importances,
)


@pytest.fixture
def service(service_process: StartService, database_url: str) -> ServiceProcess:
    return service_process("--database", database_url)


@pytest.fixture
def client(service: ServiceProcess) -> Iterator[Client]:
    with Client(service.url) as client:
        yield client


def facts(trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
    """All that Optuna knows of a trial, but the id that its storage has for it, and the notes."""
    names = ("number", "state", "values", "params", "distributions", "intermediate_values", "system_attrs")
    return {name: getattr(trial, name) for name in (*names, "datetime_start", "datetime_complete")}


def stock_study(url: str, name: str) -> tuple[list[Any], list[optuna.trial.FrozenTrial]]:
    with stock_storage(url) as storage:
        study_id = storage.get_study_id_from_name(name)
        return storage.get_study_directions(study_id), storage.get_all_trials(study_id)


def test_the_copy_is_what_stock_optuna_reads_from_the_database(client: Client, database_url: str) -> None:
    study_in_every_state(client, "every")
    study_of_custom_objective(client, "custom")
    for name in ("every", "custom"):
        copy = client.study(name).optuna()
        directions, trials = stock_study(database_url, name)

        assert copy.study_name == name
        assert copy.directions == directions
        assert [facts(trial) for trial in copy.trials] == [facts(trial) for trial in trials]
        for mine, theirs, told in zip(copy.trials, trials, client.trials(name), strict=True):
            assert mine.user_attrs == {**told.metrics, **theirs.user_attrs}

    every = client.study("every").optuna()
    states = [trial.state.name for trial in every.trials]
    assert states == ["COMPLETE", "COMPLETE", "COMPLETE", "PRUNED", "FAIL", "RUNNING", "WAITING"]
    assert {name: one for trial in every.trials for name, one in trial.distributions.items()} == DISTRIBUTIONS
    assert every.trials[0].user_attrs["train_loss"] == float("inf")
    assert [every.best_value] == client.best("every", 1)[0].values == [0.7]
    assert client.study("custom").optuna().trials[2].user_attrs["note"] == {"of": [2, None]}


def test_the_copy_refuses_to_be_written_to(client: Client) -> None:
    study_in_every_state(client, "every")
    copy = client.study("every").optuna()
    for write in (copy.ask, lambda: copy.tell(5, 0.5), lambda: copy.add_trial(copy.trials[0])):
        with pytest.raises(ReadOnlyError, match="a read-only copy"):
            write()
    with pytest.raises(ReadOnlyError):
        copy.set_user_attr("note", 1)
    assert len(copy.trials) == len(client.study("every").optuna().trials) == 7


def test_optunas_plots_take_it(client: Client) -> None:
    client.create_study(definition("plotted", n_trials=8))
    for number in range(8):
        completed(client, "plotted", 0.5 + (number * 3 % 8) / 20)
    copy = client.study("plotted").optuna()
    for plot in PLOTS:
        assert len(plot(copy).data) > 0


def test_the_data_frame_is_optunas(client: Client, database_url: str) -> None:
    study_in_every_state(client, "every")
    frame = client.trials_dataframe("every")
    with stock_storage(database_url) as storage:
        stock = optuna.load_study(study_name="every", storage=storage)
        stock._storage.set_study_system_attr(stock._study_id, "study:metric_names", [METRIC])
        expected = stock.trials_dataframe()

    metrics = [name for name in frame.columns if name.startswith("user_attrs_")]
    assert metrics == ["user_attrs_train_loss", f"user_attrs_{METRIC}"]
    assert list(frame.drop(columns=metrics).columns) == list(expected.columns)
    assert frame.drop(columns=metrics).equals(expected)
    assert list(client.trials_dataframe("every", attrs=("number", "state"))["state"]) == list(expected["state"])


def test_without_pandas_the_error_says_what_to_install(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)  # as if it was not installed
    with pytest.raises(MissingPackageError, match=r"needs pandas: pip install 'narrows\[notebook\]'"):
        client.trials_dataframe("every")


def test_watching_ends_with_the_study_and_returns_it(client: Client) -> None:
    client.create_study(definition("watched", n_trials=2))
    out = Console(file=StringIO(), width=200, force_terminal=False)

    def train() -> None:
        for value in (0.5, 0.75):
            completed(client, "watched", value)

    worker = threading.Thread(target=train)
    worker.start()
    study = client.watch("watched", out)
    worker.join()
    assert (study.state, study.trial_counts.COMPLETE) == ("finished", 2)
    assert study.optuna().best_value == 0.75
    assert isinstance(out.file, StringIO)
    assert "watched is finished" in out.file.getvalue()
