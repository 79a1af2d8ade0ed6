import json
from typing import Any

import pytest

from narrows.cli.main import run
from tests.unit.narrows.cli.stand_in import StandIn

Capture = pytest.CaptureFixture[str]
Json = dict[str, Any]

EDGE = "the best trial lies at the low end of the range, 0: it should be widened by a new study with a lower low"


def range_json(low: float, high: float, **changes: Any) -> Json:
    return {"low": low, "high": high, "log": True, "share": 0.5, "verdict": "shrunk", "note": None, **changes}


def round_json(number: int, rate: Json, **changes: Any) -> Json:
    return {
        "round": number,
        "first_trial": 20 * (number - 1),
        "n_trials": 20,
        "best": 0.97123,
        "began_at": "2026-01-02T03:04:05Z",
        "requested_by": "narrowing",
        "keep_top": 5,
        "margin": 0.1,
        "kept": [12, 7],
        "ranges": {"learning_rate": rate, "dropout": range_json(0.0, 0.5, log=False, note=EDGE)},
        "note": None,
        **changes,
    }


FIRST = round_json(1, range_json(1e-4, 1.0, verdict="first"))
SECOND = round_json(2, range_json(1e-3, 1e-1))
PREVIEW = {**round_json(3, range_json(1e-3, 1e-2), began_at=None, n_trials=0, best=None), "study": "digits"}


def lines_of(capsys: Capture) -> list[list[str]]:
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def test_the_ranges_of_every_round_are_drawn_in_the_first_one(service: StandIn, capsys: Capture) -> None:
    service.answers["GET /v1/studies/digits/rounds"] = (200, {"study": "digits", "rounds": [FIRST, SECOND]})
    assert run(["narrow", "digits", "--show"]) == 0
    assert service.requests == [("GET /v1/studies/digits/rounds", None)]
    lines = lines_of(capsys)
    assert ["learning_rate", "1", "0.0001", "1", "━" * 32, "20", "0.9712"] in lines
    assert ["2", "0.001", "0.1", f"{'·' * 8}{'━' * 16}{'·' * 8}", "20", "0.9712"] in lines
    assert ["dropout", "1", "0", "0.5", "━" * 32, "20", "0.9712", *EDGE.split()] in lines


def test_a_preview_is_one_more_line(service: StandIn, capsys: Capture) -> None:
    service.answers["POST /v1/studies/digits/narrow"] = (200, {**PREVIEW, "preview": True})
    service.answers["GET /v1/studies/digits/rounds"] = (200, {"study": "digits", "rounds": [FIRST, SECOND]})
    assert run(["narrow", "digits", "--preview", "--keep-top", "3", "--margin", "0"]) == 0
    assert service.requests[0] == (
        "POST /v1/studies/digits/narrow",
        {"keep_top": 3, "margin": 0.0, "preview": True},
    )
    assert ["3", "(preview)", "0.001", "0.01", f"{'·' * 8}{'━' * 8}{'·' * 16}"] in lines_of(capsys)


def test_narrowing_shows_the_rounds_with_the_new_one(service: StandIn, capsys: Capture) -> None:
    note = "1 complete trials, and keep_top is 2"
    service.answers["POST /v1/studies/digits/narrow"] = (201, {**SECOND, "study": "digits", "preview": False})
    rounds = [FIRST, {**SECOND, "note": note}]
    service.answers["GET /v1/studies/digits/rounds"] = (200, {"study": "digits", "rounds": rounds})
    assert run(["narrow", "digits", "--round", "2"]) == 0
    assert service.requests[0] == ("POST /v1/studies/digits/narrow", {"round": 2})
    out = capsys.readouterr().out
    assert out.count("━" * 16 + "·" * 8) == 1
    assert f"Round 2: no range was shrunk, {note}" in out


@pytest.mark.parametrize("flags", [["--show"], ["--preview"]])
def test_json_is_the_answer_alone(service: StandIn, capsys: Capture, flags: list[str]) -> None:
    rounds = {"study": "digits", "rounds": [FIRST]}
    preview = {**PREVIEW, "preview": True}
    service.answers["GET /v1/studies/digits/rounds"] = (200, rounds)
    service.answers["POST /v1/studies/digits/narrow"] = (200, preview)
    assert run(["narrow", "digits", "--json", *flags]) == 0
    assert json.loads(capsys.readouterr().out) == (rounds if flags == ["--show"] else preview)


def test_a_refusal_is_a_message(service: StandIn, capsys: Capture) -> None:
    detail = f"study digits cannot be narrowed: dropout: {EDGE}"
    problem = {"title": "Conflict", "status": 409, "detail": detail, "code": "state_conflict"}
    service.answers["POST /v1/studies/digits/narrow"] = (409, problem)
    assert run(["narrow", "digits"]) == 1
    assert detail in capsys.readouterr().err
