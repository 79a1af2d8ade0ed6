"""Optuna's own storage contract, over each database; and the same against what a reload would answer."""

from collections.abc import Iterator

import pytest
from optuna.storages import BaseStorage
from optuna.testing.pytest_storages import StorageTestCase

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
