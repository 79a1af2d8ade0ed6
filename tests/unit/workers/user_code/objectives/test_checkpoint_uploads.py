import pytest

from tests.unit.workers.user_code.objectives.runner_harness import RunnerHarness, lease_of
from workers.user_code.objectives.checkpoint_uploads import CheckpointUploads

pytestmark = pytest.mark.processes


def test_a_checkpoint_folder_that_the_code_has_removed_counts_as_unused(runner: RunnerHarness) -> None:
    uploads = CheckpointUploads(
        lease_of({"entrypoint": "mine:f"}), runner.scratch, runner.client, runner.reporter, runner.errands
    )
    uploads.folder.rmdir()
    assert not uploads.has_files
