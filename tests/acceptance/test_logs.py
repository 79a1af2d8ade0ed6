"""The log of a real service."""

import json
import re

import httpx
import pytest

from service.client import Client
from tests.conftest import StartService
from tests.integration.service_driver import definition
from tests.waiting import PATIENCE_SECONDS


def make_study(server: str) -> None:
    with Client(server) as client:
        client.create_study(definition(name="logged"))


def test_every_line_of_a_json_log_is_an_object(service_process: StartService) -> None:
    service = service_process("--log-format", "json", "--log-level", "debug")
    make_study(service.url)
    headers = {"X-Request-ID": "mine"}
    httpx.delete(f"{service.url}/v1/studies/logged", headers=headers, trust_env=False, timeout=PATIENCE_SECONDS)
    service.stop()

    entries = [json.loads(line) for line in service.log.read_text().splitlines()]
    assert all({"time", "level", "logger", "message"} <= entry.keys() for entry in entries)
    (created,) = [entry for entry in entries if entry["message"] == "study logged is created: 3 trials"]
    assert (created["level"], created["study"]) == ("info", "logged")
    assert re.fullmatch("[0-9a-f]{16}", created["request_id"])
    (deleted,) = [entry for entry in entries if entry["message"] == "study logged is deleted"]
    assert deleted["request_id"] == "mine"
    assert any(entry["logger"].startswith("uvicorn") for entry in entries)


def test_a_text_log_names_the_request(service_process: StartService) -> None:
    service = service_process()
    make_study(service.url)
    service.stop()

    assert re.search(
        r"^\S+ \S+ INFO service\.\S+: study logged is created: 3 trials \[request [0-9a-f]{16}\]$",
        service.log.read_text(),
        flags=re.MULTILINE,
    )


@pytest.mark.parametrize("wrong", ["xml", "JSON "])
def test_another_format_is_refused(service_process: StartService, wrong: str) -> None:
    with pytest.raises(AssertionError, match="must be one of text, json: '"):
        service_process("--log-format", wrong, expect_exit=2)
