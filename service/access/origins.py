"""Checks where a browser's request comes from: other sites must not act with this site's credentials."""

import ipaddress
import re
from functools import lru_cache
from urllib.parse import SplitResult, urlsplit

from starlette.datastructures import Headers

from service.errors import CrossOriginError

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
PAGES = re.compile(r"/(studies/.*|workers|new|compare|dashboard(/.*)?|docs|login)?")
"""Paths of pages, to which a link of another site may lead."""


def check_same_site(method: str, path: str, headers: Headers) -> None:
    """Raises CrossOriginError when a call of any method was sent from another site's page.

    For callers without credentials, whom a service on loopback admits: a page could let their browser read, which costs
    the service time. A person's own navigation to a page passes, as do programs, which send no such headers.
    """
    site = headers.get("sec-fetch-site")
    is_navigation = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    if method in ("GET", "HEAD") and is_navigation and PAGES.fullmatch(path):
        return
    if method in SAFE_METHODS and site is None and headers.get("origin") is None:
        return
    _check_origin(headers, by_browser=False)


def check_same_origin(method: str, headers: Headers, *, by_browser: bool) -> None:
    """Raises CrossOriginError when a call that changes something was sent from another site's page.

    Browsers state the origin of a request in headers that a page cannot forge. Other programs send neither header; with
    `by_browser`, for credentials that only a browser holds, such a request is refused.
    """
    if method not in SAFE_METHODS:
        _check_origin(headers, by_browser=by_browser)


def _check_origin(headers: Headers, *, by_browser: bool) -> None:
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:  # first, because a proxy may change the Host header, but not this one
        same = site in ("same-origin", "none")
    elif origin is not None:
        same = _network_location(origin) == headers.get("host", "")
    else:
        same = not by_browser
    if not same:
        raise CrossOriginError(f"a page of another site must not do this: Origin: {origin}, Sec-Fetch-Site: {site}")


def check_local_host(headers: Headers) -> None:
    """Raises CrossOriginError unless the Host header is a name of this machine.

    Otherwise a page could let its own host name resolve to this machine and be of the same origin (DNS rebinding).
    """
    hosts = headers.getlist("host")
    host = ", ".join(hosts)
    if len(hosts) != 1 or not is_loopback(_hostname(host)):
        raise CrossOriginError(f"without tokens this service answers only to localhost and 127.0.0.1, not to {host!r}")


@lru_cache(maxsize=1024)
def is_loopback(host: str) -> bool:
    """Whether a host name or address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _hostname(host: str) -> str:
    parts = _split(f"//{host}")
    if parts is None or parts.netloc != host or "@" in host:  # a path or a user name
        return ""
    return parts.hostname or ""


def _network_location(url: str) -> str | None:
    parts = _split(url)
    return None if parts is None else parts.netloc


def _split(url: str) -> SplitResult | None:
    """The parts of a URL; None if it has none, because anybody may send anything as one."""
    try:
        return urlsplit(url)
    except ValueError:
        return None
