"""Narrows' own pages in a headless Chromium, beside the Optuna dashboard on the same database.

    python -m benchmarks.web [--trials 10000] [--pages 20] [--repeats 3] [--record]

A study of `--trials` trials with 20 epochs each. Both pages are opened in turn in a browser of their own: how long
until the page shows the study's head and its table, how long until it shows its curves or its first plot, and how much
memory the page's processes hold then (proportional set size, so shared memory counts once). Then how long a report
takes from its acknowledgement until the page of its trial shows it, and what `--pages` open pages cost the workers: the
calls that one real page makes while a study is busy are made by so many clients, because as many browsers would measure
Chromium. The clients watch the study that the workers report to.

It needs `chromium` and the extra `dev`.
"""

import argparse
import asyncio
import multiprocessing
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
from playwright.sync_api import Browser, Page, Request, sync_playwright

from benchmarks import local, machine
from benchmarks.acting import N_EPOCHS, ActingWorker, definition, fill
from service.client import Client

STUDY, BUSY = "large", "busy"
BUSY_SECONDS = 10.0
FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
NO_LIMIT_MS = 120_000.0
SHOWS_HEAD = "() => document.querySelector('main [role=tablist] [role=tab]') ? performance.now() : null"
SHOWS_STUDY = "() => document.querySelector('[data-total]')?.dataset.total === '{n}' ? performance.now() : null"
SHOWS_CURVES = "() => Number(document.querySelector('[data-curves]')?.dataset.curves) >= {n} ? performance.now() : null"
SHOWS_TEXT = "() => document.body.innerText.includes('{text}') ? performance.now() : null"
SHOWS_PLOT = "() => document.querySelector('.js-plotly-plot .main-svg .trace') ? performance.now() : null"
SHOWS_EPOCHS = "(n) => Number(document.querySelector('[data-epochs]')?.dataset.epochs) >= n"


