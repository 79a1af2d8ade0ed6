"""Stock Optuna and this storage read what the other one wrote."""

import math
from collections.abc import Iterator

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from storage import GroupCommitStorage
from storage.database.opening import parse_url
from tests.contracts.checked_storage import comparable

DISTRIBUTIONS = {
    "rate": FloatDistribution(1e-6, 1e-2, log=True),
    "units": IntDistribution(1, 64),
    "choice": CategoricalDistribution(("a", None, 3, True)),
}


@pytest.fixture
def stock(empty_database_url: str) -> Iterator[RDBStorage]:
    storage = RDBStorage(parse_url(empty_database_url).render_as_string(hide_password=False))
    yield storage
    storage.remove_session()
    storage.engine.dispose()


def write_trials(study: optuna.Study, n_trials: int) -> None:
    """Complete, pruned, failed, running and waiting ones, with nan and infinities."""
    for index in range(n_trials):
        trial = study.ask(DISTRIBUTIONS)
        trial.report([0.5, math.nan, math.inf, -math.inf][index % 4], index)
        trial.set_user_attr("index", [index, None, "ü"])
        if index % 4 == 0:
            study.tell(trial, [0.1, math.inf, -math.inf][index % 3])
        elif index % 4 == 1:
            study.tell(trial, state=TrialState.PRUNED)
        elif index % 4 == 2:
            study.tell(trial, state=TrialState.FAIL)
    study.enqueue_trial({"units": 7})


def test_stock_optuna_reads_what_we_wrote_while_we_run(empty_database_url: str, stock: RDBStorage) -> None:
    storage = GroupCommitStorage(empty_database_url)
    study = optuna.create_study(storage=storage, study_name="ours", directions=["minimize"])
    study.set_user_attr("owner", {"name": "us"})
    write_trials(study, 9)
    read = optuna.load_study(storage=stock, study_name="ours")
    assert read.user_attrs == study.user_attrs
    assert [comparable(trial) for trial in read.trials] == [comparable(trial) for trial in study.trials]
    assert read.best_trial.number == study.best_trial.number
    storage.close()


def test_we_read_what_stock_optuna_wrote(empty_database_url: str, stock: RDBStorage) -> None:
    study = optuna.create_study(storage=stock, study_name="theirs", directions=["minimize"])
    study.set_user_attr("owner", {"name": "them"})
    write_trials(study, 9)
    storage = GroupCommitStorage(empty_database_url)
    read = optuna.load_study(storage=storage, study_name="theirs")
    assert read.user_attrs == study.user_attrs
    assert [comparable(trial) for trial in read.trials] == [comparable(trial) for trial in study.trials]
    storage.close()


def test_both_write_in_turn_after_clean_stops(empty_database_url: str, stock: RDBStorage) -> None:
    ids: list[int] = []
    for turn in range(3):
        storage = GroupCommitStorage(empty_database_url)
        study = optuna.create_study(storage=storage, study_name="shared", load_if_exists=True)
        write_trials(study, 4)
        storage.close()
        write_trials(optuna.load_study(storage=stock, study_name="shared"), 4)
        optuna.create_study(storage=stock, study_name=f"other {turn}")
        ids = [trial._trial_id for trial in optuna.load_study(storage=stock, study_name="shared").trials]
    assert len(set(ids)) == len(ids)
    storage = GroupCommitStorage(empty_database_url)
    read = optuna.load_study(storage=storage, study_name="shared")
    assert [trial.number for trial in read.trials] == list(range(len(ids)))
    storage.close()


def test_the_id_of_a_deleted_study_is_not_given_again(empty_database_url: str) -> None:
    storage = GroupCommitStorage(empty_database_url)
    study_id = storage.create_new_study([optuna.study.StudyDirection.MINIMIZE], "first")
    trial_id = storage.create_new_trial(study_id)
    storage.delete_study(study_id)
    storage.close()
    storage = GroupCommitStorage(empty_database_url)
    again = storage.create_new_study([optuna.study.StudyDirection.MINIMIZE], "second")
    assert again > study_id
    assert storage.create_new_trial(again) > trial_id
    storage.close()
