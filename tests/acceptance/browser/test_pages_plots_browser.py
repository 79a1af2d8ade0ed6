"""The plots of the pages: axes of odd values in the browser's own arithmetic, ranges, and zoom."""

import re
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.acceptance.browser.acting_worker import ActingWorker
from tests.acceptance.browser.conftest import OpenPage
from tests.acceptance.browser.test_pages_browser import DEFINITION, OPERATOR, create_study, curves, http, origin

__all__ = ["http"]  # the fixture

MODULE = "document.querySelector('script[type=module]').src.replace('main.js', 'plots/scales.js')"


@pytest.fixture
def page(http: httpx.Client, open_page: OpenPage) -> Page:
    page = open_page(origin(http), token=OPERATOR).page
    page.goto(origin(http))
    return page


def axis(page: Page, values: list[float], options: str = "{}") -> dict[str, Any]:
    """The labels of an axis over some values, and where the values lie on it."""
    script = f"""async (values) => {{
      const {{ scaleOf }} = await import({MODULE});
      const scale = scaleOf(values, {options});
      return {{labels: scale.ticks.map((one) => one.label), places: values.map(scale.at),
        ticks: scale.ticks.map((one) => scale.at(one.value)), back: values.map((one) => scale.back(scale.at(one)))}};
    }}"""
    return dict(page.evaluate(script, values))


def test_an_axis_of_any_values_has_labels_and_room_for_all(page: Page) -> None:
    tiny = 5e-324
    for values in (
        [1.7e308, -1.7e308],
        [1e308, 1.2e308, 1.79e308],
        [tiny, 3 * tiny],
        [1e-310, 3e-310],
        [0.0, 1e308],
        [1.0, 1.0 + 2.3e-16],
        [0.97, 0.9700000000000001, 0.9700000000000002],
        [1e15, 1e15 + 0.125],
        [1.0, 3.0],
    ):
        found = axis(page, values)
        assert 2 <= len(found["labels"]) <= 12, (values, found)
        assert all(0 <= place <= 1 for place in (*found["places"], *found["ticks"])), (values, found)
        assert found["places"] == sorted(found["places"], reverse=values[0] > values[-1]), (values, found)
    assert axis(page, [1.0, 3.0])["back"] == pytest.approx([1.0, 3.0])
    assert axis(page, [1.7e308, -1.7e308])["labels"] == ["-1e308", "0", "1e308"]


def test_a_log_axis_ends_with_the_floats(page: Page) -> None:
    for values in ([5e-324, 1.7e308], [1e307, 1.79e308], [1e-320, 1e-319]):
        found = axis(page, values, "{log: true}")
        assert len(found["labels"]) >= 2, (values, found)
        assert not {"inf", "0"} & set(found["labels"]), (values, found)
        assert all(0 <= place <= 1 for place in (*found["places"], *found["ticks"])), (values, found)


def test_infinite_values_lie_at_the_ends_of_an_axis(http: httpx.Client, page: Page) -> None:
    study = {"name": "infinite", "objectives": [{"metric": "validation_loss", "direction": "maximize"}]}
    create_study(http, **study, enqueue=[])
    worker = ActingWorker(http)
    for value in (0.5, 0.7, "inf"):
        lease = worker.claim("infinite")
        worker.post(f"/v1/leases/{lease['lease_id']}/complete", {"metrics": {"validation_loss": value}})
    page.goto(f"{origin(http)}/studies/infinite")
    chart = page.locator(".chart", has=page.get_by_label("Best objective value so far"))
    expect(chart).to_have_attribute("data-labels", "0.5 0.55 0.6 0.65 inf")
    box = chart.bounding_box()
    assert box is not None
    chart.hover(position={"x": box["width"] - 20, "y": 100})
    expect(chart.locator(".tip")).to_contain_text("inf")
    assert page.evaluate(
        f"import({MODULE}).then(({{ scaleOf, withInfinity }}) => "
        "withInfinity(scaleOf([Infinity]), [Infinity]).ticks.map((one) => one.label))"
    ) == ["inf"]


def test_a_choice_with_any_quotes_becomes_a_filter_of_exactly_it(page: Page, http: httpx.Client) -> None:
    choice = 'it\'s "one"'
    script = f"""async (choice) => {{
      const {{ filterOf }} = await import({MODULE.replace("scales.js", "brushes.js")});
      return filterOf({{ column: "params.model", choices: [choice] }}, {{ low: null, high: null, chosen: [choice] }});
    }}"""
    where = page.evaluate(script, choice)
    training, space = {"entrypoint": "a.b:c"}, {"model": {"type": "categorical", "choices": [choice, "it"]}}
    create_study(
        http, name="quoted", training=training, search_space=space, enqueue=[{"model": choice}, {"model": "it"}]
    )
    answer = http.get("/v1/studies/quoted/table", params={"where": where})
    assert (answer.status_code, answer.json()["total"]) == (200, 1), answer.text


