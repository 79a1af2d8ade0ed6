"""The dashboard and the API's own page, in a real browser on a real service."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

from tests.acceptance.browser.conftest import OpenPage
from tests.conftest import StartService
from tests.waiting import PATIENCE_SECONDS

DEFINITION = {
    "name": "seen-in-a-browser",
    "search_space": {
        "learning_rate": {"type": "float", "low": 1e-5, "high": 1e-1, "log": True},
        "dropout": {"type": "float", "low": 0.0, "high": 0.5},
    },
    "training": {"dataset": "digits", "model": "mlp", "epochs": 4},
    "sampler": {"name": "random", "seed": 0},
    "pruner": {"name": "median", "n_startup_trials": 2, "n_warmup_steps": 0},
    "n_trials": 20,
}
TOKEN = "open-sesame"


class ActingWorker:
    """Does over HTTP what a worker does, with accuracies of the test's choosing."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http
        self._claims = 0

    def train(self, accuracy: float) -> str:
        """One trial of four epochs, its state in the end."""
        self._claims += 1
        claim = {"claim_id": f"claim-{self._claims}", "worker": {"id": "acting"}, "max_trials": 1, "wait_seconds": 10}
        [lease] = self._post("/v1/claims", claim)["leases"]
        for step in range(4):
            metrics = {"validation_accuracy": accuracy * (step + 1) / 4}
            report = {"lease_id": lease["lease_id"], "step": step, "metrics": metrics}
            [answer] = self._post("/v1/reports", {"reports": [report]})["decisions"]
            if answer["decision"] == "prune":
                return "PRUNED"
        closed = self._post(f"/v1/leases/{lease['lease_id']}/complete", {"metrics": {"validation_accuracy": accuracy}})
        return str(closed["state"])

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        response = self.http.post(path, json=body)
        assert response.is_success, response.text
        answer: dict[str, Any] = response.json()
        return answer


@pytest.fixture
def http(service_process: StartService) -> Iterator[httpx.Client]:
    """A user of a fresh service that asks for a token."""
    service = service_process(environment={"NARROWS_TOKEN": TOKEN})
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with httpx.Client(base_url=service.url, headers=headers, trust_env=False, timeout=PATIENCE_SECONDS) as http:
        yield http


def origin(http: httpx.Client) -> str:
    return str(http.base_url).rstrip("/")


def test_the_dashboard_shows_studies_and_trials_and_stays_alive(http: httpx.Client, open_page: OpenPage) -> None:
    assert http.post("/v1/studies", json=DEFINITION).status_code == 201
    worker = ActingWorker(http)
    states = [worker.train(accuracy) for accuracy in (0.5, 0.8, 0.9, 0.3, 0.95)]
    assert states == ["COMPLETE", "COMPLETE", "COMPLETE", "PRUNED", "COMPLETE"]

    page = open_page(origin(http), token=TOKEN).page
    page.goto(f"{origin(http)}/dashboard")
    page.get_by_text(re.compile(r"^\d+\. seen-in-a-browser$")).click()
    expect(page).to_have_url(re.compile(r"/dashboard/studies/\d+$"))
    expect(page.locator("#plot-history .scatterlayer .trace").first).to_be_attached()
    expect(page.get_by_text("Best Trial (number=4)")).to_be_visible()
    expect(page.get_by_text("trial #3")).to_be_attached()  # the pruned one's intermediate values

    page.locator("a[href$='/trials']").click()
    expect(page.get_by_text("5 Trials")).to_be_visible()
    expect(page.get_by_text("Pruned", exact=True).first).to_be_visible()
    page.locator("a[href$='/smartSelection']").click()
    rows = page.locator("table tbody tr")
    expect(rows.filter(has_text="0.95").filter(has_text="Complete")).to_have_count(1)
    expect(rows.filter(has_text="Pruned")).to_have_count(1)
    page.locator("a[href$='/analytics']").click()
    expect(page.get_by_text("Slice", exact=True)).to_be_visible()

    page.locator("a[href$='/studies/1']").click()
    expect(page.get_by_text("Best Trial (number=4)")).to_be_visible()
    assert worker.train(0.99) == "COMPLETE"
    expect(page.get_by_text("Best Trial (number=5)")).to_be_visible()  # the dashboard asks again every 10 seconds


def test_the_api_page_shows_every_operation_without_the_internet_and_calls_one(
    http: httpx.Client, open_page: OpenPage
) -> None:
    page = open_page(origin(http), token=TOKEN).page
    page.goto(f"{origin(http)}/docs")
    paths = http.get("/openapi.json").json()["paths"]
    operations = page.locator(".opblock")
    expect(operations).to_have_count(sum(len(methods) for methods in paths.values()))

    claims = operations.filter(has=page.get_by_role("button", name="POST /v1/claims"))
    claims.locator(".opblock-summary-control").click()
    expect(claims.locator(".opblock-description")).to_contain_text("waits up to wait_seconds")

    listing = operations.filter(has=page.get_by_role("button", name="GET /v1/tokens"))
    listing.locator(".opblock-summary-control").click()
    listing.get_by_role("button", name="Try it out").click()
    listing.get_by_role("button", name="Execute").click()
    expect(listing.locator(".live-responses-table tbody .response-col_status").first).to_contain_text("200")


def test_the_pages_are_closed_to_who_has_no_token(http: httpx.Client) -> None:
    for path in ("/", "/dashboard", "/static/bundle.js", "/api/studies", "/docs", "/openapi.json"):
        response = httpx.get(f"{origin(http)}{path}", trust_env=False, timeout=PATIENCE_SECONDS)
        assert response.status_code == 401, path
        assert response.headers["WWW-Authenticate"].startswith("Bearer"), path
