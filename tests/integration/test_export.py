"""All trials of a study as a file."""

import csv
import json

from service.results.csv_columns import MAX_COLUMNS
from tests.integration.service_driver import Service, errors_of
from tests.integration.test_retries import retry


def test_trials_are_exported_as_csv_and_json(each_service: Service) -> None:
    name = each_service.create(
        n_trials=3,
        search_space={
            "gradient_clip": {"type": "categorical", "choices": [None, 1.0]},
            "nesterov": {"type": "categorical", "choices": [True, False]},
        },
        sampler={"name": "random", "seed": 1},
    )
    each_service.run(name)
    each_service.fail(each_service.claim_one(name), 'a "reason", with\nits own lines')
    each_service.claim_one(name)

    as_csv = each_service.http.get(f"/v1/studies/{name}/export", params={"format": "csv"})
    as_json = each_service.http.get(f"/v1/studies/{name}/export", params={"format": "json"})

    assert as_csv.headers["content-type"].startswith("text/csv")
    assert as_json.headers["content-type"] == "application/json"
    assert f'filename="{name}.csv"' in as_csv.headers["content-disposition"]
    assert as_json.json() == each_service.trials(name)
    header, *_ = as_csv.text.splitlines()
    assert header.split(",")[:2] == ["number", "state"]
    assert "value_validation_accuracy,params_gradient_clip,params_nesterov,metrics_validation_accuracy" in header
    assert 'a ""reason"", with' in as_csv.text


def test_a_csv_file_has_retries_and_user_attributes(service: Service) -> None:
    objectives = [{"metric": "loss", "direction": "minimize"}]
    name = service.create(objectives=objectives, training={"entrypoint": "mine.train:f"}, n_trials=1)
    (lease,) = service.claim(name, allow=["mine"])
    attrs = {"note": "=1", "text": "1", "number": -1, "sizes": [1, {"a": None}]}
    path = f"/v1/leases/{lease['lease_id']}/user-attrs"
    assert service.http.post(path, json={"user_attrs": attrs}).status_code == 200
    service.fail(lease, "no file labels.csv")
    retry(service, name, 0)

    first, second = csv.DictReader(service.http.get(f"/v1/studies/{name}/export").text.splitlines())
    found = {key.removeprefix("user_attrs_"): cell for key, cell in first.items() if key.startswith("user_attrs_")}
    assert found == {"note": "'=1", "text": '"1"', "number": "-1", "sizes": '[1, {"a": null}]'}
    assert (first["retry_of"], second["retry_of"], second["user_attrs_note"]) == ("", "0", "")


def test_a_csv_file_has_a_limited_number_of_columns(service: Service) -> None:
    """Names beyond the limit are in one column of each kind."""
    name = service.create(n_trials=2 * MAX_COLUMNS // 100 + 2)
    for number in range(2 * MAX_COLUMNS // 100):
        lease = service.claim_one(name)
        service.report(lease, 0, 0.5, **{f"m{number}_{index}": index / 8 for index in range(99)})
        service.complete(lease)
    header, *rows = csv.reader(service.http.get(f"/v1/studies/{name}/export").text.splitlines())
    named = [title for title in header if title.startswith("metrics_")]
    assert len(named) == MAX_COLUMNS
    assert named[:2] == ["metrics_validation_accuracy", "metrics_m0_0"]
    first, last = dict(zip(header, rows[0], strict=True)), dict(zip(header, rows[-1], strict=True))
    assert (first["metrics_m0_98"], first["other_metrics"]) == ("12.25", "")
    assert json.loads(last["other_metrics"]) == {f"m{len(rows) - 1}_{index}": index / 8 for index in range(99)}
    assert last["metrics_validation_accuracy"] == "0.5"


def test_an_export_of_nothing_is_still_a_file(service: Service) -> None:
    name = service.create()

    assert service.http.get(f"/v1/studies/{name}/export", params={"format": "json"}).json() == []
    assert len(service.http.get(f"/v1/studies/{name}/export").text.splitlines()) == 1


def test_an_unknown_format_is_refused(service: Service) -> None:
    assert "format" in errors_of(service.http.get(f"/v1/studies/{service.create()}/export", params={"format": "xml"}))
