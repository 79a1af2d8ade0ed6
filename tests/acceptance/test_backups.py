"""The backup commands of docs/operations.md, run while the service works, give a service with everything in it."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from service.client import Client
from service.schemas.protocol import Complete, Lease
from tests.acceptance.by_hand import METRIC, claimed, completed, definition, report
from tests.conftest import ROOT, StartService
from tests.databases import postgres_database
from tests.skipping import skip_or_fail

SECTION = (ROOT / "docs" / "operations.md").read_text().partition("\n## Backups\n")[2].partition("\n## ")[0]
SQLITE, PYTHON, PG_DUMP, RESTORE_SQLITE, RESTORE_POSTGRESQL = re.findall(r"```console\n(.*?)```", SECTION, re.DOTALL)

(COPY,) = re.findall(r"^sqlite3 .*$", SQLITE, re.MULTILINE)


def run(commands: str, folder: Path) -> None:
    subprocess.run(["bash", "-euc", commands], cwd=folder, check=True, capture_output=True, text=True)


def without_serve(commands: str) -> str:
    """The commands of a restore without the last one, which starts the service."""
    *lines, last = commands.splitlines()
    assert last.startswith("narrows serve ")
    return "\n".join(lines)


def work(client: Client) -> Lease:
    """A complete trial, and the open lease of a second one with a report and a file."""
    client.create_study(definition("kept"))
    completed(client, "kept", 0.9)
    lease = claimed(client, "kept")
    report(client, lease, 0, **{METRIC: 0.5})
    client.upload_artifact(lease.lease_id, "notes", b"some bytes")
    return lease


def check_restored(client: Client, lease: Lease, folder: Path) -> None:
    assert [trial.values for trial in client.best("kept", 1)] == [[0.9]]
    client.download_artifact("kept", lease.trial_number, "notes", folder / "notes")
    assert (folder / "notes").read_bytes() == b"some bytes"
    assert report(client, lease, 1, **{METRIC: 0.6}) == "continue"
    client.complete(lease.lease_id, Complete(metrics={METRIC: 0.6}))
    assert client.study("kept").trial_counts.COMPLETE == 2


@pytest.mark.parametrize("program", ["sqlite3", "python3"])
def test_a_backup_of_sqlite_is_restored(service_process: StartService, tmp_path: Path, program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    service = service_process()
    with Client(service.url) as client:
        lease = work(client)
        run(SQLITE if program == "sqlite3" else SQLITE.replace(COPY, PYTHON.strip()), tmp_path)
        completed(client, "kept", 0.95)
    service.close()
    run(without_serve(RESTORE_SQLITE), tmp_path)

    restored = service_process("--database", "sqlite:///restored/narrows.db")

    with Client(restored.url) as client:
        check_restored(client, lease, tmp_path)


def test_a_backup_of_postgresql_is_restored(service_process: StartService, tmp_path: Path, postgres_url: str) -> None:
    if shutil.which("pg_dump") is None:
        skip_or_fail("pg_dump is not installed", "NARROWS_REQUIRE_POSTGRES")
    service = service_process("--database", postgres_url)
    with Client(service.url) as client:
        lease = work(client)
        run(SQLITE.replace(COPY, PG_DUMP.replace("postgresql://USER@HOST/narrows", postgres_url)), tmp_path)
        completed(client, "kept", 0.95)
    service.close()
    with postgres_database() as url:
        createdb, *rest = without_serve(RESTORE_POSTGRESQL).splitlines()
        assert createdb.startswith("createdb ")
        run("\n".join(rest).replace("postgresql://USER@HOST/restored", url), tmp_path)

        restored = service_process("--database", url, "--artifacts", "restored/narrows-artifacts")

        with Client(restored.url) as client:
            check_restored(client, lease, tmp_path)
        restored.close()
