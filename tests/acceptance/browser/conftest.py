"""A real Chromium, and pages that remember everything that went wrong on them."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response, expect, sync_playwright

from tests.skipping import skip_or_fail
from tests.waiting import PATIENCE_SECONDS

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_MS = 1000.0 * PATIENCE_SECONDS
VIEWPORT = {"width": 1400, "height": 1000}

OpenPage = Callable[..., "WatchedPage"]
"""`open_page(origin, token=None)` gives an empty page that may talk to that origin alone, logged in with the token."""


class WatchedPage:
    """A page, and what went wrong on it: console errors, failed requests, requests to anywhere else.

    Answers with one of `expected_statuses` are what the test is about.
    """

    def __init__(self, page: Page, origin: str) -> None:
        self.page = page
        self.origin = origin
        self.problems: list[str] = []
        self.expected_statuses: set[int] = set()
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.problems.append(f"uncaught: {error}"))
        page.on("request", self._on_request)
        page.on("requestfailed", self._on_failure)
        page.on("response", self._on_response)

    def close(self) -> None:
        """Close the page and forget its login. What went wrong on it until now still counts."""
        self.page.context.close()

    def _on_console(self, message: ConsoleMessage) -> None:
        is_expected = any(
            f"the server responded with a status of {one} " in message.text for one in self.expected_statuses
        )
        if message.type == "error" and not is_expected:
            self.problems.append(f"console: {message.text}")

    def _on_request(self, request: Request) -> None:
        if not request.url.startswith((f"{self.origin}/", "data:", "blob:")):
            self.problems.append(f"asks for something outside: {request.url}")

    def _on_failure(self, request: Request) -> None:
        """A browser that leaves a page, or a script that asks anew, aborts what is still loading, whatever it is.

        A service that fails answers with a status, or with another error of the network.
        """
        if request.failure != "net::ERR_ABORTED":
            self.problems.append(f"failed: {request.url} {request.failure}")

    def _on_response(self, response: Response) -> None:
        if response.status >= 400 and response.status not in self.expected_statuses:
            self.problems.append(f"status {response.status}: {response.url}")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        skip_or_fail(
            "NO CHROMIUM, the dashboard was not looked at: apt-get install chromium", "NARROWS_REQUIRE_BROWSER"
        )
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)  # with a profile folder of its own
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Browser, tmp_path: Path) -> Iterator[OpenPage]:
    """Pages are shot into the test's folder when it ends, and nothing may have gone wrong on them."""
    opened: list[WatchedPage] = []

    def open_page(origin: str, *, token: str | None = None) -> WatchedPage:
        context = chromium.new_context(viewport=VIEWPORT)  # type: ignore[arg-type]
        context.set_default_timeout(PATIENCE_MS)
        if token is not None:
            context.request.post(f"{origin}/login", form={"token": token})
        watched = WatchedPage(context.new_page(), origin)
        opened.append(watched)
        return watched

    yield open_page
    for number, watched in enumerate(opened):
        if not watched.page.is_closed():
            watched.page.screenshot(path=tmp_path / f"page-{number}.png")
            watched.close()
    assert [problem for watched in opened for problem in watched.problems] == []
