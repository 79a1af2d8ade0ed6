import pytest

from tests.unit.service.conversion.conftest import Refused


@pytest.mark.parametrize(
    ("content", "file"),
    [
        ("", "sweep.yaml"),
        ("[", "sweep.yaml"),
        ("\x07", "sweep.yaml"),
        ("method: random\nparameters: {lr: {values: *missing}}", "sweep.yaml"),
        ("[" * 100_000, "sweep.json"),
        ("-" * 5_000 + "1", "sweep.py"),
        ("space = tune", "sweep.py"),
        ("x = \ud83d".encode(errors="replace").decode(), "sweep.py"),
    ],
)
def test_a_text_that_is_no_search_is_refused(refused: Refused, content: str, file: str) -> None:
    assert refused(content, file)
