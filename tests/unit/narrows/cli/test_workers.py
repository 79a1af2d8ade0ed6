"""`narrows workers`."""

import pytest

from narrows.cli.main import run
from tests.unit.narrows.cli.stand_in import StandIn

Capture = pytest.CaptureFixture[str]


def test_workers_are_a_table(service: StandIn, capsys: Capture) -> None:
    seen = {"first_seen_at": "2026-01-02T03:04:05Z", "last_seen_at": "2026-01-02T03:05:05Z", "trials_running": 2}
    known = {"id": "lab/1", "host": "lab", "device": "cuda:0", "n_lanes": 8, **seen}
    times = {"training": 30.0, "idle": 9.0, "claims": 1.0, "used_lanes": 240.0}
    versions = {"narrows_version": "0.1.0", "torch_version": "2.15.0+cu130"}
    listed = [{**known, **versions, "seconds": times}, {**known, "id": "old", "device": "cpu", "n_lanes": 1}]
    service.answers["GET /v1/workers"] = (200, {"workers": listed, "next_cursor": None})
    assert run(["workers"]) == 0
    _, _, *rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows == [
        ["lab/1", "cuda:0", "0.1.0", "2.15.0+cu130", "8", "2", "75%", "22%", "2026-01-02", "03:05"],
        ["old", "cpu", "unknown", "unknown", "1", "2", "2026-01-02", "03:05"],
    ]


def test_no_workers_are_a_hint(service: StandIn, capsys: Capture) -> None:
    service.answers["GET /v1/workers"] = (200, {"workers": [], "next_cursor": None})
    assert run(["workers"]) == 0
    assert "narrows worker" in capsys.readouterr().out
