"""Where a browser's request comes from: another site must not act with what this one's browser has been given."""

from urllib.parse import urlsplit

from starlette.datastructures import Headers

from service.access.route_scopes import is_loopback
from service.errors import CrossOriginError

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


def check_same_origin(method: str, headers: Headers, *, by_browser: bool) -> None:
    """Raises CrossOriginError when a call that changes something was sent from another site's page.

    Browsers say where a request comes from; a page cannot forge it. Other programs say nothing, which is refused when
    only a browser can have what was shown (`by_browser`).
    """
    if method in SAFE_METHODS:
        return
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:  # said by the browser itself, whatever a proxy makes of the host
        same = site in ("same-origin", "none")
    elif origin is not None:
        same = urlsplit(origin).netloc == headers.get("host", "")
    else:
        same = not by_browser
    if not same:
        raise CrossOriginError(f"a page of another site must not do this: Origin: {origin}, Sec-Fetch-Site: {site}")


def check_local_host(headers: Headers) -> None:
    """Raises CrossOriginError unless the service was called by this machine's own name.

    Otherwise a page could have its own name lead to this machine, and then be of the same origin (DNS rebinding).
    """
    hosts = headers.getlist("host")
    host = ", ".join(hosts)
    if len(hosts) != 1 or not is_loopback(_hostname(host)):
        raise CrossOriginError(f"without tokens this service answers to localhost and 127.0.0.1 alone, not to {host!r}")


def _hostname(host: str) -> str:
    try:
        parts = urlsplit(f"//{host}")
    except ValueError:
        return ""
    is_plain = parts.netloc == host and "@" not in host  # no path, and nobody's name before the host's
    return parts.hostname or "" if is_plain else ""
