"""The database refuses what a service writes: the service says so where operators look, and acknowledges nothing."""

import resource
from pathlib import Path

import httpx
import psycopg

from service.client import Client
from tests.acceptance.postgres_cluster import PostgresCluster
from tests.conftest import ServiceProcess, StartService
from tests.integration.service_driver import definition, problem_of
from tests.waiting import PATIENCE_SECONDS, until

LIMITED = "limited"


def readiness(service: ServiceProcess) -> httpx.Response:
    return httpx.get(f"{service.url}/readyz", trust_env=False, timeout=PATIENCE_SECONDS)


def create(service: ServiceProcess, name: str) -> httpx.Response:
    wanted = definition(name=name)
    return httpx.post(f"{service.url}/v1/studies", json=wanted, trust_env=False, timeout=PATIENCE_SECONDS)


def studies(service: ServiceProcess) -> list[str]:
    with Client(service.url) as client:
        return [study.name for study in client.studies()]


def test_a_permission_that_is_taken_away_is_told_and_mended_by_a_restart(
    cluster: PostgresCluster, service_process: StartService
) -> None:
    with psycopg.connect(cluster.url, autocommit=True) as administrator:
        administrator.execute(f"CREATE ROLE {LIMITED} LOGIN")
        administrator.execute(f"GRANT CREATE ON SCHEMA public TO {LIMITED}")
        url = cluster.url.replace("postgres@", f"{LIMITED}@")
        service = service_process("--database", url)
        assert create(service, "kept").status_code == 201
        assert readiness(service).status_code == 200
        administrator.execute(f"REVOKE INSERT ON studies FROM {LIMITED}")

        refused = problem_of(create(service, "refused"), 503)
        assert "permission denied for table studies; restart the service" in refused["detail"]
        assert problem_of(create(service, "refused-too"), 503)["detail"] == refused["detail"]
        assert problem_of(readiness(service), 503)["detail"] == refused["detail"]
        (line,) = [line for line in service.log.read_text().splitlines() if "CRITICAL" in line]
        assert line.endswith(f"{refused['detail']}; until then nothing is acknowledged")
        assert service.process.poll() is None

        administrator.execute(f"GRANT INSERT ON studies TO {LIMITED}")
        assert problem_of(readiness(service), 503)["detail"] == refused["detail"]
        service.stop()
        again = service_process("--database", url)
        assert readiness(again).status_code == 200
        assert studies(again) == ["kept"]
        assert create(again, "refused").status_code == 201


def test_a_full_disk_is_told_and_mended_by_room(service_process: StartService, tmp_path: Path) -> None:
    service = service_process()
    assert create(service, "kept").status_code == 201
    room = (tmp_path / "narrows.db-wal").stat().st_size
    assert room > service.log.stat().st_size * 2, "the log itself has room"
    _, most = resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (room, most))

    refused = problem_of(create(service, "waits"), 503)
    print(refused["detail"])
    assert refused["detail"].endswith("; what was written waits for it")
    assert "the database has not answered for" in problem_of(readiness(service), 503)["detail"]
    assert "the database does not answer, its writes wait: " in service.log.read_text()

    resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (most, most))
    until(lambda: readiness(service).status_code == 200, "the database has room again")
    assert create(service, "waits").status_code == 200, "it was written when there was room"
    assert studies(service) == ["kept", "waits"]
