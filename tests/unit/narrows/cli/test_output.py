import pytest

from narrows.cli.output import console, trial_table
from service.schemas.results import Trial

FIELDS = {
    "study": "s",
    "number": 0,
    "params": {},
    "values": [0.5],
    "metrics": {},
    "step": 1,
    "attempts": [],
    "worker": None,
    "started_at": None,
    "finished_at": None,
    "duration_seconds": 1.0,
}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"state": "FAIL", "reason": "it broke"}, "it broke"),
        ({"state": "FAIL", "reason": "it\nbroke"}, "it broke"),
        (
            {"state": "FAIL", "reason": "Traceback (most recent call last):\n  File x\nValueError: no\n"},
            "s  ValueError: no",
        ),
        (
            {"state": "FAIL", "reason": "rank 1: Traceback (most recent call last):\n  File x\nValueError: no\n"},
            "s  rank 1: ValueError: no",
        ),
        (
            {
                "state": "FAIL",
                "reason": '  File "a.py", line 1, in f\n    g()\n    ^^^\n  File "b.py", line 2, in g\n    raise\n'
                "ValueError: shapes do not match:\n  left (3, 4)\n  right (5, 6)\n",
            },
            "s  ValueError: shapes do not match: left (3, 4) right (5, 6)",
        ),
        ({"state": "PRUNED", "reason": None, "values": None, "metrics": {"accuracy": 0.25}}, "last 0.25"),
        ({"state": "RUNNING", "reason": None, "values": None, "metrics": {}}, "RUNNING"),
        ({"state": "COMPLETE", "reason": None, "violated": ["seconds <= 2", "size"]}, "violates seconds <= 2, size"),
        ({"state": "WAITING", "reason": None, "paused_at_rung": 1}, "paused at rung 1"),
        ({"state": "FAIL", "reason": "it broke", "retry_of": 3}, "retry of trial 3; it broke"),
        ({"state": "COMPLETE", "reason": None, "unused_params": {"depth": 2}}, "not used: depth=2"),
    ],
)
def test_the_table_tells_why_a_trial_is_no_result(
    fields: dict[str, object], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    trial = Trial.model_validate({**FIELDS, **fields})
    console().print(trial_table(["accuracy"], [trial], states=True))
    assert said in capsys.readouterr().out


def test_the_values_of_a_trial_stand_on_its_first_line(capsys: pytest.CaptureFixture[str]) -> None:
    trial = Trial.model_validate({**FIELDS, "number": 7, "state": "FAIL", "values": None, "reason": "a reason " * 40})
    console().print(trial_table(["validation_accuracy"], [trial], states=True))
    (first,) = [line for line in capsys.readouterr().out.splitlines() if "FAIL" in line]
    assert first.split()[:3] == ["7", "FAIL", "2"]


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("dropout", ["dropout"]),
        ("validation_accuracy", ["validation", "accuracy"]),
        ("model.hidden.0", ["model", "hidden.0"]),
        ("seconds_of_the_slowest_epoch", ["seconds_of_the", "slowest_epoch"]),
    ],
)
def test_a_header_has_two_lines_at_most(name: str, header: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    trial = Trial.model_validate({**FIELDS, "state": "COMPLETE", "reason": None})
    console().print(trial_table([name], [trial], states=True))
    lines = capsys.readouterr().out.partition("──")[0].splitlines()
    assert len(lines) == len(header)
    assert all(words in line for words, line in zip(header, lines, strict=True))
