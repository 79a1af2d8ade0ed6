import logging

from workers.__main__ import TextFormatter


def test_a_line_of_the_log_has_no_control_characters() -> None:
    arguments = ("\x1b]0;title\x07", "\x9b\r\u202e")
    record = logging.LogRecord("narrows.worker", logging.INFO, __file__, 1, "trial failed: %s in\t%s", arguments, None)
    assert TextFormatter("%(levelname)s %(message)s").format(record) == (
        "INFO trial failed: \\x1b]0;title\\x07 in \\x9b\\r\\u202e"
    )