def test_ranges_are_typed_in_the_place_of_brushes(http: httpx.Client, open_page: OpenPage) -> None:
    optimizer = {"type": "categorical", "choices": ["sgd", "adam"]}
    space = {**DEFINITION["search_space"], "optimizer": optimizer}
    values = [
        {"dropout": dropout, "optimizer": choice} for dropout, choice in ((0.1, "sgd"), (0.2, "adam"), (0.4, "sgd"))
    ]
    create_study(http, search_space=space, enqueue=values)
    worker = ActingWorker(http)
    for accuracy in (0.8, 0.9, 0.7):
        worker.train("seen", accuracy)
    page = open_page(origin(http), token=OPERATOR).page
    page.goto(f"{origin(http)}/studies/seen")
    curves(page, 3)
    where = page.get_by_label("Filter the trials")
    summary = page.get_by_text("Ranges as numbers")
    expect(summary).to_be_visible()  # what is hidden takes no focus
    summary.focus()
    page.keyboard.press("Enter")
    page.get_by_label("dropout from").fill("0.15")
    page.keyboard.press("Tab")
    expect(where).to_have_value("params.dropout >= 0.15")
    curves(page, 2)
    page.keyboard.type("0.3")
    page.keyboard.press("Enter")
    expect(where).to_have_value("params.dropout >= 0.15 and params.dropout <= 0.3")
    curves(page, 1)
    page.get_by_label("dropout to").fill("")
    page.get_by_role("checkbox", name="sgd").check()
    expect(where).to_have_value("params.dropout >= 0.15 and params.optimizer in ('sgd')")
    curves(page, 1)
    page.get_by_role("button", name="Show all").click()
    curves(page, 3)
    expect(page.get_by_label("dropout from")).to_have_value("")
    expect(page.get_by_role("checkbox", name="sgd")).not_to_be_checked()
    page.get_by_label("learning_rate from").fill("-1")
    page.keyboard.press("Tab")
    expect(where).to_have_value("params.learning_rate >= -1")
    curves(page, 3)


def test_a_plot_is_zoomed_with_the_pointer_and_the_keyboard(http: httpx.Client, open_page: OpenPage) -> None:
    create_study(http)
    worker = ActingWorker(http)
    for accuracy in (0.8, 0.9, 0.7):
        worker.train("seen", accuracy)
    page = open_page(origin(http), token=OPERATOR).page
    page.goto(f"{origin(http)}/studies/seen")
    chart = curves(page, 3)
    expect(chart).to_have_attribute("data-across", "0 0.5 1 1.5 2 2.5 3")
    box = chart.bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2

    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 20, middle + 2, steps=4)
    page.mouse.up()
    expect(chart).to_have_attribute("data-across", re.compile(r"^1\.[5-9]"))
    expect(chart).to_have_attribute("data-labels", "0.2 0.4 0.6 0.8")  # a flat frame is for one axis
    expect(page).to_have_url(f"{origin(http)}/studies/seen")  # a drag opens no trial
    page.mouse.dblclick(box["x"] + box["width"] / 2, middle)
    expect(chart).to_have_attribute("data-across", "0 0.5 1 1.5 2 2.5 3")

    chart.focus()
    chart.press("+")
    chart.press("+")
    expect(chart).to_have_attribute("data-across", re.compile(r"^0\.8"))
    chart.press("ArrowRight")
    chart.press("ArrowRight")
    chart.press("ArrowRight")
    chart.press("ArrowRight")
    expect(chart).to_have_attribute("data-across", re.compile(r" 3$"))
    worker.train("seen", 0.6)
    curves(page, 4)
    expect(chart).to_have_attribute("data-across", re.compile(r"^1\.\d.* 3$"))  # what comes keeps the zoom
    chart.get_by_role("button", name="Reset zoom").click()
    expect(chart).to_have_attribute("data-across", "0 0.5 1 1.5 2 2.5 3")
    expect(chart.get_by_role("button", name="Reset zoom")).to_have_count(0)
    chart.press("+")
    chart.press("0")
    expect(chart).to_have_attribute("data-across", "0 0.5 1 1.5 2 2.5 3")
