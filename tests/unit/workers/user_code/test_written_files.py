from pathlib import Path

import pytest

from service.client.retries import Retries
from tests.unit.workers.user_code.objectives.runner_harness import RunnerHarness, lease_of
from workers.leases.model_uploader import ModelUploader
from workers.leases.study_facts import StudyFactsCache
from workers.user_code.written_files import model_reader

pytestmark = pytest.mark.processes

MODEL = "path = context._start['model_path']\n"


def test_a_model_is_uploaded(runner: RunnerHarness) -> None:
    assert runner.run(f"{MODEL}open(path, 'w').write('weights')\nreturn 1.0") is None
    assert "artifacts/lease-0/model" in runner.service.paths()


@pytest.mark.parametrize(
    "made",
    [
        "os.symlink(__file__, path)",
        "os.mkfifo(path)",
        "os.mkdir(path)",
        "open(path, 'w').truncate(2**30 + 1)",
    ],
    ids=["link", "pipe", "folder", "too large"],
)
def test_a_model_that_is_no_plain_file_of_moderate_size_is_not_read(
    runner: RunnerHarness, made: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert runner.run(f"{MODEL}{made}\nreturn 1.0") is None
    assert len(runner.bodies("complete")) == 1
    assert "artifacts/lease-0/model" not in runner.service.paths()
    assert "a model must" in caplog.text


def test_a_model_that_will_not_be_saved_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"first")
    content = model_reader(path, "s #0")
    path.write_bytes(b"second")
    assert content is not None
    assert content() == b"second", "it is read when it is asked for"


def test_a_model_that_is_removed_meanwhile_does_no_harm(runner: RunnerHarness) -> None:
    retries, lease = Retries(1.0), lease_of({"entrypoint": "mine:f"})
    model_uploader = ModelUploader(runner.client, StudyFactsCache(runner.client, retries), "all", retries)
    path = runner.scratch / "model"
    path.write_bytes(b"weights")
    content = model_reader(path, "s #0")
    assert content is not None
    path.unlink()
    path.symlink_to(runner.code)
    model_uploader.upload_if_wanted(lease, {}, content)
    assert runner.service.paths() == []
