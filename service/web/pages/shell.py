"""Serves the pages of the web interface.

Every page is the same document, the shell. Its modules read the address, ask the public API for what it names and
follow the event stream. They run as they are written: there is no build step.
"""

import hashlib
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

from service.errors import NotFoundError

STATIC = Path(__file__).parent / "static"
PATHS = ("/", "/studies/{name}", "/studies/{name}/trials/{number}", "/workers", "/new", "/compare")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
WORKER_POLICY = "default-src 'none'; script-src 'self'; connect-src 'self'"
"""A worker has a policy of its own: that of its script."""
FOR_GOOD = "private, max-age=31536000, immutable"
MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


def page_routes() -> list[Route]:
    """The routes of the pages and of the files that they load.

    Files have the digest of all of them in their path, so a browser keeps them until one changes.
    """
    files = {path.relative_to(STATIC).as_posix(): path for path in sorted(STATIC.rglob("*")) if path.is_file()}
    digest = _digest(files)
    loader = FileSystemLoader(Path(__file__).parent / "templates")
    template = Environment(loader=loader, autoescape=True, undefined=StrictUndefined).get_template("shell.html")
    shell = template.render(
        assets=f"/assets/{digest}",
        modules=[name for name in files if name.endswith(".js") and not name.startswith(("early/", "shared/"))],
    )

    async def show_page(request: Request) -> Response:
        return HTMLResponse(shell, headers={"Content-Security-Policy": POLICY})

    async def send_file(request: Request) -> Response:
        path = files.get(request.path_params["path"])
        if path is None:
            raise NotFoundError(f"no such file of the pages: {request.path_params['path']}")
        # A page that was opened before an update may ask under the digest of then: it gets what there is, once.
        caching = FOR_GOOD if request.path_params["digest"] == digest else "no-store"
        headers = {"Cache-Control": caching}
        if request.path_params["path"].startswith("shared/"):
            headers["Content-Security-Policy"] = WORKER_POLICY
        return FileResponse(path, media_type=MEDIA_TYPES[path.suffix], headers=headers)

    return [
        *(Route(path, endpoint=show_page, methods=["GET"]) for path in PATHS),
        Route("/assets/{digest}/{path:path}", endpoint=send_file, methods=["GET"]),
    ]


def _digest(files: dict[str, Path]) -> str:
    """A digest of the names and contents of files, in hexadecimal."""
    digest = hashlib.sha256()
    for name, path in files.items():
        digest.update(f"{name}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
