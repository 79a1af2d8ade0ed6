"""docker-compose.yml, as far as a machine without Docker can prove it: what it says, and its commands run for real.

The commands, environments and health checks are the file's own. Only what containers give is put in by hand: the names
`postgres` and `service` become this machine, the port a free one, the volume a folder.
"""

import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from sqlalchemy import make_url

from narrows.cli.bound import bound
from narrows.cli.settings import SETTINGS
from tests.commands import NARROWS
from tests.conftest import ROOT, StartService, clean_environment
from tests.skipping import skip_or_fail
from tests.waiting import PATIENCE_SECONDS

FILE = (ROOT / "docker-compose.yml").read_text()
TOKEN = "0f1e2d3c4b5a6978"
VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?:(?P<rule>:[-?])(?P<text>[^}]*))?\}")
STUDY = {
    "name": "composed",
    "search_space": {"learning_rate": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True}},
    "training": {"dataset": "digits", "model": "mlp", "epochs": 2},
    "n_trials": 3,
}


def compose(**environment: str) -> dict[str, Any]:
    """The file with its variables put in, as Compose does. Raises KeyError for a missing one that it asks for."""

    def value(match: re.Match[str]) -> str:
        given = environment.get(match["name"])
        if given:
            return given
        if match["rule"] == ":-":
            return str(match["text"])
        raise KeyError(f"{match['name']}: {match['text']}")

    loaded: dict[str, Any] = yaml.safe_load(VARIABLE.sub(value, FILE))
    return loaded


SERVICES: dict[str, Any] = compose(NARROWS_TOKEN=TOKEN)["services"]


def seconds(text: str) -> float:
    assert text.endswith("s"), text
    return float(text[:-1])


def test_it_holds_a_database_a_service_a_worker_and_a_gpu_worker_on_demand() -> None:
    assert list(SERVICES) == ["postgres", "service", "worker", "worker-gpu"]
    assert {name: given["profiles"] for name, given in SERVICES.items() if "profiles" in given} == {
        "worker-gpu": ["gpu"]
    }
    assert SERVICES["worker-gpu"]["deploy"]["resources"]["reservations"]["devices"] == [
        {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}
    ]
    assert SERVICES["worker"]["environment"]["NARROWS_DEVICES"] == "cpu"
    assert "deploy" not in SERVICES["worker"]
    for name, given in SERVICES.items():
        assert given["restart"] == "unless-stopped", name
        assert seconds(given["stop_grace_period"]) >= 30, name


def test_it_asks_for_a_token() -> None:
    with pytest.raises(KeyError, match="NARROWS_TOKEN"):
        compose()


def test_only_the_service_is_published_and_on_loopback_unless_told_otherwise() -> None:
    published = {name: given["ports"] for name, given in SERVICES.items() if "ports" in given}
    assert published == {"service": ["127.0.0.1:8000:8000"]}
    elsewhere = compose(NARROWS_TOKEN=TOKEN, NARROWS_HOST="10.0.0.5", NARROWS_PORT="80")["services"]
    assert elsewhere["service"]["ports"] == ["10.0.0.5:80:8000"]


def test_everyone_waits_for_what_has_a_health_check() -> None:
    waits = {name: list(given["depends_on"]) for name, given in SERVICES.items() if "depends_on" in given}
    assert waits == {"service": ["postgres"], "worker": ["service"], "worker-gpu": ["service"]}
    for given in SERVICES.values():
        for name, rule in given.get("depends_on", {}).items():
            assert rule == {"condition": "service_healthy"}, name
            check = SERVICES[name]["healthcheck"]
            assert seconds(check["interval"]) * check["retries"] >= 60, name


def test_data_outlives_the_containers() -> None:
    volumes = {name: given["volumes"] for name, given in SERVICES.items() if "volumes" in given}
    assert volumes == {
        "postgres": ["database:/var/lib/postgresql/data"],
        "service": ["artifacts:/artifacts"],
        "worker": ["data:/data"],
        "worker-gpu": ["data:/data"],
    }
    assert list(compose(NARROWS_TOKEN=TOKEN)["volumes"]) == ["database", "artifacts", "data"]
    own = compose(NARROWS_TOKEN=TOKEN, NARROWS_DATA_DIR="./sets")["services"]["worker"]
    assert own["volumes"] == ["./sets:/data"]
    assert own["environment"]["NARROWS_DATA_DIR"] == "/data"


def test_every_variable_is_a_setting_of_its_command() -> None:
    known = {setting.environment: setting for setting in SETTINGS}
    for name in set(re.findall(r"NARROWS_\w+", FILE)):
        assert name in known, name
    for name, given in SERVICES.items():
        if name == "postgres":
            continue
        program, command, *flags = shlex.split(given["command"])
        assert program == "narrows"
        for variable in given["environment"]:
            assert command in known[variable].commands, (name, variable)
        for flag in flags[::2]:
            assert flag in {setting.flag for setting in SETTINGS if command in setting.commands}, flag


