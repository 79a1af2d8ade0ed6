"""Every command prints users' text as text: a terminal has nothing to obey in it."""

import ast
import hashlib
import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from narrows.cli.main import run
from narrows.cli.terminal import say_pieces
from service.schemas.terminal_text import one_line, printable
from tests.conftest import ROOT
from tests.unit.narrows.cli.stand_in import DEFINITION, StandIn, study_json, token_json, trial_json
from tests.unit.narrows.cli.test_diagnose import diagnosis_json
from tests.unit.narrows.cli.test_diagnose import trial_json as diagnosed_json
from tests.unit.narrows.cli.test_final import candidate, final_json
from tests.unit.narrows.cli.test_narrow import range_json, round_json

Capture = pytest.CaptureFixture[str]

WILD = "a\x1b[31mred\x1b]0;title\x07\rover\x08\x9b2J\x85\u2028\u202eevil\u2066\u200f\u061c\tb\r\nnext\nlast"
SHOWN = "\\x1b[31mred\\x1b]0;title\\x07"
OBEYED = re.compile(r"[^\n -~\xa0-\u061b\u061d-\u200d\u2010-\u2027\u202f-\u2065\u206a-\ud7ff\ue000-\U0010ffff]")
"""Everything but newlines and characters that are shown."""

METRIC = f"accuracy{WILD}"
OBJECTIVES = [{"metric": METRIC, "direction": "maximize"}]
WILD_DEFINITION = {
    **DEFINITION,
    "search_space": {f"n{WILD}": {"type": "categorical", "choices": [WILD, "plain"]}},
    "training": {"entrypoint": "nets.train:objective"},
    "objectives": OBJECTIVES,
}
PARAMS = {f"n{WILD}": WILD}
PROBLEM = {"title": WILD, "status": 409, "detail": f"refused: {WILD}", "code": "conflict"}
FIELDS = {**PROBLEM, "errors": [{"field": f"enqueue.{WILD}", "message": WILD}]}


def wild_trial(number: int, value: float | None = 0.97, **changes: Any) -> dict[str, Any]:
    return trial_json(
        number,
        value,
        params=PARAMS,
        metrics={METRIC: 0.5},
        worker=WILD,
        user_attrs={WILD: WILD},
        **{"reason": WILD, **changes},
    )


def wild_study(state: str = "running", **changes: Any) -> dict[str, Any]:
    best = wild_trial(7)
    reason = WILD if state == "finished" else None
    study = study_json(state, complete=1, definition=WILD_DEFINITION, best=best, waits_for=WILD)
    return {**study, "finished_reason": reason, **changes}


def wild_final(state: str = "complete") -> dict[str, Any]:
    candidates = [{**candidate(7, 0.97), "params": PARAMS, "violated": [WILD]}]
    texts = {"metric": METRIC, "comparison": WILD, "reason": WILD, "forced": True, "requested_by": WILD}
    return final_json(state, candidates=candidates, failure=WILD if state == "failed" else None, **texts)


