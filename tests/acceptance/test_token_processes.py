"""Tokens with real processes: the first one, a service that everyone can reach, a worker that may not work."""

import subprocess
from pathlib import Path

import httpx
import pytest

from tests.acceptance.processes import worker
from tests.commands import run
from tests.conftest import StartService, clean_environment
from tests.waiting import PATIENCE_SECONDS

REFUSED = (
    "narrows: listening on 0.0.0.0 needs an admin's token: set NARROWS_TOKEN, or listen on 127.0.0.1 and run "
    "'narrows token create --scope admin --name NAME'\n"
)


def command(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return run(*arguments, environment=clean_environment(**environment), cwd=cwd)


def test_the_first_token_closes_the_service_and_opens_it_to_others(
    service_process: StartService, tmp_path: Path, free_port: int
) -> None:
    everyone = ["serve", "--host", "0.0.0.0", "--port", str(free_port), "--database", f"sqlite:///{tmp_path / 'n.db'}"]
    refused = command(*everyone, cwd=tmp_path)
    assert (refused.returncode, refused.stdout, refused.stderr) == (1, "", REFUSED)

    service = service_process("--database", f"sqlite:///{tmp_path / 'n.db'}")
    local = {"NARROWS_SERVER": service.url}
    assert "'narrows token create --scope admin --name NAME' creates the first one" in service.tail()
    assert command("studies", cwd=tmp_path, **local).returncode == 0
    made = command("token", "create", "--scope", "admin", "--name", "root", cwd=tmp_path, **local)
    secret = made.stdout.strip()
    assert (made.returncode, len(made.stdout.splitlines())) == (0, 1)
    refused = command("studies", cwd=tmp_path, **local)
    assert refused.returncode == 1
    assert refused.stderr.startswith("narrows: a token is needed")
    shown = command("token", "list", cwd=tmp_path, NARROWS_TOKEN=secret, **local)
    assert "root" in shown.stdout
    assert secret not in shown.stdout + service.tail()
    service.stop()

    service = service_process("--host", "0.0.0.0", "--database", f"sqlite:///{tmp_path / 'n.db'}")
    local = {"NARROWS_SERVER": service.url.replace("0.0.0.0", "127.0.0.1")}
    assert command("studies", cwd=tmp_path, NARROWS_TOKEN=secret, **local).returncode == 0
    assert "creates the first one" not in service.tail()
    assert command("token", "revoke", "root", cwd=tmp_path, NARROWS_TOKEN=secret, **local).returncode == 0
    service.stop()

    assert command(*everyone, cwd=tmp_path).stderr == REFUSED, "a revoked token is none"


@pytest.mark.parametrize("path", ["/healthz", "/v1/studies", "/login", "/no"])
def test_no_answer_tells_what_serves_it(service_process: StartService, path: str) -> None:
    service = service_process(environment={"NARROWS_TOKEN": "right"})
    response = httpx.get(f"{service.url}{path}", trust_env=False, timeout=PATIENCE_SECONDS)
    assert "server" not in response.headers
    assert response.headers["x-content-type-options"] == "nosniff"


def test_a_worker_whose_token_may_not_work_ends_with_one_line(service_process: StartService, tmp_path: Path) -> None:
    service = service_process(environment={"NARROWS_TOKEN": "right"})
    local = {"NARROWS_SERVER": service.url}
    made = command("token", "create", "--scope", "submit", "--name", "me", cwd=tmp_path, NARROWS_TOKEN="right", **local)

    environment = clean_environment(NARROWS_TOKEN=made.stdout.strip(), **local)
    with worker("--processes", "1", environment=environment, cwd=tmp_path) as process:
        output, _ = process.communicate(timeout=PATIENCE_SECONDS)

    assert process.returncode == 1
    assert "Traceback" not in output
    [line] = [line for line in output.splitlines() if "ERROR" in line]
    assert line.endswith("POST /v1/claims needs a token with the scope work; me opens read, submit")
