"""Trials of users' code in real processes, with a fake service: whatever the code does ends only its trial."""

import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.client.retries import Retries
from service.schemas.protocol import Lease
from tests.unit.workers.fakes import FakeService, FakeTime, lease_json, problem, until
from workers.faults import Fault
from workers.fleet.stopping import Stopping
from workers.leases.checkpoint_keeper import CheckpointKeeper
from workers.leases.errands import Errands
from workers.leases.model_uploader import ModelUploader
from workers.leases.outcome_client import OutcomeClient
from workers.leases.reporter import Reporter
from workers.leases.study_facts import StudyFactsCache
from workers.leases.trial_finisher import TrialFinisher
from workers.options import KeepModels
from workers.user_code.conversation import Conversation
from workers.user_code.objectives.call_handler import CallHandler
from workers.user_code.objectives.checkpoint_uploads import CheckpointUploads
from workers.user_code.objectives.objective_runner import ObjectiveRunner
from workers.user_code.objectives.process_watcher import ProcessWatcher
from workers.user_code.outcome import PrunedByCode
from workers.user_code.output_tail import OutputTail
from workers.user_code.output_uploads import OutputUploads
from workers.user_code.process import UserProcess
from workers.user_code.user_code_options import UserCodeOptions
from workers.user_code.written_files import model_reader

pytestmark = pytest.mark.processes


class RunnerHarness:
    """A worker's parts around ObjectiveRunner; its scratch folders are in `scratch`, the code in `code`."""

    def __init__(self, folder: Path, keep_models: KeepModels = "all") -> None:
        self.code, self.scratch = folder / "code", folder / "scratch"
        self.code.mkdir()
        self.scratch.mkdir()
        self.keep_models = keep_models
        self.service, self.errands, self.stopping = FakeService(), Errands(), Stopping()
        self.client = self.service.client()
        self.reporter = Reporter(self.client, Retries(1.0))

    def run(self, body: str, entrypoint: str = "mine:f", checkpoint_seconds: float = 30.0) -> Fault | None:
        """Run a trial of `def f(context)` with this body until every call to the service is done."""
        lines = "".join(f"    {line}\n" for line in body.splitlines())
        (self.code / "mine.py").write_text(f"import json, os, sys, time\ndef f(context):\n{lines}")
        return self.run_lease(entrypoint, self.code, checkpoint_seconds)

    def run_lease(self, entrypoint: str, code: Path, checkpoint_seconds: float = 30.0) -> Fault | None:
        lease = lease_of(entrypoint)
        self.reporter.follow(lease)
        retries = Retries(1.0)
        model_uploader = ModelUploader(self.client, StudyFactsCache(self.client, retries), self.keep_models, retries)
        checkpoints, outcomes = (
            CheckpointKeeper(self.client, self.reporter),
            OutcomeClient(self.client, self.stopping),
        )
        finisher = TrialFinisher(self.reporter, outcomes, model_uploader, checkpoints, self.errands, self.stopping)
        user_code, parts = UserCodeOptions(("mine",), code), (self.client, self.reporter, finisher, self.errands)
        trials = ObjectiveRunner(user_code, "cpu", *parts, self.stopping, checkpoint_seconds=checkpoint_seconds)
        fault = trials.run(lease)
        assert self.errands.finish(30.0)
        self.errands.check()
        return fault

    def bodies(self, call: str) -> list[Any]:
        """Return the bodies of calls with the lease, such as `complete`."""
        return self.service.bodies(f"leases/lease-0/{call}")

    def close(self) -> None:
        self.errands.close()
        self.reporter.close()
        self.client.close()


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunnerHarness]:
    runner = RunnerHarness(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(runner.scratch))
    yield runner
    runner.close()


def lease_of(entrypoint: str) -> Lease:
    objectives = [{"metric": "loss", "direction": "minimize"}]
    fields = {"training": {"entrypoint": entrypoint}, "objectives": objectives}
    return Lease.model_validate({**lease_json(), **fields})


NESTED = "os.write(context._channel._connection.fileno(), b'[' * 5000 + b'\\n')\ntime.sleep(600)"
ATTRIBUTE = "context._channel.call('set_user_attr', user_attrs={'n': '\\ud800'})"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("os.kill(os.getpid(), 40)", "killed by signal 40"),
        (NESTED, "sent an invalid message"),
        (ATTRIBUTE, "surrogates not allowed"),
        ("raise ValueError('\\udce4')", "ValueError: ?"),
        ("return {f'm{number}': 1.0 for number in range(100)}", "at most 100 items"),
        ("context._channel.send({'call': 'failed', 'reason': ''})\ntime.sleep(600)", "no reason"),
    ],
    ids=["unnamed signal", "nested message", "no Unicode", "an error that is no Unicode", "metrics", "no reason"],
)
def test_whatever_the_code_does_ends_only_its_trial(runner: RunnerHarness, body: str, reason: str) -> None:
    fault = runner.run(body)
    assert fault is not None
    assert reason.rstrip("?") in fault.reason
    assert [reason in body["reason"] for body in runner.bodies("fail")] == [True]
    assert list(runner.scratch.iterdir()) == []


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


