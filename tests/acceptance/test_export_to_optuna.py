"""`narrows export --to`: what stock Optuna then reads is what it reads from the service's own database."""

from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest

from service.client import Client
from tests.acceptance.by_hand import METRIC, study_in_every_state, study_of_custom_objective
from tests.acceptance.service_checks import stock_storage
from tests.acceptance.test_optuna_copy import facts
from tests.commands import run
from tests.conftest import ROOT, ServiceProcess, StartService, clean_environment


@pytest.fixture
def service(service_process: StartService, tmp_path: Path) -> ServiceProcess:
    return service_process("--database", f"sqlite:///{tmp_path / 'source.db'}")


@pytest.fixture
def client(service: ServiceProcess) -> Iterator[Client]:
    with Client(service.url) as client:
        yield client


def export(client: Client, *arguments: str) -> tuple[int, str]:
    done = run("export", *arguments, "--server", client.server, environment=clean_environment(), cwd=ROOT)
    return done.returncode, done.stdout + done.stderr


def test_a_stock_study_has_everything(client: Client, tmp_path: Path, database_url: str) -> None:
    study_in_every_state(client, "every")
    study_of_custom_objective(client, "custom")
    for name in ("every", "custom"):
        n_trials = len(list(client.trials(name)))
        said = f"Study {name} with {n_trials} trials is in that database; optuna.load_study reads it\n"
        assert export(client, name, "--to", database_url) == (0, said)

    with stock_storage(database_url) as target, stock_storage(f"sqlite:///{tmp_path / 'source.db'}") as source:
        for name in ("every", "custom"):
            made, original = (optuna.load_study(study_name=name, storage=one) for one in (target, source))
            assert made.directions == original.directions
            assert made.user_attrs == original.user_attrs
            assert [facts(trial) for trial in made.trials] == [facts(trial) for trial in original.trials]
            for mine, theirs, told in zip(made.trials, original.trials, client.trials(name), strict=True):
                assert mine.user_attrs == {**told.metrics, **theirs.user_attrs}
        every = optuna.load_study(study_name="every", storage=target)
        assert every.metric_names == [METRIC]
        assert every.best_value == 0.7
        # Stock Optuna goes on with it: the waiting trial comes first, then one that a sampler makes.
        assert [every.ask().number, every.ask().number] == [6, 7]


def test_a_study_of_that_name_is_left_as_it_is(client: Client, database_url: str) -> None:
    study_in_every_state(client, "every")
    assert export(client, "every", "--to", database_url)[0] == 0
    status, text = export(client, "every", "--to", database_url)
    assert (status, text) == (1, "narrows: a study of this name is in that database already: every\n")
    with stock_storage(database_url) as target:
        assert len(target.get_all_studies()) == 1
        assert target.get_n_trials(target.get_study_id_from_name("every")) == 7


def test_what_breaks_off_leaves_no_part_of_a_study(client: Client, database_url: str) -> None:
    from service.client.optuna_copy import directions_of, read
    from storage.optuna_databases import OptunaStudy, write_study

    study_in_every_state(client, "every")
    head, trials = read(client.export("every", "optuna"))
    found = list(trials)

    def breaking() -> Iterator[optuna.trial.FrozenTrial]:
        yield from found * 300  # more than one chunk
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        write_study(database_url, OptunaStudy("every", directions_of(head), None, {}, breaking()))
    with stock_storage(database_url) as target:
        assert target.get_all_studies() == []
    assert write_study(database_url, OptunaStudy("every", directions_of(head), None, {}, found)) == 7


def test_where_it_cannot_go_is_said_in_one_line(client: Client, tmp_path: Path) -> None:
    study_in_every_state(client, "every")
    own = f"sqlite:///{tmp_path / 'source.db'}"
    for arguments, wanted in (
        (["every", "--to", own], f"narrows: database must not be one of Narrows, which knows its studies: {own}"),
        (["every", "--to", "sqlite://"], "narrows: database must be a file: 'sqlite://'"),
        (["every", "--to", "nonsense"], "narrows: database must be an address such as sqlite:///optuna.db"),
        (["none", "--to", f"sqlite:///{tmp_path / 'new.db'}"], "narrows: no study of this name: none"),
    ):
        assert export(client, *arguments) == (1, f"{wanted}\n")
    status, text = export(client, "every", "--to", own, "--format", "csv")
    assert (status, text) == (
        2,
        "narrows: Invalid value: --to writes to a database: it must not be given with --format, --where or --out\n",
    )
    assert not (tmp_path / "new.db").exists()


def test_the_ids_of_other_studies_go_on_after_it(client: Client, database_url: str) -> None:
    study_in_every_state(client, "every")
    with stock_storage(database_url) as target:
        earlier = optuna.create_study(study_name="earlier", storage=target)
        earlier.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    assert export(client, "every", "--to", database_url)[0] == 0
    with stock_storage(database_url) as target:
        again = optuna.load_study(study_name="earlier", storage=target)
        again.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
        assert [trial.number for trial in again.trials] == [0, 1, 2, 3]
