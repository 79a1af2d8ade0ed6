"""All trials of a study as a file."""

from tests.integration.service_driver import (
    Service,
    errors_of,
)


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


def test_an_export_of_nothing_is_still_a_file(service: Service) -> None:
    name = service.create()

    assert service.http.get(f"/v1/studies/{name}/export", params={"format": "json"}).json() == []
    assert len(service.http.get(f"/v1/studies/{name}/export").text.splitlines()) == 1


def test_an_unknown_format_is_refused(service: Service) -> None:
    assert "format" in errors_of(service.http.get(f"/v1/studies/{service.create()}/export", params={"format": "xml"}))