def answer_all(service: StandIn) -> None:
    studies = "GET /v1/studies/digits"
    trials = [wild_trial(0), wild_trial(1, None), wild_trial(2, violated=[WILD], reason=None)]
    diagnosed = diagnosed_json(1, "overfitting", WILD)
    advice = [{"field": f"training.{WILD}", "message": WILD}]
    ranges = {f"n{WILD}": range_json(0.1, 0.2, note=WILD)}
    first = round_json(1, range_json(1e-4, 1.0, verdict="first"), ranges=ranges, note=WILD, requested_by=WILD)
    digest, now = hashlib.sha256(WILD.encode()).hexdigest(), "2026-01-02T03:04:05Z"
    output = {
        "name": "output",
        "size_bytes": len(WILD.encode()),
        "sha256": digest,
        "created_at": now,
        "step": 0,
        "attempt": 1,
    }
    service.answers |= {
        "GET /v1/studies": (200, {"studies": [wild_study()], "next_cursor": None}),
        studies: (200, wild_study("finished")),
        "PATCH /v1/studies/digits": (409, PROBLEM),
        "POST /v1/studies": (422, FIELDS),
        f"{studies}/trials?order_by=number&limit=100": (200, {"trials": trials, "next_cursor": "c"}),
        f"{studies}/best?k=5": (200, {"trials": trials[:1], "better_unfinished": trials[2]}),
        f"{studies}/best?k=1": (200, {"trials": trials[:1], "better_unfinished": trials[2]}),
        f"{studies}/trials/0": (200, trials[0]),
        f"{studies}/trials/0/artifacts": (200, {"artifacts": [output]}),
        "GET /v1/artifacts/digits/0/output": (200, WILD.encode()),
        f"{studies}/export?format=csv": (409, PROBLEM),
        f"{studies}/diagnosis?limit=10000": (
            200,
            diagnosis_json(diagnosed, advice=advice, train_metric=WILD, validation_metric=METRIC),
        ),
        f"{studies}/diagnosis": (
            200,
            diagnosis_json(diagnosed, advice=advice, train_metric=WILD, validation_metric=METRIC),
        ),
        f"{studies}/rounds": (200, {"study": "digits", "rounds": [first]}),
        "POST /v1/studies/digits/final": (200, wild_final()),
        f"{studies}/final": (200, wild_final()),
        "POST /v1/studies/digits/imports": (409, PROBLEM),
        "GET /v1/tokens": (200, {"tokens": [token_json(f"lab{WILD}")]}),
        "POST /v1/tokens": (201, token_json(f"lab{WILD}", token="secret")),
        "DELETE /v1/tokens/lab": (200, token_json(f"lab{WILD}")),
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ["studies"],
        ["trials", "digits"],
        ["best", "digits"],
        ["watch", "digits"],
        ["diagnose", "digits"],
        ["final", "digits"],
        ["final", "digits", "--show"],
        ["narrow", "digits", "--show"],
        ["pause", "digits"],
        ["resume", "digits"],
        ["stop", "digits"],
        ["submit", "study.json"],
        ["import", "trials.csv", "--into", "digits"],
        ["export", "digits"],
        ["convert", f"sweep{WILD}.yaml"],
        ["model", "digits", "--trial", "0", "--out", "model"],
        ["token", "list"],
        ["token", "create", "--scope", "work", "--name", "lab"],
        ["token", "revoke", "lab"],
        ["trials", "digits", f"--{WILD}"],
        ["trials", "digits", "--state", WILD],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_command_prints_no_control_character(
    service: StandIn, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("study.json").write_text(json.dumps(DEFINITION))
    Path("trials.csv").write_text("\x1b[31mred\x9b,value\n0.1,0.5\n")
    answer_all(service)
    run(arguments)
    printed = capsys.readouterr()
    text = printed.out + printed.err
    assert OBEYED.findall(text) == []
    assert "\\x1b" in text or arguments in QUIET, text


QUIET = [["model", "digits", "--trial", "0", "--out", "model"], ["studies"]]
"""Commands that print none of the wild texts, because names of studies have no such characters."""


class Terminal(io.TextIOWrapper):
    """Standard output that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("arguments", [["logs", "digits", "0"], ["watch", "digits"], ["trials", "digits"]])
def test_a_terminal_gets_no_control_character_of_a_user(
    service: StandIn, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", Terminal(out, encoding="utf-8"))
    monkeypatch.setenv("TERM", "xterm")
    answer_all(service)
    assert run(arguments) == 0
    sys.stdout.flush()
    ours = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue().decode().replace("\r", ""))  # of the live display
    assert OBEYED.findall(ours) == []
    assert "\x1b[31mred" not in out.getvalue().decode()
    assert "evil" in ours


@pytest.mark.parametrize("arguments", [["trials", "digits", "--json"], ["export", "digits"]])
def test_data_stay_as_they_are(
    service: StandIn, capsysbinary: pytest.CaptureFixture[bytes], arguments: list[str]
) -> None:
    answer_all(service)
    content = json.dumps({"reason": "\x9b\u202e"}, ensure_ascii=False).encode()
    service.answers["GET /v1/studies/digits/trials?order_by=number&limit=100"] = (200, content)
    service.answers["GET /v1/studies/digits/export?format=csv"] = (200, content)
    assert run(arguments) == 0
    assert capsysbinary.readouterr().out.strip() == content


@pytest.mark.parametrize("arguments", [["trials", "digits", "--json"], ["export", "digits", "--format", "json"]])
def test_json_on_a_terminal_is_the_same_when_parsed(
    service: StandIn, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", Terminal(out, encoding="utf-8"))
    found = {"reason": f"\x9b\u202e\x7f\u2066é漢{WILD}"}
    content = json.dumps(found, ensure_ascii=False).encode()
    service.answers["GET /v1/studies/digits/trials?order_by=number&limit=100"] = (200, content)
    service.answers["GET /v1/studies/digits/export?format=json"] = (200, content)
    assert run(arguments) == 0
    sys.stdout.flush()
    text = out.getvalue().decode()
    assert OBEYED.findall(text) == []
    assert "é漢" in text
    assert json.loads(text) == found


def test_csv_on_a_terminal_has_no_control_character(service: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", Terminal(out, encoding="utf-8"))
    content = f'number,user_attrs_note\r\n0,"é漢{WILD}"\r\n'.encode()
    service.answers["GET /v1/studies/digits/export?format=csv"] = (200, content)
    assert run(["export", "digits"]) == 0
    sys.stdout.flush()
    text = out.getvalue().decode()
    assert OBEYED.findall(text) == []
    assert text.splitlines()[:2] == ["number,user_attrs_note", f'0,"é漢a{SHOWN}']
    assert text.endswith('last"\n')


@pytest.mark.parametrize("n_bytes", [1, 2, 3, 5])
@pytest.mark.parametrize("is_json", [False, True])
def test_pieces_may_be_cut_anywhere(monkeypatch: pytest.MonkeyPatch, n_bytes: int, is_json: bool) -> None:
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", Terminal(out, encoding="utf-8", newline="\n"))
    content = "漢\r\n\x9b".encode()
    pieces = (content[start : start + n_bytes] for start in range(0, len(content), n_bytes))
    say_pieces(pieces, is_json=is_json)
    sys.stdout.flush()
    assert out.getvalue().decode() == ("漢\r\n\\u009b" if is_json else "漢\n\\x9b")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain [brackets] :smile: é 漢 👩‍🔬", "plain [brackets] :smile: é 漢 👩‍🔬"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("a\tb\rc\nd", "a b\\rc\nd"),
        ("\x00\x7f\x9b\u202e\ud800", "\\x00\\x7f\\x9b\\u202e\\ud800"),
    ],
)
def test_control_characters_are_shown_as_escapes(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(shown) == shown


def test_a_cell_has_no_line_breaks() -> None:
    assert one_line("a\r\nb\nc\r") == "a b c\\r"


def test_commands_print_by_say_complain_and_the_console_alone() -> None:
    """Data go to standard output as they are: an export, JSON, a converted definition, the output of a trial."""
    data = {"output.py": 1, "convert.py": 1, "logs.py": 1}
    found: dict[str, int] = {}
    for file in (ROOT / "narrows" / "cli").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "print",
                "typer.echo",
                "sys.stdout.write",
                "sys.stderr.write",
                "sys.stdout.buffer.write",
            ):
                found[file.name] = found.get(file.name, 0) + 1
    assert found.pop("terminal.py") == 4
    assert found == data
