"""Objectives that use libraries as Optuna's examples do run on a worker without a changed line."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.acceptance.user_code_service import CODE, UserCodeService, open_service
from tests.conftest import clean_environment
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.slow

UNDER_OPTUNA = """
import optuna
from tuned.lightning_net import objective
study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
study.optimize(objective, n_trials=1)
print(sorted(study.best_params), study.trials[0].intermediate_values.keys())
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UserCodeService]:
    with (
        open_service(tmp_path_factory.mktemp("service")) as service,
        service.worker("--allow", "tuned", "--processes", "2"),
    ):
        objectives = [{"metric": "val_acc", "direction": "maximize"}]
        entrypoint = "tuned.lightning_net:objective"
        service.create("lightning", entrypoint, objectives=objectives, enqueue=[{"n_layers": 2, "lr": 0.01}])
        # Below the threshold at its first epoch, whatever it is: no accuracy is above 1.
        threshold = {"name": "threshold", "lower": 1.5, "n_warmup_steps": 1}
        service.create("pruned", entrypoint, objectives=objectives, pruner=threshold)
        yield service


def test_a_lightning_objective_reports_and_completes(service: UserCodeService) -> None:
    (trial,) = service.finished("lightning")
    assert trial.state == "COMPLETE", trial.reason
    curves = service.client.curves("lightning", 0)
    assert curves.steps == [0, 1, 2, 3]
    assert trial.values == [curves.metrics["val_acc"][-1]]
    assert (trial.values or [0.0])[0] > 0.7
    assert set(trial.params) == {"n_layers", "dropout", "lr", "n_units_l0", "n_units_l1"}


def test_optunas_callback_for_lightning_prunes(service: UserCodeService) -> None:
    (trial,) = service.finished("pruned")
    assert trial.state == "PRUNED", trial.reason
    assert service.client.curves("pruned", 0).steps == [0, 1]


def test_the_same_objective_runs_under_optuna_alone() -> None:
    command = [sys.executable, "-c", UNDER_OPTUNA]
    environment = clean_environment(PYTHONPATH=str(CODE))
    shown = subprocess.run(
        command, capture_output=True, text=True, env=environment, check=True, timeout=PATIENCE_SECONDS
    )
    assert "'n_layers'" in shown.stdout
    assert "dict_keys([0, 1, 2, 3])" in shown.stdout
