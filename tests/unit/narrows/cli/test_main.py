import signal
import subprocess
import sys
from importlib.metadata import version

import pytest
import typer

from narrows.cli.main import app, run
from narrows.cli.settings import SETTINGS, Setting
from tests.unit.narrows.cli.stand_in import StandIn, study_json
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.processes

GROUP = typer.main.get_command(app).commands  # type: ignore[attr-defined]
TOKENS = {f"token {name}": command for name, command in GROUP["token"].commands.items()}
COMMANDS = {name: command for name, command in GROUP.items() if name != "token"} | TOKENS
NARROWS = [sys.executable, "-m", "narrows.cli.main"]


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"narrows {version('narrows')}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*name.split(), "--help"]) == 0
    assert f"Usage: narrows {name}" in capsys.readouterr().out


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_a_setting_is_an_option_of_its_commands_and_of_no_other(setting: Setting) -> None:
    flag = setting.flag.split("/")[0]
    options = {name: option for name, command in COMMANDS.items() for option in command.params if flag in option.opts}
    assert set(options) == set(setting.commands)
    for option in options.values():
        assert option.envvar == setting.environment
        assert option.default == setting.default


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["best"], "narrows: Missing argument 'STUDY'.\n"),
        (["bst"], "narrows: No such command 'bst'. Did you mean 'best'?\n"),
        (["serve", "--log-level"], "narrows: Option '--log-level' requires an argument.\n"),
        (["retry", "s", "--trial", "x"], "narrows: --trial must be a whole number: 'x'\n"),
        (["retry", "s", "--trial", "-1"], "narrows: --trial must be greater than or equal to 0: '-1'\n"),
        (["extend", "s", "--n-trials", "0"], "narrows: --n-trials must be greater than or equal to 1: '0'\n"),
        (["logs", "s", "x"], "narrows: N must be a whole number: 'x'\n"),
        (["narrow", "s", "--margin", "x"], "narrows: --margin must be a number: 'x'\n"),
        (["export", "s", "--format", "xlsx"], "narrows: --format must be one of csv, json, optuna: 'xlsx'\n"),
        (
            ["serve", "--port", "65536"],
            "narrows: --port (env var: NARROWS_PORT) must be less than or equal to 65535: '65536'\n",
        ),
    ],
)
def test_a_wrong_usage_is_one_line_and_status_2(
    arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    assert capsys.readouterr().err == line


def test_a_service_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["best", "digits", "--server", "http://127.0.0.1:9"]) == 1
    assert capsys.readouterr().err == "narrows: cannot reach http://127.0.0.1:9: Connection refused\n"


def test_an_unknown_study_is_one_line(service: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["best", "x", "--server", service.url]) == 1
    assert capsys.readouterr().err == "narrows: no study of this name: 'x'\n"


def test_a_file_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["submit", "nowhere.yaml"]) == 1
    assert capsys.readouterr().err == "narrows: nowhere.yaml: No such file or directory\n"


def test_commands_do_not_import_what_they_do_not_need(service: StandIn) -> None:
    service.answers["GET /v1/studies"] = (200, {"studies": [study_json()], "next_cursor": None})
    code = (
        "import sys; from narrows.cli.main import run; status = run(['studies']); "
        "print(*{'fastapi', 'optuna', 'sqlalchemy', 'torch'} & set(sys.modules)); sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == ""


def test_the_service_starts_without_what_only_some_pages_need() -> None:
    code = "import sys, service.web.app; print(*{'pandas', 'scipy.stats', 'sklearn', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_ctrl_c_ends_quietly_with_status_130(service: StandIn) -> None:
    service.answers["GET /v1/studies/digits"] = (200, study_json())
    command = [*NARROWS, "watch", "digits"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=_hear_ctrl_c
    ) as watch:
        try:
            assert watch.stdout is not None
            assert watch.stderr is not None
            assert watch.stdout.readline().startswith("digits: 3/30 trials done")
            watch.send_signal(signal.SIGINT)
            assert watch.wait(PATIENCE_SECONDS) == 130
            assert watch.stderr.read() == ""
        finally:
            watch.kill()


def _hear_ctrl_c() -> None:
    """As in a terminal: what a script's shell starts in the background is born deaf to it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("arguments", [["export", "digits"], ["studies", "--json"]])
def test_a_reader_that_goes_away_is_no_traceback(service: StandIn, arguments: list[str]) -> None:
    service.answers["GET /v1/studies/digits/export?format=csv"] = (200, b"x" * 1_000_000)
    service.answers["GET /v1/studies"] = (200, b"x" * 1_000_000)
    with subprocess.Popen([*NARROWS, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as command:
        assert command.stdout is not None
        assert command.stderr is not None
        command.stdout.read(10)
        command.stdout.close()
        command.wait(PATIENCE_SECONDS)
        assert command.stderr.read() == b""
