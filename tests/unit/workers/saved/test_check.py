"""The evaluation of a saved model by another program."""

import json
from pathlib import Path

import pytest
import torch

from service.schemas.protocol import Lease
from service.schemas.study.training import Training
from tests.training import train_model
from tests.unit.workers.fakes import lease_json
from workers.data.trial_data import prepare_data
from workers.saved import check as saved_model
from workers.saved.files import describe_model, dump_model

CPU = torch.device("cpu")


@pytest.fixture
def trained(tmp_path: Path) -> tuple[Path, dict[str, float]]:
    """Return the file of a model whose trial stopped early, and the final metrics of that trial."""
    fields = {"dataset": "digits", "model": {"name": "mlp", "hidden": [16], "batch_norm": True}, "epochs": 6}
    training = Training.model_validate(fields | {"learning_rate": 0.03, "early_stopping": {"patience": 1}})
    data = prepare_data(training.dataset, tmp_path, CPU, download=False)
    found = train_model(training, 0, data, CPU, report=lambda *_: None, should_stop=lambda: False)
    assert found is not None
    lease = Lease.model_validate(lease_json(0) | {"training": training.model_dump(mode="json")})
    path = tmp_path / "model.safetensors"
    path.write_bytes(dump_model(found.model.state_dict(), describe_model(lease, found.metrics, data)))
    return path, found.metrics


def test_a_loaded_model_has_the_recorded_metrics(
    trained: tuple[Path, dict[str, float]], capsys: pytest.CaptureFixture[str]
) -> None:
    path, metrics = trained
    assert saved_model.main([str(path), f"--data-dir={path.parent}"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == {name: pytest.approx(metrics[name], abs=1e-6) for name in saved_model.FIGURES}


def test_a_file_that_is_no_model_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"nothing")
    assert saved_model.main([str(path), f"--data-dir={tmp_path}"]) == 1
    assert "must be a safetensors file of Narrows" in capsys.readouterr().err
