"""Tables of trials: columns, filters, orders, positions, files and versions."""

import csv
import io
import json
from typing import Any

import pytest

from tests.integration.service_driver import Json, Service, bearer, errors_of
from tests.integration.views_driver import PARAMS, VALUES, every_kind


@pytest.fixture(scope="module")
def study(service: Service) -> str:
    return every_kind(service)


def table(service: Service, study: str, **query: Any) -> Json:
    return service.get(f"/studies/{study}/table", **query)


def numbers(service: Service, study: str, **query: Any) -> list[int]:
    return [row[0] for row in table(service, study, columns=["number"], **query)["rows"]]


def test_a_table_has_the_columns_that_a_page_shows_first(service: Service, study: str) -> None:
    found = table(service, study)
    params = [f"params.{name}" for name in PARAMS[0]]
    assert found["columns"] == ["number", "state", "values.validation_accuracy", *params, "duration_seconds"]
    assert (found["total"], found["offset"]) == (6, 0)
    assert [row[:6] for row in found["rows"]] == [
        *([index, "COMPLETE", VALUES[index], *PARAMS[index].values()] for index in range(3)),
        [3, "FAIL", None, *PARAMS[3].values()],
        [4, "RUNNING", None, *PARAMS[4].values()],
        [5, "WAITING", None, *PARAMS[0].values()],
    ]
    assert [row[6] for row in found["rows"]] == [20.0, 20.0, 20.0, 0.0, None, None]


def test_every_column_says_what_the_trial_says(service: Service, study: str) -> None:
    available = table(service, study)["available"]
    assert {"metrics.train_accuracy", "reason", "worker", "attempts", "feasible", "step"} <= set(available)
    rows = table(service, study, columns=available)["rows"]
    for number, cells in enumerate(rows):
        row = dict(zip(available, cells, strict=True))
        trial = service.trial(study, number)
        for name in ("number", "state", "worker", "reason", "step", "duration_seconds", "retry_of"):
            assert row[name] == trial[name], name
        assert row["attempts"] == trial["n_attempts"]
        assert row["metrics.train_accuracy"] == trial["metrics"].get("train_accuracy")
        assert (row["started_at"] or "")[:19] == (trial["started_at"] or "")[:19]
        assert (row["finished_at"] or "")[:19] == (trial["finished_at"] or "")[:19]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("dropout < 0.3 and state = COMPLETE", [0, 1]),
        ("state = FAIL", [3]),
        ("state in (running, waiting)", [4, 5]),
        ("reason contains nan", [3]),
        ("value >= 0.6", [1, 2]),
        ("validation_accuracy > 0.6", [1]),
        ("metrics.validation_accuracy < 0.3", [3, 4]),
        ("metrics.train_accuracy = nan", [4]),
        ("metrics.train_accuracy is null", [3, 5]),
        ("optimizer = sgd or number = 5", [1, 3, 5]),
        ("params.optimizer != sgd", [0, 2, 4, 5]),
        ("duration_seconds > 1", [0, 1, 2]),
        ("attempts = 0", [5]),
        ("metrics.train_accuracy > metrics.validation_accuracy", [0, 1, 2]),
        ("number > 100", []),
    ],
)
def test_a_filter_chooses_trials(service: Service, study: str, where: str, expected: list[int]) -> None:
    found = table(service, study, where=where)
    assert ([row[0] for row in found["rows"]], found["total"]) == (expected, len(expected))


@pytest.mark.parametrize(
    ("order_by", "expected"),
    [
        ("number", [0, 1, 2, 3, 4, 5]),
        ("-number", [5, 4, 3, 2, 1, 0]),
        ("value", [0, 2, 1, 3, 4, 5]),
        ("-value", [1, 2, 0, 3, 4, 5]),
        ("-learning_rate", [2, 4, 3, 1, 0, 5]),
        ("params.optimizer", [0, 2, 4, 5, 1, 3]),
        ("-params.optimizer", [1, 3, 0, 2, 4, 5]),
        ("metrics.train_accuracy", [0, 2, 1, 3, 4, 5]),
        ("state", [0, 1, 2, 3, 4, 5]),
        ("-duration_seconds", [0, 1, 2, 3, 4, 5]),
        ("-started_at", [3, 4, 2, 1, 0, 5]),
    ],
)
def test_rows_are_sorted_by_any_column(service: Service, study: str, order_by: str, expected: list[int]) -> None:
    assert numbers(service, study, order_by=order_by) == expected


def test_rows_come_from_any_position(service: Service, study: str) -> None:
    assert numbers(service, study, offset=2, limit=2) == [2, 3]
    assert numbers(service, study, order_by="-number", where="number != 3", offset=1, limit=3) == [4, 2, 1]
    assert numbers(service, study, offset=100) == []
    assert table(service, study, limit=0)["total"] == 6


def test_a_file_has_all_that_matches(service: Service, study: str) -> None:
    query: Json = {"format": "csv", "where": "state = COMPLETE", "order_by": "-value", "limit": 1}
    response = service.http.get(
        f"/v1/studies/{study}/table", params={**query, "columns": ["number", "params.optimizer"]}
    )
    assert response.headers["content-type"].startswith("text/csv")
    assert f'filename="{study}.csv"' in response.headers["content-disposition"]
    assert list(csv.reader(io.StringIO(response.text))) == [
        ["number", "params.optimizer"],
        ["1", "sgd"],
        ["2", "adam"],
        ["0", "adam"],
    ]