@contextmanager
def browser() -> Iterator[Browser]:
    """A Chromium of its own."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        raise RuntimeError("there is no chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        try:
            yield started
        finally:
            started.close()


def opened(page: Page, address: str, *shown: str) -> list[float]:
    """Open an address; return the seconds until each of the conditions holds, and the memory in MB."""
    page.goto(address, wait_until="commit")
    times = [
        float(page.wait_for_function(condition, polling=20, timeout=NO_LIMIT_MS).json_value()) / 1000
        for condition in shown
    ]
    page.wait_for_timeout(1000)
    return [*times, renderer_bytes() / 2**20]


def renderer_bytes() -> int:
    """Proportional set size of this program's page processes: Chromium's renderers below it."""
    total = 0
    for process in Path("/proc").iterdir():
        with suppress(OSError, StopIteration):
            if process.name.isdigit() and b"--type=renderer" in (process / "cmdline").read_bytes():
                lines = (process / "smaps_rollup").read_text().splitlines()
                total += 1024 * int(next(line for line in lines if line.startswith("Pss:")).split()[1])
    return total


def until_shown(client: Client, server: str, n_reports: int = 10) -> list[float]:
    """Seconds from the acknowledgement of a report until the page of its trial shows it."""
    client.create_study(definition("watched", 1))
    worker = ActingWorker(client, "watched")
    leases = worker.claim(1)
    worker.report(leases, 0)
    taken = []
    with browser() as chromium:
        page = chromium.new_page()
        page.goto(f"{server}/studies/watched/trials/0")
        page.wait_for_function(SHOWS_EPOCHS, arg=1, timeout=NO_LIMIT_MS)
        for step in range(1, n_reports + 1):
            page.wait_for_timeout(300)
            worker.report(leases, step)
            acknowledged = time.perf_counter()
            page.wait_for_function(SHOWS_EPOCHS, arg=step + 1, polling=20, timeout=NO_LIMIT_MS)
            taken.append(time.perf_counter() - acknowledged)
    return taken


class Load:
    """A busy study: reports of 8 trials, one after another, and how long each call took."""

    def __init__(self, client: Client, name: str) -> None:
        client.create_study(definition(name, 1_000_000))
        self._worker = ActingWorker(client, name)

    def run(self, seconds: float) -> list[float]:
        """Report for so long; return the seconds of each report."""
        taken: list[float] = []
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            leases = self._worker.claim(8)
            for step in range(N_EPOCHS):
                begun = time.perf_counter()
                self._worker.report(leases, step)
                taken.append(time.perf_counter() - begun)
                time.sleep(0.005)
            for lease in leases:
                self._worker.complete(lease)
        return taken


def calls_of_a_page(load: Load, server: str) -> list[tuple[float, str]]:
    """The calls that one page makes while its study is busy, but for its event stream: when, in seconds, and which."""
    calls: list[tuple[float, str]] = []
    with browser() as chromium:
        page = chromium.new_page()
        page.goto(f"{server}/studies/{BUSY}")
        page.wait_for_function(SHOWS_TEXT.replace("{text}", BUSY), timeout=NO_LIMIT_MS)
        begun = time.perf_counter()

        def note(request: Request) -> None:
            if "/v1/" in request.url and "/v1/events" not in request.url:
                calls.append((time.perf_counter() - begun, request.url))

        page.on("request", note)
        reporting = threading.Thread(target=load.run, args=(BUSY_SECONDS,))
        reporting.start()
        while reporting.is_alive():
            page.wait_for_timeout(100)
    return calls


@contextmanager
def pages(server: str, calls: list[tuple[float, str]], n_pages: int) -> Iterator[None]:
    """Clients that make these calls again and again, as the page does, and read the event stream.

    They run in a process of their own: in this one they would hold up the calls that are measured.
    """
    process = multiprocessing.get_context("spawn").Process(target=_replay_pages, args=(server, calls, n_pages))
    process.start()
    try:
        time.sleep(3.0)  # until it has imported what it needs and all streams are open
        yield
    finally:
        process.terminate()
        process.join()


def _replay_pages(server: str, calls: list[tuple[float, str]], n_pages: int) -> None:
    async def stream(http: httpx.AsyncClient) -> None:
        async with http.stream("GET", "/v1/events", params={"study": BUSY}, timeout=None) as answer:
            async for _ in answer.aiter_raw():
                pass

    async def replay(http: httpx.AsyncClient, delay: float) -> None:
        tags: dict[str, str] = {}
        await asyncio.sleep(delay)
        while True:
            begun = time.perf_counter()
            for moment, address in calls:
                await asyncio.sleep(max(0.0, begun + moment - time.perf_counter()))
                known = {"If-None-Match": tags[address]} if address in tags else {}
                answer = await http.get(address, headers=known)
                tags[address] = answer.headers.get("ETag", "")
            await asyncio.sleep(max(0.0, begun + BUSY_SECONDS - time.perf_counter()))

    async def all_pages() -> None:
        async with httpx.AsyncClient(base_url=server, limits=httpx.Limits(max_connections=None)) as http:
            streams = [stream(http) for _ in range(n_pages)]
            await asyncio.gather(*streams, *(replay(http, n * BUSY_SECONDS / n_pages) for n in range(n_pages)))

    asyncio.run(all_pages())


def rows(arguments: argparse.Namespace) -> Iterator[str]:
    """Measure, one row for each figure."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(local.service(folder))
        client = stack.enter_context(Client(server))
        fill(client, STUDY, arguments.trials)
        numbers = httpx.get(f"{server}/api/studies", timeout=NO_LIMIT_MS / 1000).json()["study_summaries"]
        study_id = next(one["study_id"] for one in numbers if one["study_name"] == STUDY)
        n_curves = min(500, arguments.trials)
        cases = {
            "Narrows": (
                f"{server}/studies/{STUDY}",
                SHOWS_HEAD,
                SHOWS_STUDY.replace("{n}", str(arguments.trials)),
                SHOWS_CURVES.replace("{n}", str(n_curves)),
            ),
            "Optuna dashboard": (
                f"{server}/dashboard/studies/{study_id}",
                SHOWS_TEXT.replace("{text}", STUDY),
                SHOWS_TEXT.replace("{text}", STUDY),
                SHOWS_PLOT,
            ),
        }
        measured: dict[str, list[list[float]]] = {name: [] for name in cases}
        for _ in range(arguments.repeats):
            for name, (address, *shown) in cases.items():
                with browser() as chromium:
                    measured[name].append(opened(chromium.new_page(), address, *shown))
        figures = (
            "shows the head of the study (state, progress, best value), s",
            "shows its table of trials (Optuna: the same as above), s",
            f"shows {n_curves} curves (Optuna: its first plot), s",
            "memory of the page, MB",
        )
        for index, figure in enumerate(figures):
            spreads = [machine.spread([one[index] for one in measured[name]]) for name in cases]
            yield f"| {figure} | {' | '.join(spreads)} |"
        yield f"| report on the screen after its acknowledgement, s | {machine.spread(until_shown(client, server))} | |"
        yield from load_rows(client, server, arguments.pages)


def load_rows(client: Client, server: str, n_pages: int) -> Iterator[str]:
    """What open pages cost a worker's reports, in turns."""
    load = Load(client, BUSY)
    calls = calls_of_a_page(load, server)
    quiet: list[float] = []
    watched: list[float] = []
    for _ in range(3):
        quiet += load.run(BUSY_SECONDS)
        with pages(server, calls, n_pages):
            watched += load.run(BUSY_SECONDS)
    for name, share in (("median", 0.5), ("p99", 0.99)):
        without, beside = (1000 * quantile(taken, share) for taken in (quiet, watched))
        yield f"| report of 8 trials, {name}, ms: no page, {n_pages} pages | {without:.1f}, {beside:.1f} | |"
    yield f"| calls of a page in {BUSY_SECONDS:g} s | {len(calls)} | |"


def quantile(taken: list[float], share: float) -> float:
    """The value that this share of the values does not exceed."""
    return statistics.quantiles(taken, n=1000)[round(1000 * share) - 1]


def main() -> None:
    """Run the command."""
    parser = machine.command_line(__doc__)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--pages", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    head = [
        "# The web interface",
        "",
        machine.describe(),
        f"- {arguments.trials:,} trials of {N_EPOCHS} epochs; headless Chromium on the same cores as the service",
        f"- median of {arguments.repeats} (least to largest), the two pages in turn, each in a new browser",
        "",
        "| figure | Narrows | Optuna dashboard |",
        "| --- | --- | --- |",
    ]
    machine.print_table("web", head, rows(arguments), record=arguments.record)


if __name__ == "__main__":
    main()
