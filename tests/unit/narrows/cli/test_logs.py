"""What `narrows logs` writes while the output of a trial grows, loses its beginning, and starts again."""

import sys
from hashlib import sha256
from io import BytesIO, TextIOWrapper
from typing import Any

import pytest

from narrows.cli.logs import OutputPrinter
from narrows.cli.main import run
from service.client.progress import line
from service.schemas.results import Study
from tests.unit.narrows.cli.stand_in import StandIn, study_json, trial_json


def written(monkeypatch: pytest.MonkeyPatch, *contents: bytes) -> list[bytes]:
    """What each content adds."""
    printer, pieces = OutputPrinter(), []
    for content in contents:
        out = BytesIO()
        monkeypatch.setattr(sys, "stdout", TextIOWrapper(out))
        printer.print_new(content)
        pieces.append(out.getvalue())
    return pieces


def test_only_what_is_new_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    assert written(monkeypatch, b"", b"one\n", b"one\n", b"one\ntwo\n") == [b"", b"one\n", b"", b"two\n"]


def test_output_that_has_lost_its_beginning_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    later = b"[the first 4 bytes are not kept]\ntwo\nthree\n"
    assert written(monkeypatch, b"one\ntwo\n", later) == [b"one\ntwo\n", b"three\n"]
    assert written(monkeypatch, later) == [later]
    heading = b"[the Python files have changed]\n"
    assert written(monkeypatch, heading + b"one\ntwo\n", heading + later) == [heading + b"one\ntwo\n", b"three\n"]


def test_what_was_lost_between_two_looks_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert written(monkeypatch, b"one\n", b"[the first 8 bytes are not kept]\nthree\n") == [b"one\n", b"three\n"]


def test_a_next_attempt_is_shown_from_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    assert written(monkeypatch, b"a long one\n", b"next\n") == [b"a long one\n", b"next\n"]


def test_a_line_that_was_written_anew_follows_a_carriage_return(monkeypatch: pytest.MonkeyPatch) -> None:
    states = (b"one\n10 %", b"one\n90 %", b"one\n100 %\ntwo\n", b"one\n100 %\ntwo\nthree\n")
    assert written(monkeypatch, *states) == [b"one\n10 %", b"\r90 %", b"\r100 %\ntwo\n", b"three\n"]
    assert written(monkeypatch, b"one\nlong line", b"one\nshort") == [b"one\nlong line", b"\rshort"]
    assert written(monkeypatch, b"one\npart", b"one\npartly\n") == [b"one\npart", b"ly\n"]
    assert written(monkeypatch, b"one\npart", b"o") == [b"one\npart", b"o"]


def test_a_terminal_is_shown_text_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(TextIOWrapper):
        def isatty(self) -> bool:
            return True

    out = BytesIO()
    monkeypatch.setattr(sys, "stdout", Terminal(out))
    OutputPrinter().print_new("\x1b]0;title\x07a\x1b[31mr\x1b[0m\tb\r\n\x1b[2Jé\n".encode())
    assert out.getvalue().decode() == "ar      b\né\n"


def test_a_trial_without_output_shows_nothing(service: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    service.answers["GET /v1/studies/digits/trials/3"] = (200, trial_json(3))
    service.answers["GET /v1/studies/digits/trials/3/artifacts"] = (200, {"artifacts": []})
    assert run(["logs", "digits", "3"]) == 0
    assert capsys.readouterr().out == ""


def artifact_json(name: str, attempt: int, content: bytes) -> dict[str, Any]:
    digest = sha256(content).hexdigest()
    facts = {"step": None, "created_at": "2026-01-02T03:04:05Z"}
    return {"name": name, "attempt": attempt, "size_bytes": len(content), "sha256": digest, **facts}


def test_the_output_of_each_attempt_is_shown(service: StandIn, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    contents = {("output", 3): b"third\n", ("output-1", 1): b"first\n", ("output-x", 2): b"a file\n"}
    listed = [artifact_json(*key, content) for key, content in contents.items()]
    service.answers["GET /v1/studies/digits/trials/3"] = (200, trial_json(3))
    service.answers["GET /v1/studies/digits/trials/3/artifacts"] = (200, {"artifacts": listed})
    for (name, _), content in contents.items():
        service.answers[f"GET /v1/artifacts/digits/3/{name}"] = (200, content)
    for arguments, shown in (([], b"third\n"), (["--attempt", "3"], b"third\n"), (["--attempt", "1"], b"first\n")):
        assert run(["logs", "digits", "3", *arguments]) == 0
        assert capsysbinary.readouterr().out == shown
    assert run(["logs", "digits", "3", "--attempt", "2"]) == 1
    said = capsysbinary.readouterr().err.decode()
    assert "no output of attempt 2 of trial 3 is kept; attempts with output: 1, 3" in said
    assert run(["logs", "digits", "3", "--attempt", "1", "--follow"]) == 2


NOT_THERE = {"title": "Not found", "status": 404, "detail": "study digits has no trial 3", "code": "trial_not_found"}


def test_following_waits_for_a_trial_that_is_to_come(
    service: StandIn, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    service.answers["GET /v1/studies/digits"] = (200, study_json())
    service.answers["GET /v1/studies/digits/trials/3"] = (404, NOT_THERE)
    service.answers["GET /v1/studies/digits/trials/3/artifacts"] = (200, {"artifacts": []})
    sleeps: list[float] = []

    def sleep(seconds: float) -> None:
        sleeps.append(seconds)
        if len(sleeps) == 2:
            service.answers["GET /v1/studies/digits/trials/3"] = (200, trial_json(3))

    monkeypatch.setattr("narrows.cli.logs.time.sleep", sleep)

    assert run(["logs", "digits", "3", "--follow"]) == 0
    assert capsys.readouterr().err == "waiting until trial 3 of digits begins\n"


@pytest.mark.parametrize(("number", "state"), [(30, "running"), (3, "finished"), (3, "stopped")])
def test_following_does_not_wait_for_a_trial_that_will_not_come(
    service: StandIn, capsys: pytest.CaptureFixture[str], number: int, state: str
) -> None:
    service.answers["GET /v1/studies/digits"] = (200, study_json(state))
    service.answers[f"GET /v1/studies/digits/trials/{number}"] = (404, NOT_THERE)

    assert run(["logs", "digits", str(number), "--follow"]) == 1
    assert "has no trial" in capsys.readouterr().err


def test_a_study_that_no_worker_allows_says_so() -> None:
    study = Study.model_validate(study_json(waits_for="no worker allows a.b:c: start one with --allow a"))
    assert line(study).endswith("no worker allows a.b:c: start one with --allow a")


@pytest.mark.parametrize("prefix", ["", "*", "a.", "a:b", "../a"])
def test_a_prefix_that_is_no_module_is_refused_at_once(prefix: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["worker", "--allow", prefix]) == 2
    assert "must name a module or package" in capsys.readouterr().err
