"""The code in docs/several-devices.md does what the page says, with a real service and a real worker."""

from pathlib import Path

import pytest

from tests.acceptance.pages import definitions_of, files_of, page
from tests.acceptance.user_code_service import open_service

pytestmark = pytest.mark.slow

PAGE = page("several-devices.md")


def test_the_small_trials_of_the_page_complete(tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.mkdir()
    for name, text in files_of(PAGE):
        (code / name).write_text(text)
    (definition,) = [one for one in definitions_of(PAGE) if one.name == "small-trials"]
    with open_service(tmp_path) as service:
        service.client.create_study(definition.model_dump(mode="json", exclude_unset=True))
        with service.worker("--allow", "small", "--processes", "1", code=code):
            trials = service.finished("small-trials")

    assert len(trials) == definition.n_trials
    assert {trial.state for trial in trials} <= {"COMPLETE", "PRUNED"}, [trial.reason for trial in trials]
