"""Whether a process still runs."""

from pathlib import Path


def is_alive(pid: int) -> bool:
    """Whether a process exists and is not a zombie. It may end while its file is read."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
