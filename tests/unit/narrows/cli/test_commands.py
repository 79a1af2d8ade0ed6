import json
from io import StringIO
from pathlib import Path

import pytest

from narrows.cli.main import run
from tests.unit.narrows.cli.stand_in import DEFINITION, StandIn, study_json, trial_json

Capture = pytest.CaptureFixture[str]


def test_studies_are_a_table(service: StandIn, capsys: Capture) -> None:
    service.answers["GET /v1/studies"] = (200, {"studies": [study_json(complete=5)], "next_cursor": None})
    assert run(["studies"]) == 0
    head, _, row = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert head == ["study", "state", "trials", "running", "complete", "pruned", "failed", "best"]
    assert row == ["digits", "running", "30", "2", "5", "3", "0", "0.9861"]


def test_no_studies_are_a_hint(service: StandIn, capsys: Capture) -> None:
    service.answers["GET /v1/studies"] = (200, {"studies": [], "next_cursor": None})
    assert run(["studies"]) == 0
    assert "narrows submit" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "request_line"),
    [
        (["best", "digits", "-k", "2", "--json"], "GET /v1/studies/digits/best?k=2"),
        (["trials", "digits", "--json"], "GET /v1/studies/digits/trials?order_by=number&limit=100"),
        (
            ["trials", "digits", "--json", "--state", "fail", "--order-by", "-value", "--limit", "3"],
            "GET /v1/studies/digits/trials?state=FAIL&order_by=-value&limit=3",
        ),
        (["studies", "--json"], "GET /v1/studies"),
        (["workers", "--json"], "GET /v1/workers"),
    ],
)
def test_json_is_the_answer_as_the_service_sent_it(
    service: StandIn, capsys: Capture, arguments: list[str], request_line: str
) -> None:
    service.answers["GET /v1/studies/digits"] = (200, study_json())
    service.answers[request_line] = (200, b'{"anything":  1}')
    assert run(arguments) == 0
    assert capsys.readouterr().out == '{"anything":  1}\n'


def test_several_objectives_show_the_pareto_front(service: StandIn, capsys: Capture) -> None:
    objectives = [
        {"metric": "validation_accuracy", "direction": "maximize"},
        {"metric": "n_parameters", "direction": "minimize"},
    ]
    service.answers["GET /v1/studies/digits"] = (200, study_json(definition={**DEFINITION, "objectives": objectives}))
    front = {"trials": [trial_json(number, values=[0.9, 100.0]) for number in range(9)]}
    service.answers["GET /v1/studies/digits/pareto"] = (200, front)
    assert run(["best", "digits"]) == 0
    assert [line.split()[:3] for line in capsys.readouterr().out.splitlines()[-5:]] == [
        [str(number), "0.9", "100"] for number in range(5)
    ]


def test_trials_show_state_and_reason_and_that_there_are_more(service: StandIn, capsys: Capture) -> None:
    service.answers["GET /v1/studies/digits"] = (200, study_json())
    reason = "train_loss [/red] of list[int] is nan"
    page = {"trials": [trial_json(3, None, reason=reason)], "next_cursor": "c"}
    service.answers["GET /v1/studies/digits/trials?order_by=number&limit=1"] = (200, page)
    assert run(["trials", "digits", "--limit", "1"]) == 0
    row, more = capsys.readouterr().out.splitlines()[-2:]
    assert row.split() == ["3", "FAIL", "0.0123", "20", "10", "s", *reason.split()]
    assert more == "These are the first 1: --limit shows more."


@pytest.mark.parametrize(("command", "state"), [("pause", "paused"), ("resume", "running"), ("stop", "stopped")])
def test_a_studys_state_is_changed(service: StandIn, capsys: Capture, command: str, state: str) -> None:
    service.answers["PATCH /v1/studies/digits"] = (200, study_json(state))
    assert run([command, "digits"]) == 0
    assert service.requests == [("PATCH /v1/studies/digits", {"state": state})]
    assert capsys.readouterr().out == f"digits is {state}\n"


def test_a_study_is_extended(service: StandIn, capsys: Capture) -> None:
    extended = study_json(definition={**DEFINITION, "n_trials": 50})
    service.answers["PATCH /v1/studies/digits"] = (200, extended)
    assert run(["extend", "digits", "--n-trials", "50"]) == 0
    assert service.requests == [("PATCH /v1/studies/digits", {"n_trials": 50})]
    assert capsys.readouterr().out == "digits is running, 50 trials\n"