@pytest.mark.parametrize(
    ("query", "field", "words"),
    [
        ({"where": "dropout <"}, "where", "where is wrong at character 9: a value must come here, not the end"),
        ({"where": "nothing = 1"}, "where", "where is wrong at character 0: there is no column 'nothing'"),
        ({"where": "x" * 3000}, "where", "at most 2000 characters"),
        ({"order_by": "nothing"}, "order_by", "order_by must be a column, with a leading - to descend: 'nothing'"),
        ({"columns": ["nothing"]}, "columns", "columns must be those of the study: there is no 'nothing'"),
        ({"columns": ["number"] * 501}, "columns", "at most 500"),
        ({"offset": -1}, "offset", "greater than or equal to 0: '-1'"),
        ({"limit": 10_001}, "limit", "less than or equal to 10000: '10001'"),
        ({"format": "xml"}, "format", "'xml'"),
        ({"format": "csv", "where": "("}, "where", "where is wrong at character 1"),
    ],
)
def test_a_wrong_query_is_refused(service: Service, study: str, query: Json, field: str, words: str) -> None:
    errors = errors_of(service.http.get(f"/v1/studies/{study}/table", params=query))
    assert words in errors[field]


def test_a_table_follows_the_trials(sqlite_service: Service) -> None:
    name = every_kind(sqlite_service)
    query = {"where": "state = COMPLETE", "order_by": "-metrics.validation_accuracy"}
    assert numbers(sqlite_service, name, **query) == [1, 2, 0]
    lease = sqlite_service.claim_one(name)
    sqlite_service.report(lease, 0, 0.8)
    assert numbers(sqlite_service, name, **query) == [1, 2, 0]
    sqlite_service.complete(lease, 0.9)
    assert numbers(sqlite_service, name, **query) == [5, 1, 2, 0]
    sqlite_service.restart()
    assert numbers(sqlite_service, name, **query) == [5, 1, 2, 0]


def test_metrics_that_come_after_a_trial_was_pruned_are_shown(sqlite_service: Service) -> None:
    pruner = {"name": "threshold", "lower": 0.5}
    name = sqlite_service.create(pruner=pruner)
    lease = sqlite_service.claim_one(name)
    assert sqlite_service.report(lease, 0, 0.1) == "prune"
    columns = ["state", "metrics.validation_accuracy"]
    assert table(sqlite_service, name, columns=columns)["rows"] == [["PRUNED", 0.1]]
    sqlite_service.complete(lease, 0.2)
    assert table(sqlite_service, name, columns=columns)["rows"] == [["PRUNED", 0.2]]


@pytest.mark.parametrize("path", ["table", "curves", "progress", "importance", "diagnosis"])
def test_an_answer_has_a_version(sqlite_service: Service, path: str) -> None:
    name = every_kind(sqlite_service)
    url = f"/v1/studies/{name}/{path}"

    def ask(tag: str | None) -> tuple[int, str]:
        response = sqlite_service.http.get(url, headers={} if tag is None else {"If-None-Match": tag})
        assert (response.content == b"") == (response.status_code == 304)
        return response.status_code, response.headers["etag"]

    _, tag = ask(None)
    assert ask(tag) == (304, tag)
    assert ask(f'"other", W/{tag}') == (304, tag)
    assert ask('"other"') == (200, tag)
    lease = sqlite_service.claim_one(name)
    status, started = ask(tag)
    assert (status, started == tag) == (200, False)
    sqlite_service.report(lease, 0, 0.3)
    status, reported = ask(started)
    assert (status, reported == started) == (200, False)
    other = sqlite_service.create()
    sqlite_service.run(other)
    assert ask(reported) == (304, reported)
    sqlite_service.restart()
    assert ask(reported)[0] == 200


@pytest.mark.parametrize("format", ["csv", "json", "optuna"])
def test_an_export_may_be_filtered(service: Service, study: str, format: str) -> None:
    query = {"format": format, "where": "state = COMPLETE and value > 0.55"}
    text = service.http.get(f"/v1/studies/{study}/export", params=query).text
    match format:
        case "csv":
            found = [int(row["number"]) for row in csv.DictReader(io.StringIO(text))]
        case "json":
            found = [trial["number"] for trial in json.loads(text)]
        case _:
            found = [json.loads(line)["number"] for line in text.splitlines()[1:]]
    assert found == [1, 2]
    wrong = service.http.get(f"/v1/studies/{study}/export", params={"format": format, "where": "value >"})
    assert "character 7" in errors_of(wrong)["where"]


def test_the_client_exports_what_matches(service: Service, study: str) -> None:
    with service.client() as client:
        text = b"".join(client.export(study, "json", "state = FAIL"))
    assert [trial["number"] for trial in json.loads(text)] == [3]


@pytest.mark.parametrize("path", ["table", "curves", "progress"])
def test_an_answer_needs_the_scope_read(guarded: Service, path: str) -> None:
    guarded.http.headers.update(bearer(guarded.create_token("submit", ["submit"])))
    name = guarded.create()
    url = f"/v1/studies/{name}/{path}"
    assert guarded.http.get(url).status_code == 200
    del guarded.http.headers["authorization"]
    assert guarded.http.get(url).status_code == 401
    worker = guarded.create_token("worker", ["work"])
    assert guarded.http.get(url, headers=bearer(worker)).status_code == 403
