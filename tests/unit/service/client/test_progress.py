from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from service.client.progress import LineDisplay, follow, line, panel, seconds_left
from service.client.text import number, seconds
from service.schemas.results import Study
from tests.unit.narrows.cli.stand_in import study_json, trial_json


def study(state: str = "running", complete: int = 0, **changes: Any) -> Study:
    return Study.model_validate(study_json(state, complete, **changes))


def console(*, terminal: bool) -> Console:
    return Console(file=StringIO(), width=100, force_terminal=terminal)


def text_of(console: Console) -> str:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (3.21, "3.2 s"), (45.4, "45 s"), (245.0, "4:05"), (3723.0, "1:02:03")],
)
def test_durations_are_written_for_people(value: float | None, text: str) -> None:
    assert seconds(value) == text


@pytest.mark.parametrize(("value", "text"), [(0.98611, "0.9861"), (3, "3"), ("adam", "adam"), (True, "True")])
def test_numbers_are_short(value: float | str | bool, text: str) -> None:
    assert number(value) == text


def test_the_time_left_follows_from_the_speed() -> None:
    assert seconds_left(study(complete=7)) == 120.0
    assert seconds_left(study()) is None
    assert seconds_left(study("paused", complete=7)) is None


def test_a_study_that_only_fails_has_no_time_left() -> None:
    failing = study(trial_counts={"FAIL": 7, "RUNNING": 2}, trials_per_hour=600.0, best=None)
    assert seconds_left(failing) is None
    assert line(failing).endswith("7 failed, 600 trials/hour")


def test_the_line_tells_the_counts_the_best_and_the_speed() -> None:
    assert line(study(complete=7)) == (
        "digits: 10/30 trials done, 2 running, 3 pruned, 0 failed, best validation_accuracy 0.9861 (trial 7), "
        "600 trials/hour, 2:00 left"
    )


def test_what_is_used_of_the_limits_is_shown() -> None:
    definition = study().definition.model_copy(update={"max_total_epochs": 5000, "max_device_hours": 2.5})
    limited = study(complete=7, epochs_trained=1234, device_hours=0.5).model_copy(update={"definition": definition})
    assert "(trial 7), 1,234/5,000 epochs, 0.5/2.5 device hours, 600" in line(limited)
    shown = console(terminal=False)
    shown.print(panel(limited))
    assert "1,234/5,000 epochs   0.5/2.5 device hours" in text_of(shown)


def test_the_live_display_tells_the_same_and_the_best_params() -> None:
    shown = console(terminal=False)
    shown.print(panel(study(complete=7)))
    text = text_of(shown)
    for part in ("10/30", "600 trials/hour", "2:00 left", "7 complete", "0 failed", "learning_rate=0.0123"):
        assert part in text


def test_a_study_without_a_best_trial_is_shown() -> None:
    shown = console(terminal=False)
    shown.print(panel(study("paused")))
    assert "paused" in text_of(shown)
    assert "best" not in text_of(shown)


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("state", ["finished", "stopped"])
def test_following_ends_with_the_study_and_tells_why(terminal: bool, state: str) -> None:
    last = study(state, complete=27, finished_reason="because", data="images of 3x8x8")
    states = [study(), study(complete=7), last]
    shown = console(terminal=terminal)
    assert follow(lambda: states.pop(0), shown, sleep=lambda _seconds: None).state == state
    assert states == []
    assert f"digits is {state}" in text_of(shown)
    assert "because" in text_of(shown)
    assert text_of(shown).endswith("Data: images of 3x8x8\n")


def test_lines_come_when_trials_have_ended_and_not_too_often() -> None:
    shown, now = console(terminal=False), [0.0]
    display = LineDisplay(shown, lambda: now[0])
    for time, complete in [(0.0, 0), (1.0, 1), (4.9, 2), (5.0, 2), (20.0, 2), (30.0, 3)]:
        now[0] = time
        display.show(study(complete=complete))
    printed = [text.split(" ")[1] for text in text_of(shown).splitlines() if text.startswith("digits: ")]
    assert printed == ["3/30", "5/30", "6/30"]


def test_several_objectives_have_no_single_best() -> None:
    pair = study(complete=7, best=None)
    assert "best" not in line(pair)
    assert "best" in line(study(complete=7, best=trial_json(1, 0.5)))


def test_a_study_that_the_service_has_paused_is_followed_no_longer() -> None:
    paper = console(terminal=False)
    paused = study("paused", complete=7, state_reason="the last 10 trials have failed")
    shown = iter([study(complete=7), study("paused", complete=7), paused])
    assert follow(lambda: next(shown), paper, sleep=lambda _seconds: None) is paused
    assert " ".join(text_of(paper).split()).endswith(
        "digits is paused (the last 10 trials have failed): "
        "7 complete, 3 pruned, 0 failed; narrows resume digits goes on, "
        "narrows retry digits tries the failed trials again"
    )
