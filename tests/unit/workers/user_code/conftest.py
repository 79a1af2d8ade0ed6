"""The objective runner of a test, with a folder of its own for temporary files."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.workers.user_code.objectives.runner_harness import RunnerHarness


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunnerHarness]:
    runner = RunnerHarness(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(runner.scratch))
    yield runner
    runner.close()
