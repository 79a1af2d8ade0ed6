"""`narrows experiment`, as a user runs it."""

from pathlib import Path

import pytest

from tests.acceptance.processes import narrows
from tests.conftest import clean_environment

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
differences: None was ever published.
"""


def run(folder: Path, *arguments: str, data_dir: Path | None = None) -> tuple[int, str]:
    environment = clean_environment(NARROWS_PROCESSES="1", NARROWS_LANES="2", NARROWS_DOWNLOAD="false")
    if data_dir is not None:
        environment["NARROWS_DATA_DIR"] = str(data_dir)
    with narrows("experiment", *arguments, environment=environment, cwd=folder) as process:
        output, _ = process.communicate(timeout=240)
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
    assert "<h1>" in (tmp_path / "pages/small-0-search-0-0/index.html").read_text()
    assert not (tmp_path / "narrows.db").exists()


def test_the_smallest_experiment_runs_on_real_data(tmp_path: Path, data_dir: Path) -> None:
    status, output = run(tmp_path, "overfit-200", "--quick", data_dir=data_dir)
    assert status == 0, output
    assert "dropout 0.5, seed 0: test accuracy 0." in output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--list"], "overfit-200"), (["overfit-200", "--quick", "--record"], "must not be given with --quick")],
)
def test_what_needs_no_service_is_answered_without(tmp_path: Path, arguments: list[str], words: str) -> None:
    assert words in run(tmp_path, *arguments)[1]
    assert not (tmp_path / "narrows-logs").exists()
