"""The final evaluation with real processes; the test split's files are there for it alone."""

import struct
from pathlib import Path

import numpy as np

from service.client import Client
from tests.acceptance.processes import worker
from tests.commands import run
from tests.conftest import StartService, clean_environment
from tests.waiting import PATIENCE_SECONDS

N_TRAIN, N_TEST = 120, 40
SPACE = {"learning_rate": {"type": "float", "low": 1e-3, "high": 1e-2, "log": True}}


def work(client: Client, folder: Path, *flags: str) -> None:
    """Run a worker until it is idle."""
    given = ["--server", client.server, "--processes", "1", "--devices", "cpu", *flags]
    with worker(*given, environment=clean_environment(), cwd=folder) as process:
        output, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, output


def write_idx(folder: Path, prefix: str, n: int) -> None:
    """Images of two classes, the second one brighter, in MNIST's own format."""
    labels = (np.arange(n) % 2).astype(np.uint8)
    images = np.random.default_rng(0).integers(0, 60, (n, 28, 28), dtype=np.uint8) + labels[:, None, None] * 150
    folder.mkdir(parents=True, exist_ok=True)
    header = struct.pack(">IIII", 0x803, n, 28, 28)
    (folder / f"{prefix}-images-idx3-ubyte").write_bytes(header + images.astype(np.uint8).tobytes())
    (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, n) + labels.tobytes())


def test_trials_need_no_test_files_and_the_final_evaluation_reads_them(
    tmp_path: Path, service_process: StartService
) -> None:
    raw = tmp_path / "data" / "MNIST" / "raw"
    write_idx(raw, "train", N_TRAIN)
    training = {"dataset": "mnist", "model": {"name": "mlp", "hidden": [8]}, "epochs": 2, "batch_size": 16}
    wanted = {"top_k": 2, "n_seeds": 2}
    flags = ("--data-dir", str(tmp_path / "data"), "--no-download", "--exit-when-idle", "1")
    study = {"name": "bright", "search_space": SPACE, "training": training, "n_trials": 3, "max_attempts": 1}
    with Client(service_process().url) as client:
        client.create_study(study)
        work(client, tmp_path, *flags)
        assert client.study("bright").trial_counts.FAIL == 0

        for name in ("images-idx3", "labels-idx1"):
            (raw / f"t10k-{name}-ubyte").write_bytes(b"poison")
        client.begin_final("bright", wanted)
        work(client, tmp_path, *flags)
        failed = client.final("bright")
        assert (failed.state, failed.test_said) == ("failed", None)
        assert failed.failure is not None
        assert "data set mnist cannot be read" in failed.failure
        assert [len(one.confirmed_values) for one in failed.candidates] == [2, 2]

        write_idx(raw, "t10k", N_TEST)
        client.begin_final("bright", wanted)
        work(client, tmp_path, *flags)
        final = client.final("bright")

    assert final.state == "complete", final.failure
    assert final.test_said is not None
    assert final.test_said.n_images == N_TEST
    assert final.test_said.accuracy > 0.9
    assert [one.state for one in final.earlier] == ["failed"]


def test_a_definition_that_asks_for_it_gets_an_honest_score(tmp_path: Path, service_process: StartService) -> None:
    training = {"dataset": "digits", "model": {"name": "mlp", "hidden": [32]}, "epochs": 5}
    study = {"name": "digits", "search_space": SPACE, "training": training, "n_trials": 4}
    service = service_process()
    with Client(service.url) as client:
        client.create_study({**study, "confirmation": {"top_k": 2, "n_seeds": 2}})
        work(client, tmp_path, "--study", "digits", "--exit-when-idle", "5")
        shown = run("final", "digits", "--server", service.url, environment=clean_environment(), cwd=tmp_path)
        final = client.final("digits")
        assert final.tested_trial is not None
        artifacts = [artifact.name for artifact in client.artifacts(final.linked_study, final.tested_trial)]

    assert shown.returncode == 0, shown
    assert final.requested_by == "confirmation"
    assert final.test_said is not None
    assert final.test_said.n_images == 359
    assert final.test_said.accuracy_low < final.test_said.accuracy < final.test_said.accuracy_high
    best = final.candidates[0]
    assert best.confirmed_mean is not None
    assert abs(final.test_said.accuracy - best.confirmed_mean) < 0.1
    assert f"Test accuracy {final.test_said.accuracy:.4g}" in shown.stdout
    assert "The test split was read once" in shown.stdout
    assert "model" in artifacts
