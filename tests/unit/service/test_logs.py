import asyncio
import io
import json
import logging
import sys
from typing import Any

import pytest

from service.logs import JsonFormatter, TextFormatter, log_extra, set_request_subject
from service.web.request_ids import RequestIds


class Log:
    """A logger with a formatter, and the lines that come out of it."""

    def __init__(self, formatter: logging.Formatter) -> None:
        self._stream = io.StringIO()
        handler = logging.StreamHandler(self._stream)
        handler.setFormatter(formatter)
        self.logger = logging.Logger("service.test", logging.DEBUG)
        self.logger.addHandler(handler)

    def lines(self) -> list[str]:
        return self._stream.getvalue().splitlines()

    def entry(self) -> dict[str, Any]:
        (line,) = self.lines()
        found: dict[str, Any] = json.loads(line)
        return found


@pytest.fixture
def log() -> Log:
    return Log(JsonFormatter())


class Route:
    def __init__(self, path: str) -> None:
        self.path = path


async def during(scope: dict[str, Any], call: Any) -> None:
    """Call a function while a request is at hand."""

    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        call()

    async def nothing(*_: Any) -> Any:
        return {}

    await RequestIds(app)({"type": "http", "headers": [(b"x-request-id", b"r-1")], **scope}, nothing, nothing)


def in_request(call: Any, **scope: Any) -> None:
    asyncio.run(during(scope, call))


def test_an_entry_is_one_json_object_on_one_line(log: Log) -> None:
    log.logger.warning("two\nlines of %s, and é %r", "text", "\ud800")

    entry = log.entry()
    assert entry.pop("time").endswith("Z")
    assert entry == {
        "level": "warning",
        "logger": "service.test",
        "message": "two\nlines of text, and é '\\ud800'",
    }
    assert log.lines()[0].isascii(), "so that no terminal or file can spoil it"


def test_an_entry_says_what_it_is_log_extra(log: Log) -> None:
    log.logger.info("failed", extra=log_extra("mnist", 0, "lease-1"))

    entry = log.entry()
    assert (entry["study"], entry["trial"], entry["lease"]) == ("mnist", 0, "lease-1")


def test_a_stack_is_in_its_entry(log: Log) -> None:
    log.logger.error("it waits", stack_info=True)
    assert "test_a_stack_is_in_its_entry" in log.entry()["stack"]


def test_an_exception_is_in_its_entry(log: Log) -> None:
    try:
        raise ValueError("why")
    except ValueError:
        log.logger.exception("it broke")

    entry = log.entry()
    assert entry["exception"].startswith("Traceback")
    assert entry["exception"].endswith("ValueError: why")


def test_an_entry_of_a_request_has_its_id_and_what_its_path_names(log: Log) -> None:
    path = Route("/v1/studies/{name}/trials/{number}")
    in_request(lambda: log.logger.info("x"), route=path, path_params={"name": "mnist", "number": 3})

    entry = log.entry()
    assert (entry["request_id"], entry["study"], entry["trial"]) == ("r-1", "mnist", 3)


def test_a_name_in_another_path_is_no_study(log: Log) -> None:
    in_request(lambda: log.logger.info("x"), route=Route("/v1/artifacts/{name}"), path_params={"name": "a.bin"})

    assert "study" not in log.entry()


def test_an_entry_of_a_call_on_a_lease_has_what_was_found(log: Log) -> None:
    def call() -> None:
        set_request_subject("mnist", 4, "lease-1")
        log.logger.info("x")

    in_request(call, route=Route("/v1/leases/{lease_id}/fail"), path_params={"lease_id": "lease-1"})

    entry = log.entry()
    assert (entry["study"], entry["trial"], entry["lease"]) == ("mnist", 4, "lease-1")


def test_what_the_entry_itself_says_wins_and_is_not_mixed_with_the_requests(log: Log) -> None:
    def call() -> None:
        set_request_subject("mnist", 4, "lease-1")
        log.logger.info("another study is finished", extra=log_extra("other"))

    in_request(call)

    entry = log.entry()
    assert entry["study"] == "other"
    assert not {"trial", "lease"} & entry.keys()


def test_a_line_of_text_has_the_requests_id_when_there_is_one() -> None:
    log = Log(TextFormatter())
    log.logger.info("outside")
    in_request(lambda: log.logger.info("inside"))

    outside, inside = log.lines()
    assert outside.endswith(" INFO service.test: outside")
    assert inside.endswith(" INFO service.test: inside [request r-1]")


def test_a_traceback_in_text_follows_its_line() -> None:
    log = Log(TextFormatter())

    def call() -> None:
        try:
            raise ValueError("why")
        except ValueError:
            log.logger.error("it broke", exc_info=sys.exc_info())

    in_request(call)

    first, *_, last = log.lines()
    assert first.endswith("it broke [request r-1]")
    assert last == "    ValueError: why"


def test_a_line_of_text_has_no_control_characters() -> None:
    log = Log(TextFormatter())
    try:
        raise ValueError("\x9b2J")
    except ValueError:
        log.logger.exception("trial of worker %s", "\x1b[31mred\rover\u202e")
    first, *rest = log.lines()
    assert first.endswith("ERROR service.test: trial of worker \\x1b[31mred\\rover\\u202e")
    assert rest[-1] == "    ValueError: \\x9b2J"
