"""`narrows report` on a real service, its page in a real browser without a network."""

import math
import re
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from playwright.sync_api import expect
from safetensors.numpy import save

from tests.acceptance.browser.conftest import OpenPage, WatchedPage
from tests.commands import run
from tests.conftest import StartService, clean_environment
from tests.waiting import PATIENCE_SECONDS

DEFINITION = {
    "name": "reported",
    "search_space": {
        "learning_rate": {"type": "float", "low": 1e-5, "high": 1e-1, "log": True},
        "weight_decay": {"type": "float", "low": 1e-8, "high": 1e-3, "log": True},
        "dropout": {"type": "float", "low": 0.0, "high": 0.5},
    },
    "training": {"dataset": "digits", "model": "mlp", "epochs": 10},
    "sampler": {"name": "random", "seed": 0},
    "pruner": "none",
    "n_trials": 30,
}
HOSTILE = "f1 is nan <script>document.title = 'hacked'</script><img src=x onerror=\"document.title = 'hacked'\">"
N_OWN_PLOTS, N_SEARCH_PLOTS = 4, 8


class ActingWorker:
    """Reports curves that follow from the trial's number: every third one overfits."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http
        self._claims = 0

    def train(self) -> int:
        self._claims += 1
        claim = {"claim_id": f"c-{self._claims}", "worker": {"id": "acting"}, "max_trials": 1, "wait_seconds": 10}
        [lease] = self.post("/v1/claims", claim)["leases"]
        number: int = lease["trial_number"]
        reports = [
            {"lease_id": lease["lease_id"], "step": step, "metrics": self.metrics(number, step)} for step in range(10)
        ]
        self.post("/v1/reports", {"reports": reports})
        path = f"/v1/leases/{lease['lease_id']}"
        if number == 7:
            self.post(f"{path}/fail", {"reason": HOSTILE, "retry": False})
            return number
        weights = np.random.default_rng(number).normal(0, 0.05, (64, 32)).astype(np.float32)
        self.http.put(f"/v1/artifacts/{lease['lease_id']}/model", content=save({"0.weight": weights}))
        final = {"n_near_zero_weights": 3.0 * number, "n_parameters": 2048.0}
        self.post(f"{path}/complete", {"metrics": {**self.metrics(number, 9), **final}})
        return number

    def metrics(self, number: int, step: int) -> dict[str, float]:
        top = 0.7 + 0.25 * math.sin(number) ** 2
        falls = 0.02 * max(0, step - 4) if number % 3 == 0 else 0.0
        learned = 1 - math.exp(-step)
        return {"validation_accuracy": top * learned - falls, "train_accuracy": min(1.0, top + 0.05) * learned}

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        response = self.http.post(path, json=body)
        assert response.is_success, response.text
        answer: dict[str, Any] = response.json()
        return answer


@pytest.fixture
def server(service_process: StartService) -> str:
    return service_process().url


def written(server: str, name: str, folder: Path) -> str:
    """Write a report, and answer the folder as an origin."""
    arguments = ("report", name, "--out", str(folder), "--server", server)
    done = run(*arguments, environment=clean_environment(), cwd=folder.parent)
    assert (done.returncode, done.stderr) == (0, "")
    return folder.as_uri()


def plots(watched: WatchedPage, section: str) -> int:
    """How many plots of a section are drawn; all of them must be."""
    expected = watched.page.locator(f".plotly-graph-div[id^={section}-]").count()
    drawn = watched.page.locator(f".plotly-graph-div[id^={section}-] .main-svg:first-child")
    expect(drawn).to_have_count(expected)
    return expected


def test_a_report_is_drawn_without_a_network(server: str, open_page: OpenPage, tmp_path: Path) -> None:
    with httpx.Client(base_url=server, trust_env=False, timeout=PATIENCE_SECONDS) as http:
        assert http.post("/v1/studies", json=DEFINITION).status_code == 201
        worker = ActingWorker(http)
        assert [worker.train() for _ in range(30)] == list(range(30))
    origin = written(server, "reported", tmp_path / "report")

    watched = open_page(origin)
    page = watched.page
    page.goto(f"{origin}/index.html")

    expect(page).to_have_title("reported · Narrows")
    expect(page.get_by_role("heading", name="reported")).to_be_visible()
    assert (plots(watched, "learning"), plots(watched, "search")) == (N_OWN_PLOTS, N_SEARCH_PLOTS)
    grid = page.locator("section").filter(has_text="Curves of the best 20 trials")
    expect(grid.locator(".cartesianlayer .subplot")).to_have_count(20)
    expect(grid.locator(".scatterlayer .js-line")).to_have_count(40)
    dashes = grid.locator(".scatterlayer .js-line").evaluate_all("all => all.map(one => one.style.strokeDasharray)")
    assert sum(dash not in ("", "0px", "none") for dash in dashes) == 20
    expect(page.get_by_text(re.compile("10 overfitting"))).to_be_visible()

    page.get_by_text("All trials, one by one").click()
    expect(page.locator("details tbody tr")).to_have_count(30)
    expect(page.get_by_text(HOSTILE)).to_be_visible()
    expect(page).to_have_title("reported · Narrows")
    page.emulate_media(color_scheme="dark")
    expect(page.locator("html")).to_have_css("background-color", "rgb(20, 24, 29)")
    for plot in ("learning-1", "search-0"):
        expect(page.locator(f"#{plot} .xtitle")).to_have_css("fill", "rgb(221, 227, 234)")
    page.emulate_media(color_scheme="light")
    expect(page.locator("#search-0 .xtitle")).to_have_css("fill", "rgb(39, 49, 60)")
    page.set_viewport_size({"width": 600, "height": 1000})
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 600, "the page must not be wider than the window"


@pytest.mark.parametrize("n_trials", [0, 1])
def test_a_report_of_hardly_any_trial_is_a_page_too(
    server: str, open_page: OpenPage, tmp_path: Path, n_trials: int
) -> None:
    with httpx.Client(base_url=server, trust_env=False, timeout=PATIENCE_SECONDS) as http:
        assert http.post("/v1/studies", json=DEFINITION).status_code == 201
        for _ in range(n_trials):
            ActingWorker(http).train()
    origin = written(server, "reported", tmp_path / "report")

    watched = open_page(origin)
    watched.page.goto(f"{origin}/index.html")

    expect(watched.page.get_by_role("heading", name="reported")).to_be_visible()
    assert (plots(watched, "learning") > 0) == (n_trials > 0)
    assert (plots(watched, "search") > 0) == (n_trials > 0)
