"""Stock Optuna and a stock dashboard read the database of a service at work, and write to it when it has stopped."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState

from narrows.cli.bound import bound
from service.client import Client
from service.schemas.protocol import Claim, Complete
from service.schemas.worker_info import WorkerInfo
from tests.acceptance.service_checks import Seen, check_seen, check_spent, read_by, read_from, stock_storage, stock_url
from tests.acceptance.service_load import METRIC, Ledger, ServiceLoad, Snapshot
from tests.conftest import ROOT, StartService, clean_environment, free_tcp_port
from tests.integration.service_driver import definition
from tests.waiting import PATIENCE_SECONDS, until

DASHBOARD = str(Path(sys.executable).with_name("optuna-dashboard"))
N_READS = 8
RATE = FloatDistribution(1e-5, 0.1, log=True)


class Reader:
    """The process of `tests.acceptance.stock_reader`."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._ask, self._answer = process.stdin, process.stdout

    def read(self) -> dict[str, list[Seen]]:
        self._ask.write("\n")
        self._ask.flush()
        found = json.loads(self._answer.readline())
        return {name: [_seen(*trial) for trial in trials] for name, trials in found.items()}


def _seen(number: int, state: str, params: dict[str, Any], values: list[float] | None, reports: Any) -> Seen:
    """A trial that came as JSON, where reports are a list of steps and values."""
    return Seen(number, state, params, values, dict(reports))


