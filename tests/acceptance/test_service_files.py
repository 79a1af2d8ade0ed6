"""What the service writes, only its own user can read."""

import stat
from pathlib import Path

from service.client import Client
from tests.conftest import StartService
from tests.integration.service_driver import definition


def test_files_of_the_service_are_for_its_own_user(service_process: StartService, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    service = service_process("--database", f"sqlite:///{folder / 'narrows.db'}", "--artifacts", str(folder / "kept"))
    with Client(service.url) as client:
        client.create_study(definition())
        modes = {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in folder.rglob("*") if path.is_file()}
    assert {"narrows.db", "narrows.db-wal", "narrows.db.lock"} <= set(modes)
    assert set(modes.values()) == {"0o600"}
