"""The login page: one document that runs no script and loads nothing."""

import base64
import hashlib
from collections.abc import Iterable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader

from service.web.pages.shell import STATIC

TEMPLATES = Path(__file__).parent / "templates"
STYLE = (STATIC / "tokens.css").read_text() + (TEMPLATES / "login.css").read_text()
PAGE = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True).get_template("login.html")

_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; img-src data:; form-action 'self'; base-uri 'none'"


def login_form(next_path: str, error: str | None = None) -> str:
    """The page with a form for a token. It leads to `next_path` and shows what was wrong with the last attempt."""
    return PAGE.render(style=STYLE, next_path=next_path, error=error)


def session_page(name: str, scopes: Iterable[str]) -> str:
    """The page for a logged-in user: the token's name and scopes, links and a button to log out."""
    return PAGE.render(style=STYLE, name=name, scopes=sorted(scopes))
