"""Kills its worker, and looks for the token in the process that is started in its place, from its first moment."""

import json
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

N_ROUNDS = 20_000


def hunt(trial, end, server, folder):
    """What the spy has found: the first attempt starts it, the second one ends it.

    The token ends with `end`; `server` is on the command line of every process of the fleet.
    """
    begun, enough, found = (Path(folder, name) for name in ("begun", "enough", "found"))
    if begun.exists():
        enough.touch()
        while not found.exists():
            time.sleep(0.05)
        return float(len(json.loads(found.read_text())["token"]))
    if os.fork() == 0:
        os.setsid()  # what moves to a session of its own outlives the trial
        spy(end.encode(), server.encode(), begun, enough, found)
        os._exit(0)
    while not begun.exists():
        time.sleep(0.05)
    os.kill(worker_above(server.encode()), signal.SIGKILL)
    time.sleep(600)
    return None


def spy(end, server, begun, enough, found):
    """Look at every process again and again, and note those with the token in sight or with open memory."""
    token, memory = set(), set()
    for _ in range(N_ROUNDS):
        is_last = enough.exists()
        for path in Path("/proc").glob("[0-9]*"):
            for name in ("environ", "cmdline"):
                with suppress(OSError):
                    if end in (path / name).read_bytes():
                        token.add(int(path.name))
            with suppress(OSError):
                if is_worker(path, server):
                    with (path / "mem").open("rb"):
                        if is_worker(path, server):  # still: it has not become the process of a trial meanwhile
                            memory.add(int(path.name))
        begun.touch()
        if is_last:
            break
    part = found.with_suffix(".part")
    part.write_text(json.dumps({"token": sorted(token), "memory": sorted(memory)}))
    part.rename(found)


def worker_above(server):
    """The worker of this trial: the nearest process above with the server on its command line."""
    pid = os.getppid()
    while not is_worker(Path(f"/proc/{pid}"), server):
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return pid


def is_worker(path, server):
    return b"--server=" + server in (path / "cmdline").read_bytes()
