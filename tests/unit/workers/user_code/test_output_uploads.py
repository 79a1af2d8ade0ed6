import subprocess

import pytest

from tests.unit.workers.fakes import problem
from tests.unit.workers.user_code.objectives.runner_harness import RunnerHarness, lease_of
from tests.waiting import PATIENCE_SECONDS
from workers.user_code.output_tail import OutputTail
from workers.user_code.output_uploads import OutputUploads

pytestmark = pytest.mark.processes


def test_output_whose_upload_failed_is_uploaded_again(runner: RunnerHarness) -> None:
    runner.service.answers["artifacts/lease-0/output"] = [problem(500, "broken")]
    with subprocess.Popen(["echo", "said"], stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdout is not None
        output = OutputTail(process.stdout)
        output.finish(PATIENCE_SECONDS)
    uploads = OutputUploads(lease_of({"entrypoint": "mine:f"}), output, runner.client, runner.errands, lambda: 0.0)
    for _ in range(3):
        uploads.upload()
        assert runner.errands.finish(PATIENCE_SECONDS)
    assert runner.service.paths() == ["artifacts/lease-0/output"] * 2