@contextmanager
def running(command: list[str], log: Path, **options: Any) -> Iterator["subprocess.Popen[str]"]:
    environment = clean_environment(PYTHONPATH=str(ROOT))
    with (
        log.open("w") as stderr,
        subprocess.Popen(bound(command), stderr=stderr, env=environment, text=True, **options) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def reader(database_url: str, tmp_path: Path) -> Iterator[Reader]:
    command = [sys.executable, "-m", "tests.acceptance.stock_reader", stock_url(database_url)]
    with running(command, tmp_path / "reader.log", stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield Reader(process)


class Dashboard:
    """A stock `optuna-dashboard`, by its own HTTP API."""

    def __init__(self, port: int) -> None:
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{port}/api", trust_env=False, timeout=PATIENCE_SECONDS)

    def close(self) -> None:
        self._http.close()

    def is_up(self) -> bool:
        try:
            return self._http.get("/studies").is_success
        except httpx.TransportError:
            return False

    def read(self) -> dict[str, list[Seen]]:
        studies = self._http.get("/studies").raise_for_status().json()["study_summaries"]
        return {study["study_name"]: self._trials(study["study_id"]) for study in studies}

    def _trials(self, study_id: int) -> list[Seen]:
        trials = self._http.get(f"/studies/{study_id}", params={"after": 0}).raise_for_status().json()["trials"]
        return [
            Seen(
                trial["number"],
                trial["state"].upper(),
                {param["name"]: param["param_internal_value"] for param in trial["params"]},
                trial["values"] if trial["state"] == "Complete" else None,
                {item["step"]: item["value"] for item in trial["intermediate_values"]},
            )
            for trial in trials
        ]


@pytest.fixture
def dashboard(database_url: str, tmp_path: Path) -> Iterator[Dashboard]:
    """Starts when it is asked for, as the database must be there."""
    port = free_tcp_port()
    command = [DASHBOARD, stock_url(database_url), "--host", "127.0.0.1", "--port", str(port), "--server", "wsgiref"]
    with running(command, tmp_path / "dashboard.log"):
        dashboard = Dashboard(port)
        until(dashboard.is_up, "the dashboard answers")
        yield dashboard
        dashboard.close()


def shows(dashboard: Dashboard, ledger: Ledger, known: Snapshot) -> bool:
    """Whether the dashboard, which keeps what it has read for some seconds, has come to know all that was known."""
    try:
        check_seen(dashboard.read(), ledger.still_true(known))
    except AssertionError:
        return False
    return True


def test_stock_programs_see_everything_that_was_acknowledged(
    service_process: StartService, database_url: str, request: pytest.FixtureRequest
) -> None:
    service = service_process("--database", database_url, "--lease-seconds", "600")
    reader: Reader = request.getfixturevalue("reader")
    dashboard: Dashboard = request.getfixturevalue("dashboard")

    with ServiceLoad(service.url, 0, n_threads=2, pause_seconds=0.005, n_trials=(40, 60), deletes=False) as load:
        for _ in range(N_READS):
            known = load.ledger.snapshot()
            check_seen(reader.read(), load.ledger.still_true(known))
        until(lambda: shows(dashboard, load.ledger, known), "the dashboard shows it")
        load.finish(PATIENCE_SECONDS)
        print(f"{len(known.leases)} trials seen at work, {load.ledger.n_acknowledged} acknowledged writes in the end")
        assert known.leases
        told = read_by(load.client)
        assert service.stop() == 0
        check_spent(database_url, load)
    assert told == reader.read() == read_from(database_url)
    until(lambda: dashboard.read() == told, "the dashboard shows the same")


class Worker:
    """Claims and completes trials of the study `shared`, one call each."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._n_claims = 0

    def work(self) -> tuple[int, dict[str, Any]] | None:
        self._n_claims += 1
        claim = Claim(
            claim_id=f"{id(self)}-{self._n_claims}", worker=WorkerInfo(id="w"), study="shared", wait_seconds=2
        )
        leases = self.client.claim(claim).leases
        if not leases:
            return None
        self.client.complete(leases[0].lease_id, Complete(metrics={METRIC: 0.5}))
        return leases[0].trial_number, dict(leases[0].params)


def test_what_stock_optuna_writes_after_a_clean_stop_is_taken_up_at_the_next_start(
    service_process: StartService, database_url: str
) -> None:
    service = service_process("--database", database_url)
    with Client(service.url) as client:
        client.create_study(definition(name="shared", n_trials=5))
        assert Worker(client).work() is not None
    assert service.stop() == 0

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with stock_storage(database_url) as storage:
        study = optuna.load_study(storage=storage, study_name="shared")
        theirs = study.ask({"learning_rate": RATE})
        theirs.report(0.75, 0)
        study.tell(theirs, 0.875)
        left = study.ask({"learning_rate": RATE})
        study.enqueue_trial({"learning_rate": 0.01})
        other = optuna.create_study(storage=storage, study_name="theirs")
        other.add_trial(optuna.create_trial(value=1.0))

    service = service_process("--database", database_url)
    with Client(service.url) as client:
        trials = list(client.trials("shared"))
        assert [(trial.state, trial.values) for trial in trials] == [
            ("COMPLETE", [0.5]),
            ("COMPLETE", [0.875]),
            ("WAITING", None),
            ("WAITING", None),
        ]
        assert trials[1].params == theirs.params
        assert client.curves("shared", 1).metrics == {METRIC: [0.75]}
        best = client.study("shared").best
        assert best is not None
        assert best.number == 1
        worker = Worker(client)
        worked = dict(filter(None, (worker.work() for _ in range(4))))
        assert worked.keys() == {2, 3, 4}, "what was left and what was enqueued, and one more: the budget is 5"
        assert worked[2] == left.params
        assert worked[3] == {"learning_rate": 0.01}
        assert client.study("shared").state == "finished"
        shown = httpx.get(f"{service.url}/api/studies", trust_env=False, timeout=PATIENCE_SECONDS).json()[
            "study_summaries"
        ]
        assert {summary["study_name"] for summary in shown} == {"shared", "theirs"}
    assert service.stop() == 0
    found = read_from(database_url)
    assert [trial.state for trial in found["shared"]] == [TrialState.COMPLETE.name] * 5
    assert [trial.values for trial in found["theirs"]] == [[1.0]]
