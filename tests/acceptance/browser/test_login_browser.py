"""The login in a real browser: in with a token, around the pages, and out again; and changes from the dashboard."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.acceptance.browser.conftest import OpenPage
from tests.conftest import StartService
from tests.waiting import PATIENCE_SECONDS

OPERATOR = "open-sesame"
DEFINITION = {
    "name": "seen-in-a-browser",
    "search_space": {"learning_rate": {"type": "float", "low": 1e-5, "high": 1e-1, "log": True}},
    "training": {"dataset": "digits", "model": "mlp"},
    "sampler": {"name": "random", "seed": 0},
    "pruner": "none",
    "n_trials": 5,
    "enqueue": [{"learning_rate": 0.01}, {"learning_rate": 0.02}],
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


def create_token(http: httpx.Client, name: str, scope: str) -> str:
    response = http.post("/v1/tokens", json={"name": name, "scopes": [scope]})
    return str(response.raise_for_status().json()["token"])


def log_in(page: Page, token: str) -> None:
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Log in").click()


def test_in_with_a_token_around_the_pages_and_out_again(
    http: httpx.Client, open_page: OpenPage, tmp_path: Path
) -> None:
    http.post("/v1/studies", json=DEFINITION).raise_for_status()
    reader = create_token(http, "reader", "read")
    watched = open_page(origin(http))
    page = watched.page

    page.goto(f"{origin(http)}/docs")
    expect(page).to_have_url(f"{origin(http)}/login?next=/docs")
    page.screenshot(path=tmp_path / "login.png")
    watched.expected_statuses = {401}
    log_in(page, "wrong")
    expect(page.get_by_role("alert")).to_have_text("no such token")
    page.screenshot(path=tmp_path / "wrong.png")
    watched.expected_statuses = set()

    log_in(page, reader)
    expect(page).to_have_url(f"{origin(http)}/docs")
    expect(page.locator(".opblock").first).to_be_visible()
    page.screenshot(path=tmp_path / "docs.png")
    page.goto(f"{origin(http)}/dashboard")
    expect(page.get_by_text(re.compile(r"^\d+\. seen-in-a-browser$"))).to_be_visible()
    page.screenshot(path=tmp_path / "dashboard.png")

    page.goto(f"{origin(http)}/login")
    expect(page.get_by_text("Logged in with the token reader: read.")).to_be_visible()
    page.screenshot(path=tmp_path / "inside.png")
    [cookie] = page.context.cookies()
    assert (cookie.get("httpOnly"), cookie.get("sameSite")) == (True, "Strict")
    assert reader not in str(cookie)
    assert page.evaluate("document.cookie") == ""
    page.get_by_role("button", name="Log out").click()
    expect(page).to_have_url(f"{origin(http)}/login")
    assert page.context.cookies() == []
    page.goto(f"{origin(http)}/dashboard")
    expect(page).to_have_url(f"{origin(http)}/login?next=/dashboard")


def note_of(http: httpx.Client) -> str:
    return str(http.get("/api/studies/1", params={"after": 0}).json()["note"]["body"])


def write_note(page: Page, text: str) -> None:
    page.locator("button:has(svg[data-testid=EditIcon])").click()
    page.get_by_role("textbox").fill(text)
    page.get_by_role("button", name="Save").click()


def test_an_admin_changes_things_in_the_dashboard_and_a_reader_is_told_why_not(
    http: httpx.Client, open_page: OpenPage, tmp_path: Path
) -> None:
    http.post("/v1/studies", json=DEFINITION).raise_for_status()
    claim: dict[str, Any] = {"claim_id": "c", "worker": {"id": "acting"}, "max_trials": 1}
    [lease] = http.post("/v1/claims", json=claim).raise_for_status().json()["leases"]
    reader = open_page(origin(http), token=create_token(http, "reader", "read"))
    reader.expected_statuses = {403}
    reader.page.goto(f"{origin(http)}/dashboard/studies/1/note")
    write_note(reader.page, "mine")
    expect(reader.page.get_by_text(re.compile("Failed: .* needs a token with the scope admin"))).to_be_visible()
    reader.page.screenshot(path=tmp_path / "refused.png")
    [uncaught] = reader.problems  # the dashboard itself throws what it has shown
    assert "needs a token with the scope admin" in uncaught
    reader.problems.clear()
    reader.close()  # it would go on to ask for the study that is deleted below

    admin = open_page(origin(http), token=OPERATOR)
    admin.page.goto(f"{origin(http)}/dashboard/studies/1/note")
    write_note(admin.page, "of an admin")
    expect(admin.page.get_by_text("Success to save the note")).to_be_visible()
    admin.page.screenshot(path=tmp_path / "saved.png")
    assert note_of(http) == "of an admin"

    admin.expected_statuses = {409}
    delete_study(admin.page, origin(http))
    expect(admin.page.get_by_text("Failed to delete study")).to_be_visible()
    admin.page.screenshot(path=tmp_path / "leased.png")
    admin.expected_statuses = {404}  # the page may ask once more for the study that is gone
    http.post(f"/v1/leases/{lease['lease_id']}/fail", json={"reason": "over", "retry": False}).raise_for_status()
    delete_study(admin.page, origin(http))
    expect(admin.page.get_by_text("Success to delete a study")).to_be_visible()
    assert http.get("/v1/studies").json()["studies"] == []


def delete_study(page: Page, origin: str) -> None:
    page.goto(f"{origin}/dashboard")
    page.get_by_role("button", name="delete study").click()
    page.get_by_role("button", name="Yes").click()
