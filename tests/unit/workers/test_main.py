import logging

import pytest

from service.schemas.log_lines import LineFormatter
from tests.unit.workers.test_options import LINE
from workers.__main__ import worker_slot
from workers.options import parse


@pytest.mark.parametrize(
    ("device", "exported", "theirs"),
    [
        ("cpu", {"OMP_NUM_THREADS": "4"}, {"OMP_NUM_THREADS": "4"}),
        ("cpu", {}, {}),
        ("cuda:0", {"OMP_NUM_THREADS": "4"}, {}),
    ],
)
def test_a_process_on_the_cpu_has_one_thread_and_keeps_the_users_numbers_for_users_code(
    device: str, exported: dict[str, str], theirs: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    for name, value in exported.items():
        monkeypatch.setenv(name, value)
    ours = dict.fromkeys(names, "1") if device == "cpu" else {}
    kept = {f"NARROWS_USER_{name}": value for name, value in theirs.items()}
    assert worker_slot(parse(LINE), device, 1).environment == ours | kept


def test_a_line_of_the_log_has_no_control_characters() -> None:
    arguments = ("\x1b]0;title\x07", "\x9b\r\u202e")
    record = logging.LogRecord("narrows.worker", logging.INFO, __file__, 1, "trial failed: %s in\t%s", arguments, None)
    assert LineFormatter("%(levelname)s %(message)s").format(record) == (
        "INFO trial failed: \\x1b]0;title\\x07 in \\x9b\\r\\u202e"
    )


def test_a_text_with_line_breaks_is_one_line_and_a_traceback_is_indented() -> None:
    error = ValueError("first\n2026-01-01 ERROR forged")
    given = (type(error), error, None)
    record = logging.LogRecord("narrows.worker", logging.INFO, __file__, 1, "failed: %s", (str(error),), given)
    assert LineFormatter("%(levelname)s %(message)s").format(record).split("\n") == [
        "INFO failed: first\\n2026-01-01 ERROR forged",
        "    ValueError: first",
        "    2026-01-01 ERROR forged",
    ]