def test_a_checkpoint_folder_that_the_code_has_removed_counts_as_unused(runner: RunnerHarness) -> None:
    uploads = CheckpointUploads(lease_of("mine:f"), runner.scratch, runner.client, runner.reporter, runner.errands)
    uploads.folder.rmdir()
    assert not uploads.has_files


def test_an_entrypoint_that_is_not_allowed_is_not_even_imported(runner: RunnerHarness) -> None:
    (runner.code / "other.py").write_text(f"open({str(runner.code / 'imported')!r}, 'w')\ndef f(context): pass\n")
    fault = runner.run_lease("other:f", runner.code)
    assert fault is not None
    assert fault.retry
    assert "does not allow the entrypoint other:f" in fault.reason
    assert [body["retry"] for body in runner.bodies("fail")] == [True]
    assert not (runner.code / "imported").exists()


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
        until(go.exists, 20.0)
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
    assert [path for path in runner.service.paths() if path.startswith("leases/")] == [f"leases/lease-0/{end}"]
    assert list(runner.scratch.iterdir()) == []


def test_packing_a_checkpoint_does_not_count_as_time_of_the_code(runner: RunnerHarness) -> None:
    """It counts neither for the step timeout nor for the trial timeout."""
    clock = FakeTime()

    class Slow(CheckpointUploads):
        def save(self, step: int) -> None:
            super().save(step)
            clock.sleep(100.0)

    lease, retries = lease_of("mine:f"), Retries(1.0)
    runner.reporter.follow(lease)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for step in range(2):
            theirs.sendall(b'{"call": "report", "step": %d, "metrics": {"loss": 1}}\n' % step)
        theirs.sendall(b'{"call": "pruned"}\n')
        process = UserProcess("cpu", None)
        try:
            outcome = ProcessWatcher(
                lease.user_code.model_copy(update={"step_timeout_seconds": 50.0, "trial_timeout_seconds": 50.0}),
                process,
                Conversation(ours),
                CallHandler(lease, runner.client, runner.reporter, retries),
                Slow(lease, runner.scratch, runner.client, runner.reporter, runner.errands),
                lambda: "continue",
                runner.stopping,
                0.0,
                lambda: None,
                clock,
            ).watch()
        finally:
            process.end(0.0)
    assert outcome == PrunedByCode()


def _wait(turn: threading.Event) -> None:
    assert turn.wait(20.0)


MODEL = "path = context._start['model_path']\n"


def test_a_model_is_uploaded(runner: RunnerHarness) -> None:
    assert runner.run(f"{MODEL}open(path, 'w').write('weights')\nreturn 1.0") is None
    assert "artifacts/lease-0/model" in runner.service.paths()


@pytest.mark.parametrize(
    "made",
    [
        "os.symlink(__file__, path)",
        "os.mkfifo(path)",
        "os.mkdir(path)",
        "open(path, 'w').truncate(2**30 + 1)",
    ],
    ids=["link", "pipe", "folder", "too large"],
)
def test_a_model_that_is_no_plain_file_of_moderate_size_is_not_read(
    runner: RunnerHarness, made: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert runner.run(f"{MODEL}{made}\nreturn 1.0") is None
    assert len(runner.bodies("complete")) == 1
    assert "artifacts/lease-0/model" not in runner.service.paths()
    assert "a model must" in caplog.text


def test_a_model_that_will_not_be_saved_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"first")
    content = model_reader(path, "s #0")
    path.write_bytes(b"second")
    assert content is not None
    assert content() == b"second", "it is read when it is asked for"


def test_a_model_that_is_removed_meanwhile_does_no_harm(runner: RunnerHarness) -> None:
    retries, lease = Retries(1.0), lease_of("mine:f")
    model_uploader = ModelUploader(runner.client, StudyFactsCache(runner.client, retries), "all", retries)
    path = runner.scratch / "model"
    path.write_bytes(b"weights")
    content = model_reader(path, "s #0")
    assert content is not None
    path.unlink()
    path.symlink_to(runner.code)
    model_uploader.upload_if_wanted(lease, {}, content)
    assert runner.service.paths() == []


def test_output_whose_upload_failed_is_uploaded_again(runner: RunnerHarness) -> None:
    runner.service.answers["artifacts/lease-0/output"] = [problem(500, "broken")]
    with subprocess.Popen(["echo", "said"], stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdout is not None
        output = OutputTail(process.stdout)
        output.finish(10.0)
    uploads = OutputUploads(lease_of("mine:f"), output, runner.client, runner.errands, lambda: 0.0)
    for _ in range(3):
        uploads.upload()
        assert runner.errands.finish(10.0)
    assert runner.service.paths() == ["artifacts/lease-0/output"] * 2
