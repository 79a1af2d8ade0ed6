"""The trainer of a test, with an empty folder for temporary files."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.workers.user_code.custom_parts.trainer_harness import TrainerHarness


@pytest.fixture
def harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TrainerHarness]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    harness = TrainerHarness(tmp_path)
    yield harness
    harness.close()
