"""The web interface in a real browser: a study that changes while one looks at it, and what one may do with it."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.acceptance.browser.acting_worker import ActingWorker
from tests.acceptance.browser.conftest import OpenPage
from tests.conftest import StartService
from tests.waiting import PATIENCE_SECONDS

OPERATOR = "open-sesame"
HOSTILE = (
    "f is nan <img src=x onerror=\"document.title = 'hacked'\"></script><script>document.title = 'hacked'</script>"
)
DEFINITION: dict[str, Any] = {
    "name": "seen",
    "search_space": {
        "learning_rate": {"type": "float", "low": 1e-5, "high": 1e-1, "log": True},
        "dropout": {"type": "float", "low": 0.0, "high": 0.5},
    },
    "training": {"dataset": "digits", "model": "mlp", "epochs": 4},
    "sampler": {"name": "random", "seed": 0},
    "pruner": "none",
    "n_trials": 20,
    "enqueue": [{"dropout": 0.1}, {"dropout": 0.2}, {"dropout": 0.4}],
}


@pytest.fixture
def http(service_process: StartService) -> Iterator[httpx.Client]:
    """The operator of a fresh service."""
    service = service_process(environment={"NARROWS_TOKEN": OPERATOR})
    headers = {"Authorization": f"Bearer {OPERATOR}"}
    with httpx.Client(base_url=service.url, headers=headers, trust_env=False, timeout=PATIENCE_SECONDS) as http:
        yield http


def origin(http: httpx.Client) -> str:
    return str(http.base_url).rstrip("/")


def create_study(http: httpx.Client, **changes: Any) -> None:
    http.post("/v1/studies", json={**DEFINITION, **changes}).raise_for_status()


def curves(page: Page, n: int) -> Locator:
    """The chart of learning curves, once it has curves of so many trials and is drawn."""
    chart = page.locator(".chart[data-curves]")
    expect(chart).to_have_attribute("data-curves", str(n))
    expect(chart).to_have_attribute("data-drawn", re.compile(r"\d+"))
    return chart


def rows(page: Page) -> Locator:
    return page.get_by_role("grid").locator(".vbody [role=row]")


def is_within_the_window(page: Page, width: int) -> bool:
    page.set_viewport_size({"width": width, "height": 800})
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def test_a_study_is_followed_from_the_list_to_its_trials(http: httpx.Client, open_page: OpenPage) -> None:
    create_study(http)
    create_study(http, name="other", n_trials=3)
    worker = ActingWorker(http)
    assert [worker.train("seen", accuracy) for accuracy in (0.8, 0.9, 0.7)] == [0, 1, 2]

    watched = open_page(origin(http), token=OPERATOR)
    page = watched.page
    page.goto(origin(http))
    expect(page.get_by_role("listitem")).to_have_count(2)
    page.get_by_label("Search studies").fill("see")
    card = page.get_by_role("listitem")
    expect(card).to_have_count(1)
    expect(card).to_contain_text("validation_accuracy 0.9")
    expect(card).to_contain_text("3 of 20 trials")
    worker.train("seen", 0.85)
    expect(card).to_contain_text("4 of 20 trials")
    card.get_by_role("link", name="seen").click()

    expect(page).to_have_title("seen · Narrows")
    curves(page, 4)
    expect(rows(page)).to_have_count(4)
    lease = worker.claim("seen")
    worker.report(lease, 0, validation_accuracy=0.3)
    curves(page, 5)
    expect(page.locator(".legend")).to_contain_text("1 running")
    worker.complete(lease, validation_accuracy=0.95)
    expect(page.locator(".tiles")).to_contain_text("0.95")
    expect(rows(page).filter(has_text="0.95").filter(has_text="complete")).to_have_count(1)
    expect(page.locator("h1")).to_contain_text("running")

    page.get_by_label("Filter the trials").fill("dropout < 0.3 and number < 3")
    page.get_by_label("Filter the trials").press("Enter")
    expect(rows(page)).to_have_count(2)
    curves(page, 2)
    watched.expected_statuses = {422}
    page.get_by_label("Filter the trials").fill("dropout <")
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_role("alert").filter(has_text="character")).to_be_visible()
    watched.expected_statuses = set()
    page.get_by_role("button", name="Show all").click()
    expect(rows(page)).to_have_count(5)

    page.get_by_role("columnheader").get_by_role("button", name="dropout").click()
    expect(rows(page).first).to_contain_text("0.1")
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV of these").click()
    lines = download.value.path().read_text().splitlines()
    assert len(lines) == 6
    assert lines[0].startswith("number,state,values.validation_accuracy")
    rows(page).first.click()
    expect(page).to_have_url(f"{origin(http)}/studies/seen/trials/0")


def test_a_brush_filters_the_curves_and_the_table(http: httpx.Client, open_page: OpenPage) -> None:
    create_study(http)
    for accuracy in (0.8, 0.9, 0.7):
        ActingWorker(http, f"worker-{accuracy}").train("seen", accuracy)
    page = open_page(origin(http), token=OPERATOR).page
    page.goto(f"{origin(http)}/studies/seen")
    curves(page, 3)
    parallel = page.get_by_label("Parallel coordinates")
    parallel.scroll_into_view_if_needed()
    box = parallel.bounding_box()
    assert box is not None
    middle = box["x"] + box["width"] / 2  # of three axes dropout is the second one
    page.mouse.move(middle, box["y"] + box["height"] - 13)
    page.mouse.down()
    page.mouse.move(middle, box["y"] + box["height"] / 2, steps=3)
    page.mouse.up()
    expect(page.get_by_label("Filter the trials")).to_have_value(
        re.compile(r"^params\.dropout >= .* and params\.dropout <= ")
    )
    expect(rows(page)).to_have_count(2)
    curves(page, 2)
    page.mouse.click(middle, box["y"] + box["height"] / 2)
    expect(rows(page)).to_have_count(3)

    chart = curves(page, 3)
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] - 20, box["y"] + 18)  # the end of the best curve
    expect(chart.locator(".tip")).to_contain_text("trial 1")
    expect(chart.locator(".tip")).to_contain_text("dropout = 0.2")
    chart.click(position={"x": box["width"] - 20, "y": 18})
    expect(page).to_have_url(f"{origin(http)}/studies/seen/trials/1")


def test_a_study_is_written_checked_changed_and_deleted(http: httpx.Client, open_page: OpenPage) -> None:
    watched = open_page(origin(http), token=OPERATOR)
    watched.expected_statuses = {404, 422}
    page = watched.page
    page.goto(f"{origin(http)}/new")
    page.get_by_label("Begin with an example").select_option("a network for handwritten digits")
    expect(page.get_by_text("The definition is right: 50 trials.")).to_be_visible()
    editor = page.get_by_label("Definition of the study")
    editor.fill(editor.input_value().replace("low: 0.0,", "low: 0.9,"))
    expect(page.get_by_text("1 problem")).to_be_visible()
    expect(page.get_by_role("listitem").filter(has_text="low must be")).to_contain_text("line 8")
    expect(page.locator(".gutter .wrong")).to_have_text("8")
    expect(page.get_by_role("button", name="Create the study")).to_be_disabled()
    editor.fill(editor.input_value().replace("low: 0.9,", "low: 0.1,"))
    page.get_by_role("button", name="Create the study").click()

    expect(page).to_have_url(f"{origin(http)}/studies/digits")
    state = page.locator("h1 .badge")
    page.get_by_role("button", name="Pause").click()
    expect(state).to_have_text("paused")
    page.get_by_role("button", name="Resume").click()
    expect(state).to_have_text("running")
    page.get_by_role("button", name="Extend").click()
    page.get_by_label("Number of trials in all").fill("70")
    page.get_by_role("dialog").get_by_role("button", name="Extend").click()
    expect(page.locator(".tiles")).to_contain_text("0 of 70")
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(state).to_have_text("running")
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="Stop the study").click()
    expect(state).to_have_text("stopped")

    page.get_by_role("tab", name="Definition").click()
    page.get_by_role("button", name="Copy as new study").click()
    expect(page.get_by_label("Definition of the study")).to_have_value(re.compile("^name: digits-copy\n"))
    expect(page.get_by_text("The definition is right: 70 trials.")).to_be_visible()
    page.go_back()
    page.get_by_role("button", name="Delete").click()
    page.get_by_label("Name of the study").fill("digit")
    page.get_by_role("button", name="Delete for good").click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("the name is digits")
    page.get_by_label("Name of the study").fill("digits")
    page.get_by_role("button", name="Delete for good").click()
    expect(page.get_by_text("No study yet.")).to_be_visible()
    assert http.get("/v1/studies").json()["studies"] == []


def test_a_trial_tells_why_it_failed_and_is_enqueued_again(http: httpx.Client, open_page: OpenPage) -> None:
    create_study(http)
    worker = ActingWorker(http, "<b>lab</b>")
    lease = worker.claim("seen")
    watched = open_page(origin(http), token=OPERATOR)
    page = watched.page
    page.goto(f"{origin(http)}/studies/seen/trials/0")
    expect(page.locator("h1")).to_have_text("Trial 0 running")
    worker.report(lease, 0, validation_accuracy=0.4, train_accuracy=0.5)
    expect(page.locator("[data-epochs='1']")).to_be_visible()
    http.put(f"/v1/artifacts/{lease['lease_id']}/output", content=f"loading\n{HOSTILE}\n".encode()).raise_for_status()
    expect(page.get_by_label("Output of the trial")).to_contain_text(HOSTILE)
    worker.post(f"/v1/leases/{lease['lease_id']}/user-attrs", {"user_attrs": {"note": HOSTILE}})
    worker.fail(lease, HOSTILE)
    expect(page.locator("h1")).to_have_text("Trial 0 fail")
    expect(page.locator("pre.reason")).to_have_text(HOSTILE)
    expect(page.get_by_role("cell", name="<b>lab</b>")).to_be_visible()
    expect(page.get_by_role("row", name="note")).to_contain_text(HOSTILE)
    expect(page).to_have_title("Trial 0 of seen · Narrows")
    assert is_within_the_window(page, 380)

    page.get_by_role("button", name="Enqueue with changes").click()
    page.get_by_label("dropout").fill("0.33")
    page.get_by_role("dialog").get_by_role("button", name="Enqueue").click()
    expect(page.locator("h1")).to_contain_text("waiting")
    expect(page.get_by_role("row", name="dropout")).to_contain_text("0.33")


def test_a_reader_sees_no_button_and_is_refused(http: httpx.Client, open_page: OpenPage) -> None:
    create_study(http)
    ActingWorker(http).train("seen", 0.8)
    created = http.post("/v1/tokens", json={"name": "reader", "scopes": ["read"]}).raise_for_status().json()
    watched = open_page(origin(http), token=created["token"])
    page = watched.page
    page.goto(f"{origin(http)}/studies/seen")
    curves(page, 1)
    for name in ("Pause", "Extend", "Stop", "Delete"):
        expect(page.get_by_role("button", name=name)).to_have_count(0)
    expect(page.get_by_role("link", name="New study")).to_have_count(0)
    page.get_by_role("tab", name="Definition").click()
    expect(page.get_by_label("Definition", exact=True).last).to_contain_text("name: seen")
    expect(page.get_by_role("button", name="Copy as new study")).to_have_count(0)
    watched.expected_statuses = {403}
    body = "JSON.stringify({state: 'paused'})"
    call = (
        f"fetch('/v1/studies/seen', {{method: 'PATCH', headers: {{'Content-Type': 'application/json'}}, body: {body}}})"
    )
    assert page.evaluate(f"{call}.then((answer) => answer.status)") == 403
    page.goto(f"{origin(http)}/studies/seen/trials/0")
    expect(page.locator("h1")).to_contain_text("Trial 0")
    expect(page.get_by_role("button", name="Enqueue with changes")).to_have_count(0)


def test_every_page_fits_a_phone_and_is_used_by_keyboard(http: httpx.Client, open_page: OpenPage) -> None:
    name = f"long.{'x' * 120}"
    parameter = "a." + "very_" * 15 + "long_name"
    training = {"entrypoint": "a.b:c"}
    space = {parameter: {"type": "categorical", "choices": [HOSTILE, "b"]}}
    create_study(http, name=name, training=training, search_space=space, enqueue=[], n_trials=2)
    create_study(http, name="finished", n_trials=3)
    for accuracy in (0.8, 0.9, 0.7):
        ActingWorker(http, f"worker-{accuracy}").train("finished", accuracy)
    watched = open_page(origin(http), token=OPERATOR)
    watched.expected_statuses = {404, 422}
    page = watched.page
    tabs = ["#overview", "#analysis", "#diagnosis", "#rounds", "#final", "#definition"]
    studies = [f"/studies/{one}{tab}" for one in (name, "finished") for tab in tabs]
    for path in ["/", *studies, "/workers", "/new", f"/compare?study={name}&study=finished"]:
        page.goto(f"{origin(http)}{path}")
        expect(page.locator("main h1")).to_be_visible()
        expect(page.locator("main")).not_to_contain_text("Loading…")
        assert is_within_the_window(page, 380), path
        expect(page).not_to_have_title("hacked")
    expect(page.locator("tbody")).to_contain_text("learning_rate")

    page.set_viewport_size({"width": 1400, "height": 1000})
    page.goto(f"{origin(http)}/studies/finished")
    expect(rows(page)).to_have_count(3)
    page.get_by_role("tab", name="Overview").press("ArrowRight")
    expect(page.get_by_role("tab", name="Parameters")).to_have_attribute("aria-selected", "true")
    expect(page.locator(".slices .chart[data-points='3']")).to_have_count(2)
    expect(page.locator(".shares")).to_contain_text("Share of each parameter")
    page.get_by_role("button", name=re.compile("Theme")).click()
    page.get_by_role("button", name=re.compile("Theme: Light")).click()
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"
    page.get_by_role("tab", name="Overview").click()
    grid = page.get_by_role("grid")
    grid.focus()
    grid.press("ArrowDown")
    grid.press("Enter")
    expect(page).to_have_url(f"{origin(http)}/studies/finished/trials/1")
