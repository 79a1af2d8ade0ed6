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
    "duration_seconds": None,
}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"state": "FAIL", "reason": "it broke"}, "it broke"),
        ({"state": "COMPLETE", "reason": None, "violated": ["seconds <= 2", "size"]}, "violates seconds <= 2, size"),
        ({"state": "WAITING", "reason": None, "paused_at_rung": 1}, "paused at rung 1"),
    ],
)
def test_the_table_tells_why_a_trial_is_no_result(
    fields: dict[str, object], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    trial = Trial.model_validate({**FIELDS, **fields})
    console().print(trial_table(["accuracy"], [trial], states=True))
    assert said in capsys.readouterr().out