def test_the_limits_of_a_study_are_raised(service: StandIn, capsys: Capture) -> None:
    limits = {"max_total_epochs": 9000, "max_device_hours": 2.5}
    answer = study_json(definition={**DEFINITION, **limits}, epochs_trained=1200, device_hours=1.23456)
    service.answers["PATCH /v1/studies/digits"] = (200, answer)
    assert run(["extend", "digits", "--max-total-epochs", "9000", "--max-device-hours", "2.5"]) == 0
    assert service.requests == [("PATCH /v1/studies/digits", limits)]
    assert capsys.readouterr().out == "digits is running, 30 trials, 1,200/9,000 epochs, 1.235/2.5 device hours\n"


def test_extend_needs_a_number_of_trials(service: StandIn, capsys: Capture) -> None:
    assert run(["extend", "digits"]) == 2
    assert "--n-trials" in capsys.readouterr().err
    assert service.requests == []


class Terminal(StringIO):
    """Standard input on which a person answers."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("flags", "stdin"),
    [(["--yes"], StringIO()), (["--yes"], Terminal()), ([], Terminal("y\n"))],
    ids=["no-terminal", "yes", "answered"],
)
def test_a_study_is_deleted(
    service: StandIn, capsys: Capture, monkeypatch: pytest.MonkeyPatch, flags: list[str], stdin: StringIO
) -> None:
    monkeypatch.setattr("sys.stdin", stdin)
    service.answers["DELETE /v1/studies/digits"] = (204, b"")
    assert run(["delete", "digits", *flags]) == 0
    assert service.requests == [("DELETE /v1/studies/digits", None)]
    assert capsys.readouterr().out.endswith("digits is deleted\n")


def test_a_study_is_not_deleted_without_a_terminal_to_ask_on(
    service: StandIn, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", StringIO())
    assert run(["delete", "digits"]) == 1
    assert capsys.readouterr().err == (
        "narrows: Delete study digits with all its trials and their files? There is no terminal to ask on: "
        "--yes answers yes\n"
    )
    assert service.requests == []


def test_a_study_is_not_deleted_after_the_answer_no(
    service: StandIn, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    assert run(["delete", "digits"]) == 1
    assert capsys.readouterr().err == "narrows: nothing is changed\n"
    assert service.requests == []


def retried(service: StandIn, number: int, as_number: int) -> None:
    answer = trial_json(as_number, None, state="WAITING", retry_of=number)
    service.answers[f"POST /v1/studies/digits/trials/{number}/retry"] = (201, answer)


def test_the_failed_trials_that_are_given_are_tried_again(service: StandIn, capsys: Capture) -> None:
    retried(service, 3, 30)
    retried(service, 7, 31)
    service.answers["GET /v1/studies/digits"] = (200, study_json("paused"))
    assert run(["retry", "digits", "--trial", "3", "--trial", "7"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "trial 3 is tried again as trial 30",
        "trial 7 is tried again as trial 31",
        "digits is paused, 30 trials: narrows resume digits lets it go on",
    ]


def test_every_failed_trial_that_has_no_retry_is_tried_again(service: StandIn, capsys: Capture) -> None:
    trials = [trial_json(0), trial_json(1, None), trial_json(2, None, retry_of=1), trial_json(3, None)]
    service.answers["GET /v1/studies/digits/trials?limit=1000"] = (200, {"trials": trials, "next_cursor": None})
    retried(service, 2, 4)
    retried(service, 3, 5)
    service.answers["GET /v1/studies/digits"] = (200, study_json())
    assert run(["retry", "digits"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "trial 2 is tried again as trial 4",
        "trial 3 is tried again as trial 5",
        "digits is running, 30 trials",
    ]


def test_a_study_without_failed_trials_says_so(service: StandIn, capsys: Capture) -> None:
    service.answers["GET /v1/studies/digits/trials?limit=1000"] = (
        200,
        {"trials": [trial_json(0)], "next_cursor": None},
    )
    assert run(["retry", "digits"]) == 0
    assert capsys.readouterr().out == "digits has no failed trial to try again\n"


def test_export_goes_to_standard_output_or_to_a_file(service: StandIn, capsys: Capture, tmp_path: Path) -> None:
    service.answers["GET /v1/studies/digits/export?format=json"] = (200, b"[1]\n")
    assert run(["export", "digits", "--format", "json"]) == 0
    assert capsys.readouterr().out == "[1]\n"
    assert run(["export", "digits", "--format", "json", "--out", str(tmp_path / "out.json")]) == 0
    assert (tmp_path / "out.json").read_text() == "[1]\n"


def test_an_export_that_fails_leaves_no_file(service: StandIn, tmp_path: Path) -> None:
    assert run(["export", "x", "--out", str(tmp_path / "out.csv"), "--server", service.url]) == 1
    assert list(tmp_path.iterdir()) == []


def test_submit_sends_what_the_file_says(service: StandIn, capsys: Capture, tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text("name: digits\nsearch_space: {learning_rate: {type: float, low: 1e-6, high: 1e-2, log: true}}\n")
    service.answers["POST /v1/studies"] = (201, study_json())
    assert run(["submit", str(file)]) == 0
    space = {"learning_rate": {"type": "float", "low": 1e-6, "high": 1e-2, "log": True}}
    assert service.requests == [("POST /v1/studies", {"name": "digits", "search_space": space})]
    told = f"It is running, 30 trials: {service.url}/studies/digits\n"
    assert capsys.readouterr().out == f"digits is created. {told}"
    service.answers["POST /v1/studies"] = (200, study_json())
    assert run(["submit", str(file)]) == 0
    assert capsys.readouterr().out == f"digits is unchanged, it exists with this definition. {told}"


def test_submit_and_watch_shows_the_end(service: StandIn, capsys: Capture, tmp_path: Path) -> None:
    file = tmp_path / "study.json"
    file.write_text(json.dumps(DEFINITION))
    service.answers["POST /v1/studies"] = (201, study_json())
    service.answers["GET /v1/studies/digits"] = (200, study_json("finished", complete=27))
    assert run(["submit", str(file), "--watch"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        "digits is finished after 1:00 (all 30 trials are finished): 27 complete, 3 pruned, 0 failed"
    )


EXISTS = {"title": "No", "status": 409, "detail": "a study of this name exists", "code": "study_exists"}


@pytest.mark.parametrize(
    ("flags", "stdin"),
    [(["--yes"], StringIO()), (["--yes"], Terminal()), ([], Terminal("y\n"))],
    ids=["pipe", "yes", "asked"],
)
def test_submit_replaces_a_study_with_another_definition(
    service: StandIn,
    capsys: Capture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    flags: list[str],
    stdin: StringIO,
) -> None:
    monkeypatch.setattr("sys.stdin", stdin)
    file = tmp_path / "study.json"
    file.write_text(json.dumps(DEFINITION))
    service.answers["POST /v1/studies"] = (409, EXISTS)
    service.answers["GET /v1/studies/digits"] = (200, study_json())
    service.answers["POST /v1/studies?replace=true"] = (201, study_json())
    assert run(["submit", str(file), "--replace", *flags]) == 0
    expected = ["POST /v1/studies", "GET /v1/studies/digits", "POST /v1/studies?replace=true"]
    assert [request for request, _ in service.requests] == expected
    assert service.requests[2][1] == DEFINITION
    assert "digits is replaced. It is running, 30 trials: " in capsys.readouterr().out


def test_submit_replaces_nothing_after_the_answer_no_or_without_the_flag(
    service: StandIn, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "study.json"
    file.write_text(json.dumps(DEFINITION))
    service.answers["POST /v1/studies"] = (409, EXISTS)
    service.answers["GET /v1/studies/digits"] = (200, study_json())
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    assert run(["submit", str(file), "--replace"]) == 1
    assert run(["submit", str(file)]) == 1
    assert capsys.readouterr().err.endswith("; --replace replaces a study that has no complete trial\n")
    service.answers["GET /v1/studies/digits"] = (200, study_json(complete=2))
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    assert run(["submit", str(file), "--replace"]) == 1
    assert capsys.readouterr().err == "narrows: study digits has complete trials (2): it cannot be replaced\n"
    assert {request for request, _ in service.requests} == {"POST /v1/studies", "GET /v1/studies/digits"}


def test_each_wrong_field_is_a_line(service: StandIn, capsys: Capture, tmp_path: Path) -> None:
    file = tmp_path / "study.json"
    file.write_text(json.dumps(DEFINITION))
    errors = [{"field": "n_trials", "message": "must be 1 or more: 0"}, {"field": "name", "message": "too long"}]
    problem = {"title": "No", "status": 422, "detail": "two errors", "code": "invalid", "errors": errors}
    service.answers["POST /v1/studies"] = (422, problem)
    assert run(["submit", str(file)]) == 1
    assert capsys.readouterr().err == "narrows: n_trials: must be 1 or more: 0\nnarrows: name: too long\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: a\nname: b", "line 2, column 1: a key must not be listed twice: 'name'"),
        ("- 1", "a definition must be a mapping of fields, as in examples/digits.yaml"),
    ],
)
def test_a_file_that_is_no_definition_is_one_line(capsys: Capture, tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(text)
    assert run(["submit", str(file)]) == 1
    assert capsys.readouterr().err == f"narrows: {file}: {message}\n"
