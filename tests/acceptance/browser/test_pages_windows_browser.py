"""Many windows of one browser: they share one event stream, whichever of them is closed."""

import re

import httpx
from playwright.sync_api import Page, expect

from tests.acceptance.browser.acting_worker import ActingWorker
from tests.acceptance.browser.conftest import OpenPage
from tests.acceptance.browser.test_pages_browser import OPERATOR, create_study, curves, http, origin
from tests.waiting import until

__all__ = ["http"]  # the fixture

N_WINDOWS = 9
"""More than the six connections that a browser has to a service."""
NO_ANSWER = "window.SharedWorker = class { port = new MessageChannel().port1; addEventListener() {} }"


def n_readers(http: httpx.Client) -> int:
    found = re.search(r"^narrows_event_readers (\d+)", http.get("/metrics").text, re.MULTILINE)
    assert found is not None
    return int(found[1])


def test_more_windows_than_connections_share_one_stream(http: httpx.Client, open_page: OpenPage) -> None:
    create_study(http)
    create_study(http, name="other")
    worker = ActingWorker(http)
    worker.train("seen", 0.8)
    worker.train("other", 0.8)
    first = open_page(origin(http), token=OPERATOR).page
    windows = [first, *(first.context.new_page() for _ in range(N_WINDOWS - 1))]
    for window in windows:
        window.goto(f"{origin(http)}/studies/seen")
        curves(window, 1)
    assert n_readers(http) == 1

    worker.train("seen", 0.9)
    for window in windows:
        curves(window, 2)
    first.close()
    second, third, *rest = windows[1:]
    second.goto(f"{origin(http)}/studies/other")
    curves(second, 1)
    worker.train("other", 0.7)
    worker.train("seen", 0.95)
    curves(second, 2)
    for window in (third, *rest):
        curves(window, 3)
        expect(window.locator(".tiles")).to_contain_text("0.95")
    assert n_readers(http) == 1
    for window in (third, *rest):
        window.close()
    second.goto(f"{origin(http)}/workers")  # which follows nothing
    until(lambda: n_readers(http) == 0)


def hide(window: Page, is_hidden: bool) -> None:
    """As if another tab were shown in its place, which a browser without a screen does not do."""
    hidden = str(is_hidden).lower()
    window.evaluate(
        f"Object.defineProperty(document, 'hidden', {{value: {hidden}, configurable: true}});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )


def test_a_window_that_comes_back_catches_up(http: httpx.Client, open_page: OpenPage) -> None:
    create_study(http)
    worker = ActingWorker(http)
    worker.train("seen", 0.8)
    watched = open_page(origin(http), token=OPERATOR)
    hidden, shown = watched.page, watched.page.context.new_page()
    for window in (hidden, shown):
        window.goto(f"{origin(http)}/studies/seen")
        curves(window, 1)
    worker.train("seen", 0.9)
    curves(hidden, 2)

    hide(hidden, True)
    worker.train("seen", 0.7)
    curves(shown, 3)
    assert hidden.locator(".chart[data-curves]").get_attribute("data-curves") == "2"
    hide(hidden, False)
    curves(hidden, 3)

    for window in (hidden, shown):
        hide(window, True)
    until(lambda: n_readers(http) == 0)
    worker.train("seen", 0.6)
    for window in (hidden, shown):
        hide(window, False)
        curves(window, 4)
    assert n_readers(http) == 1


def test_a_window_that_cannot_share_has_a_stream_of_its_own(http: httpx.Client, open_page: OpenPage) -> None:
    create_study(http)
    worker = ActingWorker(http)
    worker.train("seen", 0.8)
    for n, script in enumerate(("delete window.SharedWorker", NO_ANSWER), 1):
        page = open_page(origin(http), token=OPERATOR).page
        page.add_init_script(script)
        page.goto(f"{origin(http)}/studies/seen")
        curves(page, n)
        worker.train("seen", 0.9)
        curves(page, n + 1)
    assert n_readers(http) == 2
