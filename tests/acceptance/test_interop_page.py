"""The code in docs/interop.md does what it says, block by block, with a real service."""

import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from service.client import Client
from service.schemas.protocol import Claim, Complete
from service.schemas.worker_info import WorkerInfo
from tests.acceptance.by_hand import METRIC, report
from tests.commands import run
from tests.conftest import ROOT, StartService, clean_environment

pytestmark = pytest.mark.slow

PAGE = (ROOT / "docs" / "interop.md").read_text()
BLOCKS: list[tuple[str, str]] = re.findall(r"```(\w+)\n(.*?)```", PAGE, flags=re.DOTALL)
SERVER = "http://127.0.0.1:8000"


@contextmanager
def trained(url: str) -> Iterator[None]:
    """Trials of all studies are completed meanwhile, with an accuracy that is best at a learning rate of 0.01."""
    ended = threading.Event()

    def train() -> None:
        with Client(url) as client:
            while not ended.is_set():
                claim = Claim(claim_id=secrets.token_hex(8), worker=WorkerInfo(id="by-hand"), wait_seconds=0.5)
                for lease in client.claim(claim).leases:
                    rate = lease.params["learning_rate"]
                    assert isinstance(rate, float)
                    report(client, lease, 0, **{METRIC: 0.5, "train_loss": 1.0})
                    client.complete(lease.lease_id, Complete(metrics={METRIC: 0.9 - abs(rate - 0.01)}))

    worker = threading.Thread(target=train)
    worker.start()
    try:
        yield
    finally:
        ended.set()
        worker.join()


def run_command(line: str, url: str, folder: Path) -> str:
    words = line.split()
    assert words[0] == ".venv/bin/narrows", line
    environment = clean_environment(NARROWS_SERVER=url)
    return run(*words[1:], environment=environment, cwd=folder, check=True).stdout


def test_every_block_of_the_page_works(
    service_process: StartService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = service_process().url
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    said = ""
    with trained(url):
        for language, text in BLOCKS:
            if language == "yaml":
                (tmp_path / text.split()[1]).write_text(text)
            elif language == "csv":
                (tmp_path / "old.csv").write_text(text)
            elif language == "python":
                exec(compile(text.replace(SERVER, url), "docs/interop.md", "exec"), names)
            elif not text.startswith("pip install"):
                said += "".join(run_command(line, url, tmp_path) for line in text.splitlines())
    used = names["client"]
    assert isinstance(used, Client)
    used.close()
    assert "digits is finished" in capsys.readouterr().out
    assert "digits-again learns from 2 trials of old.csv" in said
    with Client(url) as client:
        assert [one.requested_by for one in client.imports("digits-again")] == ["warm_start_from", *["anonymous"] * 2]
        assert client.study("digits").trial_counts.COMPLETE == 12


def test_the_page_has_blocks_of_every_kind() -> None:
    assert {language for language, _ in BLOCKS} == {"yaml", "console", "python", "csv"}
