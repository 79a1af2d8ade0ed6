"""The whole service stands still for longer than a lease, as a frozen virtual machine does, and no trial is lost."""

import signal
import time

import pytest

from service.client import Client
from service.schemas.protocol import Claim, Report, Reports
from service.schemas.worker_info import WorkerInfo
from tests.conftest import StartService
from tests.integration.service_driver import definition
from tests.waiting import until

pytestmark = pytest.mark.slow

TERM_SECONDS = 3.0
N_WORKERS = 5


def test_the_leases_of_a_stopped_service_go_on(sqlite_url: str, service_process: StartService) -> None:
    service = service_process("--database", sqlite_url, "--lease-seconds", str(TERM_SECONDS))
    with Client(service.url) as client:
        client.create_study(definition(name="s", n_trials=N_WORKERS))
        leases = [
            client.claim(Claim(claim_id=f"c{number}", worker=WorkerInfo(id=f"w{number}"), study="s")).leases[0]
            for number in range(N_WORKERS)
        ]
        service.process.send_signal(signal.SIGSTOP)
        time.sleep(2 * TERM_SECONDS)
        service.process.send_signal(signal.SIGCONT)
        until(lambda: "the service stood still for" in service.log.read_text(), "the service has noticed it")

        reports = [Report(lease_id=lease.lease_id, step=0, metrics={"validation_accuracy": 0.5}) for lease in leases]
        decisions = [one.decision for one in client.report(Reports(reports=reports)).decisions]

    assert decisions == ["continue"] * N_WORKERS
