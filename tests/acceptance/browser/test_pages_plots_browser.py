"""The plots of the pages: axes of odd values, in the browser's own arithmetic."""

from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.acceptance.browser.acting_worker import ActingWorker
from tests.acceptance.browser.conftest import OpenPage
from tests.acceptance.browser.test_pages_browser import OPERATOR, create_study, http, origin

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
