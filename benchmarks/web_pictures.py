"""Takes pictures of the pages of a running service, to look at them and for the README.

python -m benchmarks.web_pictures --out /tmp/pictures / /studies/digits /studies/digits#analysis /workers
"""

import argparse
import re
import shutil
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

SIZES = {"wide": {"width": 1400, "height": 900}, "phone": {"width": 380, "height": 800}}
THEMES = ("light", "dark")
SETTLED_MILLISECONDS = 1500
"""A live page is never idle, so that it gets this time to draw."""


def main() -> None:
    """Take a picture of each path in each size and theme."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paths", nargs="+", help="paths of pages, such as /studies/digits")
    parser.add_argument("--server", default="http://127.0.0.1:8000")
    parser.add_argument("--token", help="a token to log in with")
    parser.add_argument("--out", type=Path, default=Path("pictures"), help="a folder outside of the repository")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for size in SIZES:
            for theme in THEMES:
                page = open_page(browser, given.server, given.token, size, theme)
                for path in given.paths:
                    take_picture(page, given.server + path, given.out / f"{name_of(path)}-{size}-{theme}.png")
        browser.close()


def open_page(browser: Browser, server: str, token: str | None, size: str, theme: str) -> Page:
    """An empty page of this size and theme, logged in if there is a token."""
    context = browser.new_context(viewport=SIZES[size], color_scheme=theme)  # type: ignore[arg-type]
    if token is not None:
        context.request.post(f"{server}/login", form={"token": token})
    return context.new_page()


def take_picture(page: Page, address: str, file: Path) -> None:
    """Take a picture of the whole page."""
    page.goto("about:blank")  # an address that differs in its fragment alone would not load the page
    page.goto(address)
    page.locator("main h1").first.wait_for()
    page.wait_for_timeout(SETTLED_MILLISECONDS)
    page.screenshot(path=file, full_page=True)
    print(file)


def name_of(path: str) -> str:
    """A name for the picture of a path."""
    return re.sub(r"[^A-Za-z0-9]+", "-", path).strip("-")[:80] or "studies"


if __name__ == "__main__":
    main()
