"""`narrows demo`, as a user runs it."""

import os
import re
import shlex
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from narrows.cli.local_service import READY
from service.client import Client
from tests.acceptance.processes import Marked, narrows
from tests.conftest import clean_environment
from tests.waiting import PATIENCE_SECONDS, until

SMALL = """
name: small
search_space:
  learning_rate: {type: float, low: 1e-3, high: 1e-2, log: true}
training: {dataset: digits, model: {name: mlp, hidden: [16]}, epochs: EPOCHS}
pruner: none
n_trials: 3
"""


@pytest.fixture
def environment(marked: Marked, free_port: int) -> dict[str, str]:
    return clean_environment(**marked.environment, NARROWS_PORT=str(free_port), NARROWS_PROCESSES="2")


def definition(folder: Path, epochs: int) -> str:
    file = folder / "small.yaml"
    file.write_text(SMALL.replace("EPOCHS", str(epochs)))
    return str(file)


def run(folder: Path, environment: dict[str, str], *arguments: str) -> tuple[int, str]:
    with narrows("demo", *arguments, environment=environment, cwd=folder) as demo:
        output, _ = demo.communicate(timeout=PATIENCE_SECONDS)
    return demo.returncode, output


@pytest.mark.parametrize("n_runs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_the_demo_runs_a_study_shows_the_best_trials_and_the_test_score_and_leaves_nothing_behind(
    environment: dict[str, str], tmp_path: Path, n_runs: int
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    own = {"TMPDIR": str(temporary), "NARROWS_DATABASE": "sqlite:///users.db", "NARROWS_ARTIFACTS": "users-artifacts"}
    file = definition(tmp_path, 3)
    for _ in range(n_runs):
        status, output = run(tmp_path, environment | own, file)
        assert status == 0, output
        assert "small, 3 trials, from small.yaml" in output
        assert f"http://127.0.0.1:{environment['NARROWS_PORT']}/studies/small" in output
        assert "small is finished" in output
        assert "The best trials" in output
        assert re.search(r"The workers' time: training \d+%, .*, start \d+%, .* of lanes empty", output)
        assert "The winner is trial " in output
        assert "accuracy 0." in output
        assert "--keep DIR" in output
        assert re.search(r"^  \S*narrows submit small.yaml --watch$", output, re.MULTILINE)
        assert [path.name for path in tmp_path.iterdir() if path != temporary] == ["small.yaml"]
        assert list(temporary.glob("narrows-demo-*")) == []


def test_a_kept_demo_can_be_served_by_the_command_that_it_prints(environment: dict[str, str], tmp_path: Path) -> None:
    status, output = run(tmp_path, environment, definition(tmp_path, 3), "--keep", "my demo")
    assert status == 0, output
    assert "kept in my demo" in output
    folder = tmp_path / "my demo"
    assert {"narrows.db", "narrows-artifacts", "logs"} <= {path.name for path in folder.iterdir()}
    assert READY in (folder / "logs/service.log").read_text()
    with closing(sqlite3.connect(folder / "narrows.db")) as database:
        assert database.execute("SELECT count(*) FROM trials").fetchone() == (3 + 3 * 3 + 1,)

    (line,) = [line for line in output.splitlines() if " serve --database " in line]
    _, *serve = shlex.split(line)
    with narrows(*serve, environment=environment, cwd=tmp_path) as service:
        assert service.stdout is not None
        url = next(line.removeprefix(READY).strip() for line in service.stdout if line.startswith(READY))
        with Client(url) as client:
            assert client.study("small").state == "finished"
            assert "model" in [one.name for one in client.artifacts("small", client.best("small", 1)[0].number)]

    status, output = run(tmp_path, environment, "small.yaml", "--keep", "my demo")
    assert (status, output) == (1, "narrows: --keep takes a new folder: my demo already has a narrows.db\n")


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_signal_to_the_terminals_process_group_ends_everything(
    environment: dict[str, str], tmp_path: Path, marked: Marked, number: signal.Signals
) -> None:
    with narrows("demo", definition(tmp_path, 5000), environment=environment, cwd=tmp_path) as demo:
        until(lambda: len(marked.workers()) == 2, "two workers run")
        os.killpg(demo.pid, number)
        output, _ = demo.communicate(timeout=PATIENCE_SECONDS)
    assert demo.returncode == 128 + number
    assert "Traceback" not in output


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux tells a parent's death")
def test_a_killed_demo_takes_its_service_and_workers_along(
    environment: dict[str, str], tmp_path: Path, marked: Marked
) -> None:
    with narrows("demo", definition(tmp_path, 5000), environment=environment, cwd=tmp_path) as demo:
        until(lambda: len(marked.workers()) == 2, "two workers run")
        demo.kill()
        until(lambda: marked.pids() == [], "all processes have ended")


def test_a_service_that_dies_is_told_with_the_end_of_its_log(
    environment: dict[str, str], tmp_path: Path, marked: Marked
) -> None:
    with narrows("demo", definition(tmp_path, 5000), environment=environment, cwd=tmp_path) as demo:
        until(lambda: len(marked.workers()) == 2, "two workers run")
        os.kill(marked.pids("narrows.cli.main serve")[0], signal.SIGKILL)
        output, _ = demo.communicate(timeout=PATIENCE_SECONDS)
    assert demo.returncode == 1
    assert "`narrows serve` ended with status -9; the end of service.log:" in output
    assert "Narrows is ready at" in output


def test_a_wrong_definition_is_told_field_by_field(environment: dict[str, str], tmp_path: Path) -> None:
    with narrows("demo", definition(tmp_path, 0), environment=environment, cwd=tmp_path) as demo:
        output, _ = demo.communicate(timeout=PATIENCE_SECONDS)
    assert demo.returncode == 1
    assert output.splitlines()[-1].startswith("narrows: training.epochs: ")
