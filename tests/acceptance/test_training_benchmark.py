"""The benchmark of training, whole and small: peers train two trials on digits."""

import subprocess
import sys

import pytest

from benchmarks.peers import ray_tune
from narrows.cli.bound import bound
from tests.conftest import ROOT, clean_environment
from tests.waiting import PATIENCE_SECONDS

WHOLE = "digits-search"
pytestmark = pytest.mark.slow

COMMAND = "benchmarks.training --case digits --pruning median --trials 2 --epochs 2 --repeats 1 --device cpu"


@pytest.mark.skipif(not ray_tune.IS_INSTALLED, reason="RAY IS NOT INSTALLED (pip install -e '.[benchmarks]')")
def test_ray_trains_two_trials() -> None:
    (row,) = rows(benchmark("ray"))
    assert "Ray Tune" in row


def test_the_peers_train_two_trials_each() -> None:
    from benchmarks.training import PEERS

    peers = ["example", "loop-per-core", "narrows-auto"]
    found = rows(benchmark(*peers))
    assert [PEERS[name].label for name in peers] == [row.split(" | ")[2] for row in found]
    assert all(" 0, 4 " in row for row in found)  # none pruned, two epochs of two trials
    assert [row.count(" %") for row in found] == [0, 0, 2]  # Narrows tells how long it did not train


@pytest.mark.skipif(ray_tune.IS_INSTALLED, reason="Ray is installed")
def test_a_peer_that_is_not_installed_is_named() -> None:
    output = benchmark("ray")
    assert rows(output) == []
    assert "NOT INSTALLED" in output


def test_a_whole_search_is_measured_with_its_start() -> None:
    found = rows(benchmark("loop-per-core", "example", "narrows-auto", command=COMMAND.replace("digits", WHOLE)))
    assert [row.split(" | ")[1] for row in found] == [
        "plain loop without pruning, a process per core",
        "Optuna's PyTorch example loop, a process per core",
        "Narrows, lanes auto",
    ]
    assert all(row.endswith(" 0, 4 |") for row in found)
    assert [row.count(" %") for row in found] == [0, 0, 1]


def benchmark(*peers: str, command: str = COMMAND) -> str:
    words = bound([sys.executable, "-m", *command.split(), "--peers", *peers])
    done = subprocess.run(
        words,
        cwd=ROOT,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=True,
    )
    return done.stdout


def rows(table: str) -> list[str]:
    return [line for line in table.splitlines() if line.startswith("| digits")]
