"""The trainer of a test, with an empty folder for temporary files."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.workers.fakes import ONE_CPU
from tests.unit.workers.user_code.custom_parts.trainer_harness import CODE, TrainerHarness
from workers.user_code.process_starter import ProcessStarter


@pytest.fixture(scope="module")
def starter() -> Iterator[ProcessStarter]:
    starter = ProcessStarter(ONE_CPU, CODE)
    yield starter
    starter.close()


@pytest.fixture
def harness(tmp_path: Path, starter: ProcessStarter, monkeypatch: pytest.MonkeyPatch) -> Iterator[TrainerHarness]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    harness = TrainerHarness(tmp_path, starter)
    yield harness
    harness.close()
