"""What a study found, on its pages: rounds, diagnosis, final evaluation, the Pareto front; and studies side by side."""

import re

import httpx
from playwright.sync_api import expect

from tests.acceptance.browser.acting_worker import ActingWorker
from tests.acceptance.browser.conftest import OpenPage
from tests.acceptance.browser.test_pages_browser import OPERATOR, create_study, http, origin

__all__ = ["http"]  # the fixture

SWEEP = """program: train.py
method: bayes
name: swept
metric: {name: val_loss, goal: minimize}
run_cap: 12
parameters:
  lr: {distribution: log_uniform_values, min: 1.0e-5, max: 1.0e-1}
"""


def test_a_study_is_narrowed_diagnosed_and_evaluated(http: httpx.Client, open_page: OpenPage) -> None:
    create_study(http, n_trials=5, enqueue=[])
    worker = ActingWorker(http)
    for accuracy in (0.8, 0.9, 0.7):
        worker.train("seen", accuracy)
    watched = open_page(origin(http), token=OPERATOR)
    watched.expected_statuses = {404, 409}  # there is no final evaluation yet, and too few trials
    page = watched.page
    page.goto(f"{origin(http)}/studies/seen#rounds")
    page.get_by_role("button", name="Narrow now").click()
    expect(page.get_by_role("alert").filter(has_text="3 complete trials, and keep_top is 5")).to_be_visible()
    page.get_by_label("Best trials to keep").fill("2")
    page.get_by_role("button", name="Narrow now").click()
    expect(page.get_by_role("dialog").get_by_role("row", name="learning_rate")).to_be_visible()
    page.get_by_role("button", name="Begin the round").click()
    expect(page.get_by_role("heading", name="Round 2")).to_be_visible()
    expect(page.get_by_label(re.compile("^dropout: round 1 0 to 0.5, round 2"))).to_be_visible()

    page.get_by_role("tab", name="Diagnosis").click()
    expect(page.get_by_role("heading", name="3 trials")).to_be_visible()
    worker.train("seen", 0.85)
    worker.train("seen", 0.95)
    expect(page.get_by_role("heading", name="5 trials")).to_be_visible()

    page.get_by_role("tab", name="Final evaluation").click()
    page.get_by_role("button", name="Begin the final evaluation").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Configurations to confirm").fill("2")
    dialog.get_by_label("Fresh seeds").fill("1")
    dialog.get_by_role("button", name="Begin").click()
    expect(page.get_by_text("0 of 3 trainings are done")).to_be_visible()
    worker.train("seen.final", 0.9)
    expect(page.get_by_text("1 of 3 trainings are done")).to_be_visible()
    expect(page.get_by_role("row", name="0.95")).to_be_visible()
    page.get_by_role("link", name="Watch them").click()
    expect(page.get_by_text("The trials of the final evaluation of seen.")).to_be_visible()


def test_studies_are_compared_and_a_front_is_drawn(http: httpx.Client, open_page: OpenPage) -> None:
    accuracy = {"metric": "validation_accuracy", "direction": "maximize"}
    create_study(http, name="first")
    create_study(http, name="second", objectives=[accuracy, {"metric": "n_parameters", "direction": "minimize"}])
    worker = ActingWorker(http)
    for value, size in ((0.8, 10.0), (0.9, 20.0), (0.7, 30.0)):
        worker.train("first", value)
        worker.complete(worker.claim("second"), validation_accuracy=value, n_parameters=size)
    lease = worker.claim("first")
    page = open_page(origin(http), token=OPERATOR).page
    page.goto(f"{origin(http)}/studies/second#analysis")
    expect(page.locator(".chart[data-points='3']", has=page.get_by_label("Pareto front"))).to_be_visible()

    page.goto(origin(http))
    page.get_by_label("Choose first to compare").check()
    page.get_by_label("Choose second to compare").check()
    page.get_by_role("link", name="Compare 2 studies").click()
    for base in ("trials", "epochs", "time"):
        expect(page.locator(".chart[data-drawn]", has=page.get_by_label(f"Best so far by {base}"))).to_be_visible()
    expect(page.get_by_role("row", name="objectives")).to_contain_text("n_parameters")
    expect(page.get_by_role("row", name="best")).to_contain_text("0.9")

    newer = ActingWorker(http, "newer", narrows_version="0.1.0", torch_version="2.15.0+cu130")
    newer.complete(newer.claim("first"), validation_accuracy=0.6)
    page.get_by_role("link", name="Workers").click()
    for version in ("0.1.0", "2.15.0+cu130"):
        expect(page.get_by_role("row", name="newer").get_by_role("cell", name=version, exact=True)).to_be_visible()
    row = page.get_by_role("row", name=worker.name)
    expect(row).to_contain_text("first 3")
    expect(row.get_by_role("cell", name="unknown", exact=True)).to_have_count(2)
    worker.complete(lease, validation_accuracy=0.5)
    expect(row).to_contain_text("0 trials")


