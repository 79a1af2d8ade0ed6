"""Trials of users' code in real processes, with a fake service: whatever the code does ends only its trial."""

import threading
from functools import partial

import httpx
import pytest

from tests.unit.workers.fakes import problem
from tests.unit.workers.user_code.objectives.runner_harness import RunnerHarness
from tests.waiting import PATIENCE_SECONDS, until

pytestmark = pytest.mark.processes

NESTED = "os.write(context._channel._connection.fileno(), b'[' * 5000 + b'\\n')\ntime.sleep(600)"
ITSELF = """import subprocess
subprocess.run([sys.executable, "-m", "workers.user_process"])
os.kill(os.getpid(), 9)"""
ATTRIBUTE = "context._channel.call('set_user_attr', user_attrs={'n': '\\ud800'})"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("os.kill(os.getpid(), 40)", "killed by signal 40"),
        (NESTED, "sent an invalid message"),
        (ATTRIBUTE, "surrogates not allowed"),
        ("raise ValueError('first\\n' + 'second')", "ValueError: first second"),
        (ITSELF, "the trial's code has started its own program again"),
        ("raise ValueError('\\udce4')", r"ValueError: \udce4"),
        ("return {f'm{number}': 1.0 for number in range(100)}", "at most 100 items"),
        ("context._channel.send({'call': 'failed', 'reason': ''})\ntime.sleep(600)", "no reason"),
    ],
    ids=[
        *("unnamed signal", "nested message", "no Unicode", "two lines", "itself again"),
        *("an error that is no Unicode", "metrics", "no reason"),
    ],
)
def test_whatever_the_code_does_ends_only_its_trial(runner: RunnerHarness, body: str, reason: str) -> None:
    fault = runner.run(body)
    assert fault is not None
    assert reason.rstrip("?") in fault.reason
    assert [reason in body["reason"] for body in runner.bodies("fail")] == [True]
    assert list(runner.scratch.iterdir()) == []


def test_a_trial_reads_what_lies_beside_its_code_and_writes_files_of_its_own(runner: RunnerHarness) -> None:
    (runner.code / "labels.csv").write_text("0.25")
    (runner.code / "best.pt").write_text("an earlier run's")
    body = """seen = open("best.pt").read()
open("best.pt", "w").write("mine")
assert seen == "an earlier run's" and open("best.pt").read() == "mine"
return float(open("labels.csv").read())"""
    for _ in range(2):
        assert runner.run(body) is None
    assert [body["metrics"]["loss"] for body in runner.bodies("complete")] == [0.25, 0.25]
    assert (runner.code / "best.pt").read_text() == "an earlier run's"
    assert list(runner.scratch.iterdir()) == []


def test_code_that_reads_its_options_from_the_command_line_gets_its_defaults(runner: RunnerHarness) -> None:
    body = """import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=3)
assert sys.argv == [os.path.realpath(__file__)], sys.argv
return float(parser.parse_args().epochs)"""
    assert runner.run(body) is None
    assert [body["metrics"]["loss"] for body in runner.bodies("complete")] == [3.0]


def test_what_code_prints_before_it_leaves_is_in_the_reason(runner: RunnerHarness) -> None:
    body = """def options(depth):
    if depth:
        return options(depth - 1)
    import argparse
    argparse.ArgumentParser(prog="mine").parse_args(["--epochs"])
options(50)"""
    fault = runner.run(body)
    assert fault is not None
    assert fault.reason.startswith("the code called sys.exit(2); the end of its output:\nusage: mine ")
    assert fault.reason.endswith("mine: error: unrecognized arguments: --epochs")


def test_a_misspelt_function_is_the_whole_reason(runner: RunnerHarness) -> None:
    """A traceback would have lines of the worker alone."""
    (runner.code / "mine.py").write_text("def train(context): return 1.0\n")
    fault = runner.run_lease("mine:trian", runner.code)
    assert fault is not None
    assert fault.reason == "mine must have a function trian: did you mean train?"


def test_each_trial_has_the_hash_of_its_code(runner: RunnerHarness) -> None:
    for value in (1.0, 1.0, 2.0):
        assert runner.run(f"print('hello')\nreturn {value}") is None
    first, second, third = (body["user_attrs"]["code_hash"] for body in runner.bodies("user-attrs"))
    assert first == second != third
    assert len(third) == 16


def test_a_process_that_cannot_be_started_fails_its_trial_for_another_worker(runner: RunnerHarness) -> None:
    fault = runner.run_lease("mine:f", runner.code / "removed")
    assert fault is not None
    assert fault.retry
    assert "could not be run: FileNotFoundError" in fault.reason
    assert len(runner.bodies("fail")) == 1
    assert list(runner.scratch.iterdir()) == []


def test_a_full_disk_fails_its_trial_for_another_worker(runner: RunnerHarness) -> None:
    runner.scratch.rmdir()
    fault = runner.run("return 1.0")
    assert fault is not None
    assert fault.retry
    assert len(runner.bodies("fail")) == 1


