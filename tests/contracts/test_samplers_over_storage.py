"""Optuna's own sampler tests, with this storage where they take Optuna's in-memory one."""

import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import optuna
import pytest
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, NSGAIISampler, TPESampler
from optuna.testing.pytest_samplers import BasicSamplerTestCase

from storage import GroupCommitStorage

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # the cases provoke Optuna's own warnings
    pytest.mark.slow,
]

SAMPLERS: dict[str, Callable[[], BaseSampler]] = {
    "tpe": partial(TPESampler, n_startup_trials=0),
    "gp": partial(GPSampler, n_startup_trials=0, deterministic_objective=True),
    "cmaes": partial(CmaEsSampler, n_startup_trials=0),
    "nsgaii": partial(NSGAIISampler, population_size=4),
}


@pytest.fixture(autouse=True)
def default_storage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """`optuna.create_study()` without a storage makes one of ours."""
    opened: list[GroupCommitStorage] = []

    def create() -> GroupCommitStorage:
        opened.append(GroupCommitStorage(f"sqlite:///{tempfile.mkdtemp(dir=tmp_path)}/narrows.db"))
        return opened[-1]

    monkeypatch.setattr(optuna.storages, "InMemoryStorage", create)
    yield
    for storage in opened:
        storage.close()


def _sampler(name: str) -> Callable[[], BaseSampler]:
    def build() -> BaseSampler:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return SAMPLERS[name]()

    return build


class TestSamplers(BasicSamplerTestCase):
    @pytest.fixture(params=sorted(SAMPLERS))
    def sampler(self, request: pytest.FixtureRequest) -> Callable[[], BaseSampler]:
        return _sampler(request.param)