def test_a_sweep_is_converted(http: httpx.Client, open_page: OpenPage) -> None:
    watched = open_page(origin(http), token=OPERATOR)
    watched.expected_statuses = {422}
    page = watched.page
    page.goto(f"{origin(http)}/new")
    page.get_by_role("button", name="Convert a W&B sweep").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("The sweep's YAML").fill("method: bayes")
    dialog.get_by_role("button", name="Convert").click()
    expect(dialog.get_by_role("alert")).to_contain_text("text: ")
    dialog.get_by_label("The sweep's YAML").fill(SWEEP)
    dialog.get_by_role("button", name="Convert").click()
    expect(page.get_by_label("Definition of the study")).to_have_value(re.compile("swept"))
    expect(page.get_by_text("The definition is right: 12 trials.")).to_be_visible()


def test_a_table_of_many_trials_has_only_the_rows_in_sight(http: httpx.Client, open_page: OpenPage) -> None:
    create_study(http, n_trials=1000, enqueue=[{"dropout": number / 2000} for number in range(1000)])
    page = open_page(origin(http), token=OPERATOR).page
    page.goto(f"{origin(http)}/studies/seen")
    scrolled, rows = page.locator(".vscroll"), page.get_by_role("grid").locator(".vbody [role=row]")
    expect(scrolled).to_have_attribute("data-total", "1000")
    expect(rows.filter(has_text="999")).to_have_count(1)
    assert rows.count() < 60
    scrolled.evaluate("element => element.scrollTop = element.scrollHeight")
    expect(rows.last).to_have_attribute("aria-rowindex", "1001")
    expect(rows.last.get_by_role("gridcell").first).to_have_text("0")
    assert rows.count() < 60
    page.get_by_role("grid").focus()
    page.get_by_role("grid").press("Home")
    expect(rows.first.get_by_role("gridcell").first).to_have_text("999")
    page.get_by_label("Filter the trials").fill("dropout >= 0.4")
    page.get_by_role("button", name="Filter").click()
    expect(scrolled).to_have_attribute("data-total", "200")
    page.get_by_text("Columns", exact=True).click()
    page.get_by_role("checkbox", name="learning_rate").uncheck()
    expect(page.get_by_role("columnheader", name="learning_rate")).to_have_count(0)


def test_a_trial_shows_the_output_of_each_attempt(http: httpx.Client, open_page: OpenPage) -> None:
    create_study(http)
    worker = ActingWorker(http)
    for attempt in ("first", "second"):
        lease = worker.claim("seen")
        http.put(f"/v1/artifacts/{lease['lease_id']}/output", content=f"the {attempt} one\n").raise_for_status()
        if attempt == "first":
            worker.post(f"/v1/leases/{lease['lease_id']}/fail", {"reason": "it broke", "retry": True})
    page = open_page(origin(http), token=OPERATOR).page
    page.goto(f"{origin(http)}/studies/seen/trials/0")
    output = page.get_by_label("Output of the trial")
    expect(output).to_have_text("the second one\n")
    page.get_by_label("Attempt").select_option("attempt 1")
    expect(output).to_have_text("the first one\n")
    http.put(f"/v1/artifacts/{lease['lease_id']}/output", content="the second one\nand more\n").raise_for_status()
    page.get_by_label("Attempt").select_option("attempt 2")
    expect(output).to_have_text("the second one\nand more\n")


def test_a_trial_has_charts_of_what_it_reported_and_not_of_its_final_metrics(
    http: httpx.Client, open_page: OpenPage
) -> None:
    create_study(http)
    worker = ActingWorker(http)
    lease = worker.claim("seen")
    worker.report(lease, 0, validation_accuracy=0.4, validation_loss=0.3)
    worker.complete(lease, validation_accuracy=0.5, n_parameters=1234)
    page = open_page(origin(http), token=OPERATOR).page
    page.goto(f"{origin(http)}/studies/seen/trials/0")
    expect(page.locator("main")).to_contain_text("n_parameters")
    expect(page.locator(".chart")).to_have_count(2)  # and none of n_parameters
