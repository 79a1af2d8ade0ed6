import logging

import pytest

from service.schemas.log_lines import LineFormatter
from tests.unit.workers.fakes import ONE_CPU
from workers.__main__ import cpu_environment
from workers.user_code.process import environment_for


@pytest.mark.parametrize(
    ("exported", "users"),
    [
        ({}, None),
        ({"MKL_NUM_THREADS": ""}, None),
        ({"OMP_NUM_THREADS": "3"}, ("3", "3", "3")),
        ({"OPENBLAS_NUM_THREADS": "2"}, ("2", "2", "2")),
        ({"OPENBLAS_NUM_THREADS": "2", "MKL_NUM_THREADS": "4"}, ("4", "4", "2")),
    ],
)
def test_a_process_on_the_cpu_has_one_thread_and_users_code_the_numbers_of_the_user(
    exported: dict[str, str], users: tuple[str, str, str] | None
) -> None:
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    ours = dict.fromkeys(names, "1")
    environment = {"PATH": "/bin", **exported} | cpu_environment({"PATH": "/bin", **exported})
    assert {name: environment[name] for name in names} == ours
    seen = environment_for(ONE_CPU, environment)
    assert {name: seen[name] for name in names} == (ours if users is None else dict(zip(names, users, strict=True)))


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