def test_endlessly_nested_folders_are_neither_checkpointed_nor_left_behind(runner: RunnerHarness) -> None:
    deep = "os.chdir(context.checkpoint_dir)\nfor _ in range(1500):\n    os.mkdir('d')\n    os.chdir('d')\n"
    assert runner.run(f"{deep}context.report(0, loss=1.0)\nreturn 1.0", checkpoint_seconds=0.0) is None
    assert len(runner.bodies("complete")) == 1
    assert "artifacts/lease-0/checkpoint" not in runner.service.paths()
    assert list(runner.scratch.iterdir()) == []


def test_an_entrypoint_that_is_not_allowed_is_not_even_imported(runner: RunnerHarness) -> None:
    (runner.code / "other.py").write_text(f"open({str(runner.code / 'imported')!r}, 'w')\ndef f(context): pass\n")
    fault = runner.run_lease("other:f", runner.code)
    assert fault is not None
    assert fault.retry
    assert "does not allow the entrypoint other:f" in fault.reason
    assert [body["retry"] for body in runner.bodies("fail")] == [True]
    assert not (runner.code / "imported").exists()


@pytest.mark.parametrize(
    ("text", "retry", "lacking"),
    [("import not_installed_here\n", True, "mine"), ("def f(context): raise ValueError\n", False, None)],
    ids=["import", "own error"],
)
def test_a_module_that_cannot_be_imported_is_what_the_machine_lacks(
    runner: RunnerHarness, text: str, retry: bool, lacking: str | None
) -> None:
    (runner.code / "mine.py").write_text(text)
    fault = runner.run_lease("mine:f", runner.code)
    assert fault is not None
    assert (fault.retry, fault.lacking) == (retry, lacking)


def test_no_checkpoint_is_taken_while_another_waits(runner: RunnerHarness) -> None:
    """The first upload waits until five steps are over. Meanwhile no other checkpoint is taken."""
    turn = threading.Event()
    runner.errands.submit(partial(_wait, turn))
    go = runner.code / "go"
    body = f"""for step in range(5):
    (context.checkpoint_dir / "state").write_text(str(step))
    context.report(step, loss=1.0)
open({str(go)!r}, "w").close()
while os.path.exists({str(go)!r}):
    time.sleep(0.01)
return 1.0"""
    archives: list[list[str]] = []

    def look() -> None:
        until(go.exists)
        archives.append(sorted(path.name for path in runner.scratch.glob("*/step-*.tar")))
        turn.set()
        go.unlink()

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        assert runner.run(body, checkpoint_seconds=0.0) is None
    finally:
        watcher.join()
    assert archives == [["step-0.tar"]]
    assert runner.service.paths().count("artifacts/lease-0/checkpoint") == 1


def test_a_trial_that_the_service_does_not_pause_is_released(runner: RunnerHarness) -> None:
    """The code trains on although it should prune, because its folder is empty, and writes its first file then."""
    runner.service.decide = lambda _lease_id, step: "pause" if step == 0 else "continue"
    runner.service.answers["leases/lease-0/pause"] = [problem(409, "state_conflict")]
    body = """context.report(0, loss=1.0)
(context.checkpoint_dir / "state").write_text("1")
context.report(1, loss=1.0)
time.sleep(600)"""
    assert runner.run(body) is None
    assert "artifacts/lease-0/checkpoint" in runner.service.paths()
    assert [len(runner.bodies(end)) for end in ("pause", "release")] == [1, 1]


FILE = '(context.checkpoint_dir / "state").write_text("1")\n'
FOLDER = '(context.checkpoint_dir / "nothing").mkdir()\n'


@pytest.mark.parametrize(
    ("made", "answer", "end"),
    [
        (FILE, None, "pause"),
        (FILE, problem(503, "unavailable"), "pause"),
        (FILE, problem(500, "broken"), "release"),
        (FILE, problem(413, "too_large"), "pause"),
        (FOLDER, None, "pause"),
    ],
    ids=["kept", "kept later", "not kept for now", "refused", "no files"],
)
def test_a_trial_whose_files_could_not_be_uploaded_at_a_rung_is_released(
    runner: RunnerHarness, made: str, answer: httpx.Response | None, end: str
) -> None:
    runner.service.decide = lambda _lease_id, _step: "pause"
    runner.service.answers["artifacts/lease-0/checkpoint"] = [] if answer is None else [answer]
    assert runner.run(f"{made}context.report(0, loss=1.0)\ntime.sleep(600)") is None
    assert [path for path in runner.service.paths() if path.startswith("leases/")] == [
        *("leases/lease-0/user-attrs", f"leases/lease-0/{end}"),
    ]
    assert list(runner.scratch.iterdir()) == []


def _wait(turn: threading.Event) -> None:
    assert turn.wait(PATIENCE_SECONDS)
