"""An HTTP proxy that holds calls, so that a client can be killed in the middle of its work."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

import httpx

HOP_BY_HOP = ("connection", "content-encoding", "content-length", "host", "transfer-encoding")


class HoldingProxy:
    """Passes every call on, but only the first POST calls of one path. It holds the others until it ends."""

    def __init__(self, target: str, path: str, n_passed: int) -> None:
        self._n_passed = n_passed
        self._held, self._ended = threading.Event(), threading.Event()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._pass_on()

            def do_POST(self) -> None:
                self._pass_on()

            def log_message(self, *_: object) -> None:
                """Print nothing."""

            def _pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if self.command == "POST" and self.path == path and proxy.holds():
                    self.close_connection = True
                    return
                headers = {name: text for name, text in self.headers.items() if name.lower() not in HOP_BY_HOP}
                answer = httpx.request(self.command, target + self.path, content=body, headers=headers, timeout=None)
                self.send_response(answer.status_code)
                for name, text in answer.headers.items():
                    if name not in HOP_BY_HOP:
                        self.send_header(name, text)
                self.send_header("Content-Length", str(len(answer.content)))
                self.end_headers()
                self.wfile.write(answer.content)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="holding proxy")
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def holds(self) -> bool:
        """Count a call, and hold it until the proxy ends if enough of them have passed. Returns whether it was held."""
        if self._n_passed > 0:
            self._n_passed -= 1
            return False
        self._held.set()
        self._ended.wait()
        return True

    def is_holding(self) -> bool:
        """Whether a call is held."""
        return self._held.is_set()
