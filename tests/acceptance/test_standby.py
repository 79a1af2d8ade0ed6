"""One service at a time has a database: a second one says so and ends, or stands by and takes over."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.client import Client
from service.schemas.protocol import Claim, Lease
from service.schemas.worker_info import WorkerInfo
from tests.acceptance.postgres_cluster import PostgresCluster
from tests.acceptance.service_checks import check_kept
from tests.acceptance.service_load import ServiceLoad
from tests.commands import run
from tests.conftest import ServiceProcess, StartService, clean_environment
from tests.integration.service_driver import definition
from tests.waiting import PATIENCE_SECONDS, until

TERM_SECONDS = 60.0
SPENT_SECONDS = 5.0
STANDING_BY = "; standing by"


@pytest.fixture
def first(service_process: StartService, database_url: str) -> ServiceProcess:
    return service_process("--database", database_url, "--lease-seconds", str(TERM_SECONDS))


@pytest.fixture
def load(first: ServiceProcess) -> Iterator[ServiceLoad]:
    with ServiceLoad(first.url, seed=0, n_threads=2, pause_seconds=0.01) as load:
        yield load


def port_of(service: ServiceProcess) -> str:
    return service.url.rsplit(":", 1)[1]


def claim(client: Client) -> Lease:
    """The same lease however often it is asked for."""
    claim = Claim(claim_id="mine", worker=WorkerInfo(id="me"), study="mine", wait_seconds=20.0)
    (lease,) = client.claim(claim).leases
    return lease


def stand_by(start: StartService, database_url: str, port: str) -> ServiceProcess:
    flags = ("--database", database_url, "--lease-seconds", str(TERM_SECONDS), "--standby", "--port", port)
    standby = start(*flags, ready=False)
    await_line(standby, 1)
    return standby


def await_line(standby: ServiceProcess, number: int) -> None:
    """Wait until it has said so often why it stands by."""
    until(lambda: standby.log.read_text().count(STANDING_BY) >= number, f"it stands by: {number}")


def test_a_second_service_ends_with_one_line(first: ServiceProcess, database_url: str, tmp_path: Path) -> None:
    arguments = ("serve", "--port", "0", "--database", database_url)
    second = run(*arguments, environment=clean_environment(), cwd=tmp_path)
    assert second.returncode == 1
    assert second.stdout == ""
    (line,) = second.stderr.splitlines()
    assert line.startswith("narrows: another service has the database ")
    if database_url.startswith("sqlite"):
        assert line.endswith(f"narrows.db (process {first.process.pid})")


@pytest.mark.covering(1)
@pytest.mark.parametrize("same_port", [True, False])
def test_a_standby_takes_over_from_a_killed_service_with_all_it_acknowledged(
    first: ServiceProcess, load: ServiceLoad, service_process: StartService, database_url: str, same_port: bool
) -> None:
    load.client.create_study(definition(name="mine", n_trials=1))
    lease = claim(load.client)
    standby = stand_by(service_process, database_url, port_of(first) if same_port else "0")
    until(lambda: claim(load.client).expires_in_seconds < TERM_SECONDS - SPENT_SECONDS, "the lease's term runs")
    left_seconds, seen_at = claim(load.client).expires_in_seconds, time.monotonic()

    first.kill()
    killed_at = time.monotonic()
    standby.await_ready()
    print(f"ready {time.monotonic() - killed_at:.2f} s after the kill")
    load.move(standby.url)

    again = claim(load.client)
    assert (again.lease_id, again.params) == (lease.lease_id, lease.params)
    assert again.expires_in_seconds > left_seconds - (time.monotonic() - seen_at) + 1.0, "a fresh term"
    load.finish(PATIENCE_SECONDS)
    n_acknowledged = load.ledger.n_acknowledged
    assert n_acknowledged > 20, "the load was a load"
    standby.kill()
    check_kept(database_url, load)
    assert service_process("--database", database_url).stop() == 0, "a killed service is no obstacle"


def test_a_standby_ends_when_it_is_told_to(
    first: ServiceProcess, service_process: StartService, database_url: str
) -> None:
    standby = stand_by(service_process, database_url, "0")
    assert standby.stop() == 0
    assert "Traceback" not in standby.log.read_text()


def test_a_standby_leaves_a_database_that_restarted_to_the_service_that_has_it(
    cluster: PostgresCluster, service_process: StartService
) -> None:
    first = service_process("--database", cluster.url)
    standby = stand_by(service_process, cluster.url, "0")
    cluster.stop()
    await_line(standby, 2)
    cluster.start()
    await_line(standby, 3)
    reasons = [line for line in standby.log.read_text().splitlines() if STANDING_BY in line]
    assert ["another service has" in reason for reason in reasons] == [True, False, True]
    with Client(first.url) as client:
        client.health()
        client.create_study(definition(name="kept"))
    first.kill()
    standby.await_ready()
    with Client(standby.url) as client:
        assert [study.name for study in client.studies()] == ["kept"]
