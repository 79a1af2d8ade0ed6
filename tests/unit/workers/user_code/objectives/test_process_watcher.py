import socket
from functools import partial
from pathlib import Path

import pytest

from service.client.retries import Retries
from tests.unit.workers.fakes import ONE_CPU, FakeTime
from tests.unit.workers.user_code.objectives.runner_harness import RunnerHarness, lease_of
from workers.fleet.stopping import StopFlag
from workers.user_code.attempt import Attempt
from workers.user_code.conversation import Conversation
from workers.user_code.failures import next_message
from workers.user_code.objectives.call_handler import CallHandler
from workers.user_code.objectives.checkpoint_uploads import CheckpointUploads
from workers.user_code.objectives.process_watcher import ProcessWatcher
from workers.user_code.outcome import PrunedByCode
from workers.user_code.process import UserProcess

pytestmark = pytest.mark.processes


def test_packing_a_checkpoint_does_not_count_as_time_of_the_code(runner: RunnerHarness) -> None:
    """It counts neither for the step timeout nor for the trial timeout."""
    clock = FakeTime()

    class Slow(CheckpointUploads):
        def save(self, step: int) -> None:
            super().save(step)
            clock.sleep(100.0)

    lease, retries = lease_of({"entrypoint": "mine:f"}), Retries(1.0)
    runner.reporter.follow(lease)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for step in range(2):
            theirs.sendall(b'{"call": "report", "step": %d, "metrics": {"loss": 1}}\n' % step)
        theirs.sendall(b'{"call": "pruned"}\n')
        process, conversation = UserProcess(ONE_CPU, Path.cwd()), Conversation(ours)
        try:
            outcome = ProcessWatcher(
                lease.user_code.model_copy(update={"step_timeout_seconds": 50.0, "trial_timeout_seconds": 50.0}),
                Attempt(process, partial(next_message, process, conversation), conversation.send),
                CallHandler(lease, runner.client, runner.reporter, retries),
                Slow(lease, runner.scratch, runner.client, runner.reporter, runner.errands),
                lambda: "continue",
                StopFlag(runner.stopping),
                0.0,
                lambda: None,
                clock,
            ).watch()
        finally:
            process.end(0.0)
    assert outcome == PrunedByCode()
