"""Optuna's own storage contract, over each database; and the same against what a reload would answer."""

from collections.abc import Iterator

import pytest
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.testing.pytest_storages import StorageTestCase
from optuna.trial import TrialState

from storage import GroupCommitStorage
from tests.contracts.checked_storage import CheckedStorage


@pytest.fixture
def opened(database_url: str) -> Iterator[GroupCommitStorage]:
    storage = GroupCommitStorage(database_url)
    yield storage
    storage.close()


class TestInMemory(StorageTestCase):
    @pytest.fixture
    def storage(self, opened: GroupCommitStorage) -> BaseStorage:
        return opened


class TestReloaded(StorageTestCase):
    @pytest.fixture
    def storage(self, opened: GroupCommitStorage) -> BaseStorage:
        return CheckedStorage(opened)

    @pytest.mark.skip(reason="the checking wrapper itself is not pickled; TestInMemory pickles the storage")
    def test_pickle_storage(self, storage: BaseStorage) -> None:
        """See TestInMemory."""


def test_fewer_values_replace_all_values_of_a_trial(database_url: str) -> None:
    storage = GroupCommitStorage(database_url)
    trial_id = storage.create_new_trial(storage.create_new_study([StudyDirection.MINIMIZE]))
    storage.set_trial_state_values(trial_id, TrialState.WAITING, [0.25, 0.5])
    storage.set_trial_state_values(trial_id, TrialState.COMPLETE, [0.75])
    storage.close()
    reloaded = GroupCommitStorage(database_url)
    assert reloaded.get_trial(trial_id).values == [0.75]
    reloaded.close()
