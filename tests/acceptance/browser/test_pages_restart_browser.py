"""An open page while the service is away, and after it has come back."""

from pathlib import Path

import httpx
from playwright.sync_api import expect

from tests.acceptance.browser.acting_worker import ActingWorker
from tests.acceptance.browser.conftest import PATIENCE_MS, OpenPage
from tests.acceptance.browser.test_pages_browser import OPERATOR, create_study, curves
from tests.conftest import StartService
from tests.waiting import PATIENCE_SECONDS


def test_a_page_says_that_the_service_is_away_and_goes_on_when_it_is_back(
    service_process: StartService, open_page: OpenPage, free_port: int, tmp_path: Path
) -> None:
    place = {"NARROWS_PORT": str(free_port), "NARROWS_DATABASE": f"sqlite:///{tmp_path / 'narrows.db'}"}
    place["NARROWS_TOKEN"] = OPERATOR
    headers = {"Authorization": f"Bearer {OPERATOR}"}
    first = service_process(environment=place)
    with httpx.Client(base_url=first.url, headers=headers, trust_env=False, timeout=PATIENCE_SECONDS) as http:
        create_study(http)
        worker = ActingWorker(http)
        worker.train("seen", 0.8)
        watched = open_page(first.url, token=OPERATOR)
        watched.expected_statuses = {503}  # of a service that is just ending
        watched.page.goto(f"{first.url}/studies/seen")
        curves(watched.page, 1)
        first.close()
        expect(watched.page.get_by_text("The connection to the service is lost")).to_be_visible()

        service_process(environment=place)
        worker.train("seen", 0.9)
        expect(watched.page.get_by_text("The connection to the service is lost")).to_have_count(0)
        curves(watched.page, 2)
        worker.train("seen", 0.95)
        curves(watched.page, 3)
        expect(watched.page.locator(".tiles")).to_contain_text("0.95")
        watched.page.goto(f"{first.url}/workers")
        expect(watched.page.get_by_role("heading", name="Workers")).to_be_visible()
    assert all("ERR_" in problem for problem in watched.problems), watched.problems
    watched.problems.clear()  # what was asked of the service while it was away


def test_an_answer_that_has_not_changed_is_not_sent_again(service_process: StartService, open_page: OpenPage) -> None:
    service = service_process()
    watched = open_page(service.url)

    with watched.page.expect_response(
        lambda answer: "/v1/workers" in answer.url and answer.status == 304, timeout=PATIENCE_MS
    ):
        watched.page.goto(f"{service.url}/workers")

    expect(watched.page.locator("main")).to_contain_text("workers")
    assert watched.problems == []
