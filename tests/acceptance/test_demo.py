"""`narrows demo`, as a user runs it."""

import os
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.processes import Marked, narrows, until
from tests.conftest import clean_environment

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


def test_the_demo_runs_a_study_shows_the_best_trials_and_the_test_score_and_leaves_nothing_running(
    environment: dict[str, str], tmp_path: Path
) -> None:
    for name in ("small", "small-2"):  # the second time finds the name taken
        with narrows("demo", definition(tmp_path, 3), environment=environment, cwd=tmp_path) as demo:
            output, _ = demo.communicate(timeout=90)
        assert demo.returncode == 0, output
        assert f"{name}, 3 trials, from " in output
        assert f"http://127.0.0.1:{environment['NARROWS_PORT']}/dashboard" in output
        assert f"{name} is finished" in output
        assert "The best trials" in output
        assert "The winner is trial " in output
        assert "Test said accuracy 0." in output
        assert "the test split was looked at once" in output
    with closing(sqlite3.connect(tmp_path / "narrows.db")) as database:
        assert database.execute("SELECT count(*) FROM trials").fetchone() == (2 * (3 + 3 * 3 + 1),)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_terminals_process_group_ends_everything(
    environment: dict[str, str], tmp_path: Path, marked: Marked, number: signal.Signals
) -> None:
    with narrows("demo", definition(tmp_path, 5000), environment=environment, cwd=tmp_path) as demo:
        until(lambda: len(marked.pids("--device=cpu")) == 2, 60, "two workers run")
        os.killpg(demo.pid, number)
        output, _ = demo.communicate(timeout=40)
    assert demo.returncode == 128 + number
    assert "Traceback" not in output


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux tells a parent's death")
def test_a_killed_demo_takes_its_service_and_workers_along(
    environment: dict[str, str], tmp_path: Path, marked: Marked
) -> None:
    with narrows("demo", definition(tmp_path, 5000), environment=environment, cwd=tmp_path) as demo:
        until(lambda: len(marked.pids("--device=cpu")) == 2, 60, "two workers run")
        demo.kill()
        until(lambda: marked.pids() == [], 60, "all processes have ended")


def test_a_service_that_dies_is_told_with_the_end_of_its_log(
    environment: dict[str, str], tmp_path: Path, marked: Marked
) -> None:
    with narrows("demo", definition(tmp_path, 5000), environment=environment, cwd=tmp_path) as demo:
        until(lambda: len(marked.pids("--device=cpu")) == 2, 60, "two workers run")
        os.kill(marked.pids("narrows.cli.main serve")[0], signal.SIGKILL)
        output, _ = demo.communicate(timeout=60)
    assert demo.returncode == 1
    assert "`narrows serve` ended with status -9; the end of narrows-logs/service.log:" in output
    assert "Narrows is ready at" in output


def test_a_wrong_definition_is_told_field_by_field(environment: dict[str, str], tmp_path: Path) -> None:
    with narrows("demo", definition(tmp_path, 0), environment=environment, cwd=tmp_path) as demo:
        output, _ = demo.communicate(timeout=60)
    assert demo.returncode == 1
    assert output.splitlines()[-1].startswith("narrows: training.epochs: ")
