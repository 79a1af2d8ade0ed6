"""A PostgreSQL server that tests may stop and start."""

import os
import shutil
import subprocess
from pathlib import Path

FOLDERS = ("/usr/lib/postgresql", "/usr/local/pgsql", "/opt/homebrew/opt")


def find_programs() -> Path | None:
    """The folder of initdb and pg_ctl, of the newest version; None if there is none."""
    on_path = shutil.which("pg_ctl")
    if on_path is not None:
        return Path(on_path).parent
    found = sorted(path.parent for folder in FOLDERS for path in Path(folder).glob("*/bin/pg_ctl"))
    return found[-1] if found else None


class PostgresCluster:
    """A server with its data in a folder. It listens only on one port of 127.0.0.1."""

    def __init__(self, programs: Path, folder: Path, port: int) -> None:
        self._programs = programs
        self._folder = folder / "cluster"
        self._port = port
        self.url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            folder.chmod(0o777)
        self._run("initdb", "-D", str(self._folder), "-U", "postgres", "-A", "trust", "--no-sync")

    def start(self) -> None:
        """Start the server and wait until it is ready."""
        options = f"-p {self._port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
        self._run("pg_ctl", "-D", str(self._folder), "-w", "-l", str(self._folder / "log"), "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop the server. `immediate` is a crash, `fast` an orderly end, which closes all connections."""
        self._run("pg_ctl", "-D", str(self._folder), "-w", "-m", mode, "stop")

    def is_running(self) -> bool:
        """Whether the server was started and not stopped."""
        return (self._folder / "postmaster.pid").exists()

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        if os.geteuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, cwd="/")
