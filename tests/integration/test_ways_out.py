"""Every text that a user may send, by every way on which the service gives it out again."""

import csv
import io
import json
import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from narrows.cli.csv_trials import read_csv
from narrows.html_report.gather import gather
from narrows.html_report.page import render_page
from service.logs import TextFormatter
from service.schemas.csv_text import text_cell, text_of
from service.schemas.study.definition import Definition
from tests.integration.service_driver import Json, Service
from tests.integration.ways_out_driver import FORGED, WILD, send_everything
from tests.server_sent_events import parse

KEPT = {
    "CategoricalParameter.choices[]",
    "CategoricalParameter.when{}[]",
    "Choices.choices[]",
    "Complete.metrics{key}",
    "Constraint.metric",
    "Dataset.name",
    "Dataset.path",
    "Definition.enqueue[]{key}",
    "Definition.enqueue[]{}",
    "Definition.search_space{key}",
    "Definition.warm_start_defaults{key}",
    "Definition.warm_start_defaults{}",
    "Fail.reason",
    "FinalRequest.reason",
    "FloatParameter.when{}[]",
    "ImportedTrial.constraints{key}",
    "ImportedTrial.params{key}",
    "ImportedTrial.params{}",
    "IntParameter.when{}[]",
    "JsonValue any",
    "NewConstraints.constraints{key}",
    "NewImport.defaults{key}",
    "NewImport.defaults{}",
    "NewImport.distributions{key}",
    "NewImport.source",
    "NewTrial.params{key}",
    "NewTrial.params{}",
    "CommandTraining.arguments{key}",
    "CommandTraining.command[]",
    "CommandTraining.environment{}",
    "CommandTraining.metrics{key}",
    "CommandTraining.metrics{}",
    "CommandTraining.step",
    "CommandTraining.working_directory",
    "NewUserAttrs.user_attrs{key}",
    "UserTraining.arguments{key}",
    "Objective.metric",
    "Report.metrics{key}",
    "Suggest.name",
    "WorkerInfo.device",
    "WorkerInfo.host",
    "WorkerInfo.id",
    "WorkerInfo.narrows_version",
    "WorkerInfo.torch_version",
}
"""Fields of requests for any text. `send_everything` sends each of them."""


NOT_GIVEN_OUT = {
    "Claim.claim_id",
    "Renew.lease_ids[]",
    "Report.lease_id",
    "OwnDataset.arguments{key}",
    "OwnModel.arguments{key}",
    "CustomSampler.options{key}",
    "CommandTraining.environment{key}",
    "Claim.allow_commands[]",
    "Claim.allow_environment[]",
    "NewConversion.metric",
    "NewConversion.space",
    "NewConversion.text",
}
"""IDs that are looked up, what only decides who may train, and names that must be those of Python or variables.

A conversion is answered at once and not kept: `test_conversion.py` sends its texts.
"""


def test_every_field_for_any_text_is_sent_here(service: Service) -> None:
    assert set(_text_fields(service.app.openapi())) == KEPT | NOT_GIVEN_OUT


def _text_fields(document: Json) -> Iterator[str]:
    """Yield the strings in the bodies of requests that are bound to no pattern, choice or format."""
    seen: set[str] = set()

    def fields(schema: Any, at: str) -> Iterator[str]:
        if not isinstance(schema, dict):
            return
        name = schema.get("$ref", "").rpartition("/")[2]
        if name and name not in seen:
            seen.add(name)
            yield from fields(document["components"]["schemas"][name], name)
        for kind in ("anyOf", "oneOf", "allOf"):
            for one in schema.get(kind, []):
                yield from fields(one, at)
        if schema.get("type") == "string" and not schema.keys() & {"enum", "const", "pattern", "format"}:
            yield at
        for key, one in schema.get("properties", {}).items():
            yield from fields(one, f"{at}.{key}")
        yield from fields(schema.get("items"), f"{at}[]")
        yield from fields(schema.get("additionalProperties"), f"{at}{{}}")
        if "propertyNames" in schema:
            yield f"{at}{{key}}"
        if not name and schema.keys() <= {"title", "description", "examples", "default"}:
            yield f"{at} any"

    for operations in document["paths"].values():
        for operation in operations.values():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                yield from fields(content["schema"], "body")


