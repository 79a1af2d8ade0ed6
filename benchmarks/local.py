"""A real service and real workers on this machine, which run for the length of a measurement."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from narrows.cli.bound import bound

STOP_SECONDS = 30
NARROWS = [sys.executable, "-m", "narrows.cli.main"]


@contextmanager
def service(folder: Path, database: str | None = None, *, checkout: Path | None = None) -> Iterator[str]:
    """Run a service on a database, by default SQLite in `folder`, and yield its address. Its log is serve.log there.

    `checkout`: the folder of another version, to run that.
    """
    log = (folder / "serve.log").open("w")
    command = [*NARROWS, "serve", "--port", "0", "--database", database or f"sqlite:///{folder / 'narrows.db'}"]
    started = subprocess.Popen(bound(command), cwd=checkout, stdout=subprocess.PIPE, stderr=log, text=True)
    with log, _running(started) as process:
        assert process.stdout is not None, "piped"
        line = process.stdout.readline()
        if "ready at" not in line:
            raise RuntimeError(f"the service did not start: {(folder / 'serve.log').read_text()}")
        yield line.split()[-1]


@contextmanager
def workers(
    server: str,
    folder: Path,
    data_dir: Path,
    processes: int | None = None,
    *flags: str,
    checkout: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[None]:
    """Run workers on every device, or `processes` of them, with further flags. Their log is worker.log in `folder`.

    `checkout`: the folder of another version, to run that. `environment`: variables beside those of this process.
    """
    command = [*NARROWS, "worker", "--server", server, "--data-dir", str(data_dir), "--no-download", *flags]
    if processes is not None:
        command += ["--processes", str(processes)]
    with ExitStack() as stack:
        log = stack.enter_context((folder / "worker.log").open("w"))
        variables = os.environ | dict(environment or {})
        started = subprocess.Popen(bound(command), cwd=checkout, env=variables, stdout=log, stderr=log)
        stack.enter_context(_running(started))
        yield


@contextmanager
def _running(process: "subprocess.Popen[str] | subprocess.Popen[bytes]") -> Iterator["subprocess.Popen[str]"]:
    try:
        yield process  # type: ignore[misc]  # only the one that is piped is read
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def default_data_dir() -> Path:
    """Return NARROWS_DATA_DIR, or the folder of data sets beside the repository."""
    return Path(os.environ.get("NARROWS_DATA_DIR", Path(__file__).parents[2] / "shared" / "data"))