def test_the_image_is_built_from_what_the_repository_holds() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    ours = {name: given for name, given in SERVICES.items() if name != "postgres"}
    assert {(given["image"], given["build"]) for given in ours.values()} == {("narrows", ".")}
    kept = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().split() if line.startswith("!")}
    copied = {word for line in re.findall(r"^COPY (.*) \S+$", dockerfile, re.MULTILINE) for word in line.split()}
    assert copied == kept
    assert [name for name in sorted(copied) if not (ROOT / name).exists()] == []
    assert "\nUSER narrows\n" in dockerfile
    assert all("--no-deps" in line or "-c constraints.txt" in line for line in re.findall(r"pip install.*", dockerfile))
    [extras] = re.findall(r"^ARG EXTRAS=(\S+)$", dockerfile, re.MULTILINE)
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(extras.split(",")) == {"worker", "postgres", "s3"} <= set(known)


@pytest.fixture
def local(postgres_url: str, free_port: int, tmp_path: Path) -> Mapping[str, Any]:
    """The file's services, with this machine in the place of the containers' network and volumes."""
    database = make_url(postgres_url).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
    places = {
        "postgresql+psycopg://narrows:narrows@postgres:5432/narrows": database,
        "http://service:": "http://127.0.0.1:",
        "8000": str(free_port),
        "/data": str(tmp_path / "data"),
        "/artifacts": str(tmp_path / "artifacts"),
    }
    text = yaml.safe_dump({name: given for name, given in SERVICES.items() if name != "postgres"})
    for theirs, ours in places.items():
        assert theirs in text, theirs
        text = text.replace(theirs, ours)
    services: Mapping[str, Any] = yaml.safe_load(text)
    return services


def is_healthy(service: Mapping[str, Any]) -> bool:
    kind, program, *arguments = service["healthcheck"]["test"]
    assert (kind, program) == ("CMD", "python")
    checked = subprocess.run(
        [sys.executable, *arguments],
        timeout=seconds(service["healthcheck"]["timeout"]),
        capture_output=True,
        check=False,
    )
    return checked.returncode == 0


@pytest.fixture
def running_worker(local: Mapping[str, Any], tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    program, *arguments = shlex.split(local["worker"]["command"])
    assert program == "narrows"
    with (tmp_path / "worker.log").open("wb") as log:
        worker = subprocess.Popen(
            bound([NARROWS, *arguments]),
            env=clean_environment(**local["worker"]["environment"]),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=tmp_path,
        )
    yield worker
    worker.kill()
    worker.wait()


def test_its_commands_train_a_study_on_postgresql_and_end_cleanly(
    local: Mapping[str, Any], service_process: StartService, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    assert not is_healthy(local["service"]), "nothing runs yet"
    _, _, *flags = shlex.split(local["service"]["command"])
    service = service_process(*flags, environment=local["service"]["environment"])
    assert is_healthy(local["service"])

    server = local["worker"]["environment"]["NARROWS_SERVER"]
    assert httpx.get(f"{server}/v1/studies", trust_env=False, timeout=PATIENCE_SECONDS).status_code == 401
    worker: subprocess.Popen[bytes] = request.getfixturevalue("running_worker")
    with httpx.Client(
        base_url=server, headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False, timeout=PATIENCE_SECONDS
    ) as http:
        assert http.post("/v1/studies", json=STUDY).status_code == 201
        study = await_end(http, worker, tmp_path / "worker.log")
    assert study["trial_counts"]["COMPLETE"] + study["trial_counts"]["PRUNED"] == STUDY["n_trials"]
    assert study["best"]["values"][0] > 0.2  # of ten classes: it did learn

    worker.send_signal(signal.SIGTERM)
    assert worker.wait(seconds(local["worker"]["stop_grace_period"])) == 0, (tmp_path / "worker.log").read_text()
    assert (tmp_path / "artifacts").is_dir()
    assert service.stop() == 0


def await_end(http: httpx.Client, worker: subprocess.Popen[bytes], log: Path) -> dict[str, Any]:
    """The study when it is finished, asked for twice a second."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        study: dict[str, Any] = http.get(f"/v1/studies/{STUDY['name']}").raise_for_status().json()
        if study["state"] == "finished":
            return study
        assert worker.poll() is None, f"the worker ended:\n{log.read_text()}"
        time.sleep(0.5)
    raise AssertionError(f"not finished within {PATIENCE_SECONDS:g} seconds:\n{log.read_text()}")


def test_the_databases_health_check_passes_on_a_running_postgresql(postgres_url: str) -> None:
    kind, *command = SERVICES["postgres"]["healthcheck"]["test"]
    assert kind == "CMD"
    if shutil.which(command[0]) is None:
        skip_or_fail(f"NO {command[0].upper()}: install postgresql-client", "NARROWS_REQUIRE_POSTGRES")
    server = make_url(postgres_url)
    here = {"127.0.0.1": server.host or "127.0.0.1"}
    port = ["-p", str(server.port or 5432)]
    assert subprocess.run([here.get(word, word) for word in command] + port, check=False).returncode == 0
    nowhere = subprocess.run([*command, "-p", "1"], check=False, capture_output=True)
    assert nowhere.returncode != 0
