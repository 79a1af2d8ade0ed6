"""kill -9 at any instant: acknowledged artifacts are there and whole, and no file is there that nothing has."""

import os
import random
import time
from pathlib import Path
from threading import Thread

import pytest

from service.client import Client, ClientError
from service.client.retries import Retries
from service.schemas.protocol import Claim
from service.schemas.worker_info import WorkerInfo
from tests.conftest import StartService
from tests.integration.service_driver import definition
from tests.waiting import PATIENCE_SECONDS, until

pytestmark = pytest.mark.slow

ROUNDS = 5
LONGEST_SECONDS = 1.0
NAMES = ("model", "log", "checkpoint")


def content(step: int) -> bytes:
    """Of a step; from nothing to a megabyte."""
    return f"{step} ".encode() * (step * 7919 % 150_000)


class Uploader:
    """Uploads one file after another, by a few names, until the service is gone."""

    def __init__(self, server: str, lease_id: str) -> None:
        self._client = Client(server)
        self._lease_id = lease_id
        self._n_begun = 0
        self.acknowledged: dict[str, int] = {}
        """The last acknowledged step by name."""

    def run(self) -> None:
        try:
            while True:
                step = self._n_begun
                self._n_begun += 1
                name = NAMES[step % len(NAMES)]
                self._client.upload_artifact(self._lease_id, name, content(step), step=step)
                self.acknowledged[name] = step
        except ClientError:
            return


def check(client: Client, study: str, uploader: Uploader, folder: Path, copy: Path) -> None:
    found = client.artifacts(study, 0)
    assert {artifact.name for artifact in found} >= set(uploader.acknowledged), "an acknowledged artifact is lost"
    for artifact in found:
        assert artifact.step is not None
        assert artifact.step >= uploader.acknowledged.get(artifact.name, 0), "an acknowledged artifact is lost"
        client.download_artifact(study, 0, artifact.name, copy)
        assert copy.read_bytes() == content(artifact.step)
    until(lambda: len(list(folder.iterdir())) == len(found), "no file is there that nothing has")


def test_nothing_acknowledged_is_lost_and_nothing_is_left_over(
    service_process: StartService, tmp_path: Path, free_port: int
) -> None:
    seed = int(os.environ.get("NARROWS_TEST_SEED", time.time_ns() % 2**32))
    print(f"seed {seed}: set NARROWS_TEST_SEED to repeat it")
    numbers = random.Random(seed)
    flags = ("--port", str(free_port), "--lease-seconds", "600")
    service = service_process(*flags)
    client = Client(service.url)
    study = client.create_study(definition(n_trials=1)).name
    (lease,) = client.claim(Claim(claim_id="one", worker=WorkerInfo(id="w"), study=study)).leases
    uploader = Uploader(service.url, lease.lease_id)
    for _ in range(ROUNDS):
        thread = Thread(target=uploader.run)
        thread.start()
        time.sleep(numbers.uniform(0.0, LONGEST_SECONDS))
        service.kill()
        thread.join()
        service = service_process(*flags)
        Retries(PATIENCE_SECONDS)(client.health)
        check(client, study, uploader, tmp_path / "narrows-artifacts", tmp_path / "copy")
    print(f"{uploader.acknowledged} acknowledged in {ROUNDS} rounds")
    assert max(uploader.acknowledged.values()) > ROUNDS, "the load was a load"
    client.delete(study)
    until(lambda: list((tmp_path / "narrows-artifacts").iterdir()) == [], "all is removed")
    client.close()
