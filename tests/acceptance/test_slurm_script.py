"""The job script of docs/on-slurm.md with a real service, in an environment as Slurm makes it."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from narrows.cli.bound import bound
from tests.acceptance.user_code_service import UserCodeService, open_service
from tests.commands import NARROWS
from tests.conftest import clean_environment
from tests.docs.test_clusters import SCRIPTS
from tests.waiting import PATIENCE_SECONDS, until


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UserCodeService]:
    with open_service(tmp_path_factory.mktemp("service")) as service:
        yield service


def is_training(service: UserCodeService, study: str) -> bool:
    return any((trial.step or 0) > 1 for trial in service.client.trials(study, state="RUNNING"))


def test_sigterm_to_the_job_gives_its_trials_back(service: UserCodeService, tmp_path: Path) -> None:
    definition = {
        "name": "long",
        "search_space": {"learning_rate": {"type": "float", "low": 0.001, "high": 0.1, "log": True}},
        "training": {"dataset": "digits", "model": {"name": "mlp", "hidden": [16]}, "epochs": 100_000},
        "n_trials": 4,
        "pruner": "none",
    }
    service.client.create_study(definition)
    token, script, log = tmp_path / "token", tmp_path / "cpu.sh", tmp_path / "job.log"
    token.write_text(f"{service.work_token}\n")
    script.write_text(SCRIPTS["cpu.sh"])
    slurm = {"SLURM_JOB_ID": "1", "SLURM_ARRAY_JOB_ID": "1", "SLURM_ARRAY_TASK_ID": "1", "SLURM_CPUS_PER_TASK": "1"}
    path = f"{Path(NARROWS).parent}:{os.environ['PATH']}"
    given = {"NARROWS_SERVER": service.url, "NARROWS_TOKEN_FILE": str(token), "NARROWS_DATA_DIR": str(tmp_path)}
    environment = clean_environment(**slurm, **given, PATH=path)
    with log.open("wb") as output:
        job = subprocess.Popen(
            bound(["/bin/bash", str(script)]), stdout=output, stderr=output, env=environment, start_new_session=True
        )
    try:
        until(lambda: is_training(service, "long"), "a trial is in training")
        job.send_signal(signal.SIGTERM)
        assert job.wait(PATIENCE_SECONDS) == 0, log.read_text()
    finally:
        job.kill()

    trials = list(service.client.trials("long"))
    assert {trial.state for trial in trials} == {"WAITING"}
    (first, *_) = trials
    assert [attempt.outcome for attempt in first.attempts] == ["release"]
    assert [artifact.name for artifact in service.client.artifacts("long", first.number)] == ["checkpoint"]


def test_a_job_without_the_services_address_says_so(tmp_path: Path) -> None:
    script = tmp_path / "gpu.sh"
    script.write_text(SCRIPTS["gpu.sh"])
    run = subprocess.run(["bash", str(script)], capture_output=True, text=True, env=clean_environment())
    assert run.returncode != 0
    assert "NARROWS_SERVER: URL of the service" in run.stderr
