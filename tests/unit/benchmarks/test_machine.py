from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import machine


@pytest.mark.parametrize("record", [True, False])
def test_a_table_is_printed_as_it_comes_and_kept_when_asked(
    record: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(machine, "RECORDS", tmp_path / "records")
    seen = []

    def rows() -> Iterator[str]:
        for number in range(2):
            yield f"| {number} |"
            seen.append(capsys.readouterr().out)

    machine.print_table("small", ["# Small", ""], rows(), record=record)

    assert seen == ["# Small\n\n| 0 |\n", "| 1 |\n"]
    kept = list(tmp_path.glob("records/*-small.md"))
    assert [path.read_text() for path in kept] == (["# Small\n\n| 0 |\n| 1 |\n"] if record else [])
    assert capsys.readouterr().out == (f"written to {kept[0].name}\n" if record else "")


def test_every_measurement_can_be_kept() -> None:
    parser = machine.command_line("What it measures.")
    assert parser.parse_args([]).record is False
    assert parser.parse_args(["--record"]).record is True