@pytest.fixture(scope="module")
def told(service: Service) -> tuple[Service, list[str], str]:
    """A service that was sent everything, the names of its studies, and its text log."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TextFormatter())
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        studies = send_everything(service)
        logging.getLogger("service.test").error("%s", WILD, exc_info=ValueError(WILD))
    finally:
        root.removeHandler(handler)
    return service, studies, stream.getvalue()


def test_nothing_forges_a_line_of_a_text_log(told: tuple[Service, list[str], str]) -> None:
    lines = told[2].split("\n")
    assert any(FORGED in line for line in lines)
    assert [line for line in lines if line.startswith("2026-01-01 00:00:00")] == []
    assert [line for line in lines if line and not re.match(r"\d{4}-\d\d-\d\d |    ", line)] == []
    assert [line for line in lines if re.search("[\x00-\x1f\x7f-\x9f\u2028\u202e]", line)] == []


def test_no_text_is_a_formula_in_a_csv_file(told: tuple[Service, list[str], str]) -> None:
    service, (own, *_others), _ = told
    header, *rows = csv.reader(io.StringIO(service.http.get(f"/v1/studies/{own}/export").text, newline=""))
    assert len(rows) == 2
    for name, cell in ((name, cell) for row in rows for name, cell in zip(header, row, strict=True)):
        if not name.startswith(("value", "metrics_", "constraints_", "params_int", "params_float")):
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r")), (name, cell)
    first = dict(zip(header, rows[0], strict=True))
    assert (first["params_int"], first["params_choice"]) == ("-5", "'-a")
    assert first["worker"] == f"'{WILD}"


def test_no_text_of_a_table_is_a_formula_in_its_file(told: tuple[Service, list[str], str]) -> None:
    service, (own, *_others), _ = told
    columns = [name for name in service.get(f"/studies/{own}/table")["available"] if name != "params.int"]
    query = {"format": "csv", "columns": columns}
    text = service.http.get(f"/v1/studies/{own}/table", params=query).text
    header, *rows = csv.reader(io.StringIO(text, newline=""))
    assert len(rows) >= 2
    assert any(FORGED in name for name in header)
    for name, cell in ((name, cell) for row in (header, *rows) for name, cell in zip(columns, row, strict=True)):
        if cell and not name.startswith(("values.", "metrics.", "constraints.")):
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r")), (name, cell)


def test_events_answers_and_metrics_are_what_their_formats_say(told: tuple[Service, list[str], str]) -> None:
    service, studies, _ = told
    stream = service.http.get("/v1/events", params={"follow": False, "last_event_id": "0"}).text
    assert all(line.startswith(("id: ", "event: ", "data: ", "retry: ", ": ")) for line in stream.split("\n") if line)
    assert parse(stream)
    paths = ["/v1/studies", "/v1/workers", *(f"/v1/studies/{name}{path}" for name in studies for path in PATHS)]
    for path in paths:
        answer = service.http.get(path)
        assert not re.search(rb"[\x00-\x09\x0b-\x1f]", answer.content), path
        for line in answer.text.split("\n") if path.endswith("optuna") else [answer.text]:
            assert line == "" or json.loads(line) is not None, path
    for line in service.http.get("/metrics").text.split("\n"):
        assert (
            line == ""
            or line.startswith("#")
            or re.match(r'[a-z_]+(\{(\w+="([^"\\]|\\.)*",?)+\})? [-+.\deinfaINFA]+$', line)
        ), line


PATHS = (
    "",
    "/trials",
    "/trials/0",
    "/trials/0/curves",
    "/best",
    "/importance",
    "/diagnosis",
    "/curves?trials=last:9",
    "/table",
    "/progress",
    "/imports",
    "/imports/0",
    "/rounds",
    "/final",
    "/export?format=json",
    "/export?format=optuna",
)


def test_a_page_shows_tags_as_text(told: tuple[Service, list[str], str]) -> None:
    service, (own, *_others), _ = told

    with service.client() as client:
        page = render_page(gather(client, own), datetime(2026, 1, 2, tzinfo=UTC))
    assert "alert(1)" in page
    assert "<script>alert(1)" not in page
    login = service.http.get("/login", params={"next": f"/{WILD}"}).text
    assert "<script>alert(1)" not in login


CHOICES = [
    "=a",
    "'=a",
    "+1",
    "-1",
    "@b",
    "\tc",
    "\rd",
    "",
    "plain",
    "e\nf",
    'g"h',
    "3",
    3,
    "null",
    None,
    "true",
    True,
    "None",
    -2,
]


def test_an_own_csv_file_comes_back_as_it_was(service: Service) -> None:
    space: Json = {
        "choice": {"type": "categorical", "choices": CHOICES},
        "float": {"type": "float", "low": -1, "high": 1},
        "int": {"type": "int", "low": -9, "high": 9},
    }
    objectives = [{"metric": "loss", "direction": "minimize"}]
    training = {"entrypoint": "mine.train:f"}
    params = [{"choice": choice, "float": -0.5, "int": -index % 9} for index, choice in enumerate(CHOICES)]
    name = service.create(
        objectives=objectives, training=training, search_space=space, enqueue=params, n_trials=len(params)
    )
    for _ in params:
        (lease,) = service.claim(name, allow=["mine"])
        service.http.post(f"/v1/leases/{lease['lease_id']}/complete", json={"values": [-1.5]}).raise_for_status()

    text = service.http.get(f"/v1/studies/{name}/export").text
    back, unreadable = read_csv(text, Definition.model_validate(service.study(name)["definition"]))

    assert [repr(trial["params"]) for trial in back] == [repr(one) for one in params]
    assert unreadable == []
    assert [trial["values"] for trial in back] == [[-1.5]] * len(params)


@pytest.mark.parametrize("text", ["=a", "'=a", "''=a", "'a", "'", "", "a=b", "\ta", "-", "'\r"])
def test_the_text_of_a_cell_is_the_text_that_was_written(text: str) -> None:
    cell = text_cell(text)
    assert text_of(cell) == text
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
