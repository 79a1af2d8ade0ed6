"""What tests share: real databases, real service processes, the data sets of this machine."""

import os
import select
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests import commands
from tests.commands import Command
from tests.skipping import skip_or_fail
from tests.waiting import PATIENCE_SECONDS

ROOT = Path(__file__).resolve().parents[1]
READY = "Narrows is ready at "
pytest_plugins = ("tests.databases", "tests.reproducible", "tests.tiers")

StartService = Callable[..., "ServiceProcess"]
"""`start(*flags, environment={...}, expect_exit=0)` runs `narrows serve` with those flags on a free port, and waits
until it is ready unless `ready=False`. It ends with the test, however that ends."""


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Name what was skipped, and why, at the end of every run."""
    config.option.reportchars += "s"


def pytest_unconfigure() -> None:
    """End the process that forks commands."""
    commands.end()


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """Let what tests print reach the process that shows it, where several run them: UTF-8 has no half of a pair."""
    return _without_surrogates((yield))


def _without_surrogates(value: Any) -> Any:
    match value:
        case str():
            return value.encode(errors="replace").decode()
        case dict():
            return {_without_surrogates(key): _without_surrogates(one) for key, one in value.items()}
        case list() | tuple():
            return type(value)(_without_surrogates(one) for one in value)
    return value


_CACHE = tempfile.TemporaryDirectory(prefix="narrows-tests-cache-")


def clean_environment(**more: str) -> dict[str, str]:
    """This process's environment without the developer's own NARROWS_ settings and cache, and with `more`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NARROWS_")}
    return {**kept, "XDG_CACHE_HOME": _CACHE.name, **more}


@pytest.fixture
def free_port() -> int:
    return free_tcp_port()


def free_tcp_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def data_dir() -> Path:
    """The folder of the data sets, laid out as torchvision does."""
    folder = Path(os.environ.get("NARROWS_DATA_DIR") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        skip_or_fail(f"NO DATA SETS in {folder}: set NARROWS_DATA_DIR", "NARROWS_REQUIRE_DATA")
    return folder


class ServiceProcess:
    """A running `narrows serve`. Its log is in the file `log`; its `url` is known once it is ready."""

    def __init__(self, process: "Command | subprocess.Popen[bytes]", log: Path, expect_exit: int | None) -> None:
        self.process = process
        self.log = log
        self.url = ""
        self._expect_exit = expect_exit

    def stop(self) -> int:
        """End it as a supervisor does, and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self._ended()

    def kill(self) -> int:
        """End it at once, as a crash does."""
        self._expect_exit = -signal.SIGKILL
        self.process.kill()
        return self._ended()

    def close(self) -> None:
        """End it, and fail when it does not end as it should."""
        status = self.stop()
        assert self._expect_exit in (None, status), f"exit status {status}, log:\n{self.tail()}"

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-4000:]

    def _ended(self) -> int:
        try:
            return self.process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"did not end within {PATIENCE_SECONDS:g} seconds, log:\n{self.tail()}") from None
        finally:
            if self.process.stdout is not None:
                self.process.stdout.close()

    def await_ready(self, seconds: float = PATIENCE_SECONDS) -> None:
        """Kill it, and fail, when it has not said within so long that it is ready."""
        assert self.process.stdout is not None, "it is a pipe"
        deadline = time.monotonic() + seconds
        line = b""
        while not line.endswith(b"\n"):
            readable, _, _ = select.select([self.process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            more = os.read(self.process.stdout.fileno(), 4096) if readable else b""
            if not more:
                self.kill()
                self._expect_exit = None
                raise AssertionError(f"not ready within {seconds:g} seconds: {line!r}, log:\n{self.tail()}")
            line += more
        text = line.decode().strip()
        assert text.startswith(READY), f"first line must name the address: {text}"
        self.url = text.removeprefix(READY)


@pytest.fixture
def service_process(tmp_path: Path) -> Iterator[StartService]:
    """Start real services; at the end each gets SIGTERM and must exit as expected (0, or any with None)."""
    running: list[ServiceProcess] = []

    def start(
        *flags: str, environment: Mapping[str, str] | None = None, expect_exit: int | None = 0, ready: bool = True
    ) -> ServiceProcess:
        log = tmp_path / f"service-{len(running)}.log"
        given = _with_defaults(flags, environment or {}, tmp_path)
        with log.open("wb") as stderr:
            process = Command(
                "serve", *given, environment=clean_environment(**(environment or {})), cwd=tmp_path, stderr=stderr
            )
        service = ServiceProcess(process, log, expect_exit)
        running.append(service)
        if ready:
            service.await_ready()
        return service

    try:
        yield start
    finally:
        failures = [problem for service in reversed(running) if (problem := _close(service)) is not None]
    assert not failures, "\n".join(failures)


def _with_defaults(flags: tuple[str, ...], environment: Mapping[str, str], folder: Path) -> list[str]:
    defaults = {"port": "0", "database": f"sqlite:///{folder / 'narrows.db'}"}
    given = list(flags)
    for name, value in defaults.items():
        if f"--{name}" not in flags and f"NARROWS_{name.upper()}" not in environment:
            given += [f"--{name}", value]
    return given


def _close(service: ServiceProcess) -> str | None:
    try:
        service.close()
    except AssertionError as error:
        return str(error)
    return None
