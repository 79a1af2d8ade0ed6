"""`narrows experiment`, as a user runs it."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from narrows.cli.local_service import READY
from narrows.cli.processes import ECHO_SECONDS
from service.client import Client
from tests.acceptance.processes import Marked, narrows
from tests.conftest import clean_environment
from tests.waiting import PATIENCE_SECONDS, until

pytestmark = pytest.mark.slow

SMALL = """
title: Two of a kind
source: nobody
data: digits
training: {dataset: digits, model: {name: mlp, hidden: [16]}, epochs: 50}
figures: [train_accuracy, test_accuracy, lowest_at_epoch]
variants:
  - {label: plain, published: {test_accuracy: 0.1234}}
searches:
  - label: searched
    search_space: {dropout: {type: float, low: 0.0, high: 0.5}}
    n_trials: 50
winner_bias: true
saved_model: true
differences: None was ever published.
"""


SETTINGS = {"NARROWS_PROCESSES": "1", "NARROWS_LANES": "2", "NARROWS_DOWNLOAD": "false"}


def run(folder: Path, *arguments: str, data_dir: Path | None = None) -> tuple[int, str]:
    environment = clean_environment(**SETTINGS)
    if data_dir is not None:
        environment["NARROWS_DATA_DIR"] = str(data_dir)
    with narrows("experiment", *arguments, environment=environment, cwd=folder) as process:
        output, _ = process.communicate(timeout=PATIENCE_SECONDS)
    return process.returncode, output


def test_variants_and_searches_of_a_file_stand_beside_what_was_published(tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(SMALL)
    status, output = run(tmp_path, str(file), "--quick", "--report", "pages")
    assert status == 0, output
    assert "quick: a few epochs and trials" in output
    assert " / 0.1234" in output
    assert "What the searches cost" in output
    assert "Reported and test accuracy of the winner, searched, 1 studies" in output
    assert "None was ever published." in output
    assert "The best model, saved and loaded again, searched" in output
    assert "<h1>" in (tmp_path / "pages/small-0-search-0-0/index.html").read_text()
    assert not (tmp_path / "narrows.db").exists()


def test_the_smallest_experiment_runs_on_real_data(tmp_path: Path, data_dir: Path) -> None:
    status, output = run(tmp_path, "overfit-200", "--quick", data_dir=data_dir)
    assert status == 0, output
    assert "dropout 0.5, seed 0: test accuracy 0." in output


@contextmanager
def long_experiment(folder: Path, marked: Marked) -> Iterator["subprocess.Popen[str]"]:
    """One whose first trial has reported, and goes on for long."""
    file = folder / "long.yaml"
    file.write_text(SMALL.replace("epochs: 50", "epochs: 100000"))
    environment = clean_environment(**marked.environment, **SETTINGS)
    with narrows("experiment", str(file), environment=environment, cwd=folder) as process:
        until(lambda: marked.workers(), "a worker runs")
        server = (folder / "narrows-logs/service.log").read_text().partition(READY)[2].split()[0]
        with Client(server) as client:
            until(lambda: any(trial.step for trial in client.trials("long-0-variant-0")), "a trial has reported")
        yield process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_all_that_it_has_started(tmp_path: Path, marked: Marked, number: signal.Signals) -> None:
    with long_experiment(tmp_path, marked) as process:
        os.kill(process.pid, number)
        os.killpg(process.pid, number)  # as `timeout` does
        output, _ = process.communicate(timeout=PATIENCE_SECONDS)
        left = marked.pids()
    assert process.returncode == 128 + number, output
    assert left == []
    assert "long-0-variant-0 #0: given back" in (tmp_path / "narrows-logs/workers.log").read_text()
    assert "Traceback" not in output


def test_who_asks_again_does_not_wait(tmp_path: Path, marked: Marked) -> None:
    with long_experiment(tmp_path, marked) as process:
        (service,) = marked.pids("narrows.cli.main serve")
        os.kill(service, signal.SIGSTOP)  # no trial can be given back
        process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(ECHO_SECONDS + 0.5)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=PATIENCE_SECONDS)
        left = marked.pids()
    assert process.returncode == 128 + signal.SIGTERM, output
    assert left == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--list"], "overfit-200"), (["overfit-200", "--quick", "--record"], "must not be given with --quick")],
)
def test_what_needs_no_service_is_answered_without(tmp_path: Path, arguments: list[str], words: str) -> None:
    assert words in run(tmp_path, *arguments)[1]
    assert not (tmp_path / "narrows-logs").exists()
