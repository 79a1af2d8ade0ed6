"""Looks for the worker's token wherever a process can look, as an attacker would."""

import os
import sys
from pathlib import Path


def ancestors():
    pid = os.getpid()
    while pid > 1:
        yield pid
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def look(trial, end):
    """How often a token that ends so is found; only its end is known, so that nothing else holds the whole of it."""
    found = []
    for name, value in os.environ.items():
        if end in value or name.startswith("NARROWS_"):
            found.append(f"variable {name}")
    for pid in ancestors():
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        if b"user_process" not in command and b"workers" not in command:
            break  # what started the worker is not the worker's
        for name in ("environ", "cmdline"):
            try:
                if end.encode() in Path(f"/proc/{pid}/{name}").read_bytes():
                    found.append(f"{name} of {pid}")
            except PermissionError:
                print(f"closed: {name} of {pid}")
        print("looked at", command)
    for fd in sorted(path.name for path in Path("/proc/self/fd").iterdir()):
        try:
            print("file", fd, Path(f"/proc/self/fd/{fd}").readlink())
        except FileNotFoundError:
            continue
    frame = sys._getframe()
    while frame is not None:
        for name, value in {**frame.f_globals, **frame.f_locals}.items():
            is_given = name in ("end", "start") or "arguments" in str(value)
            if not is_given and isinstance(value, str | bytes | dict) and end in str(value):
                found.append(f"{name} in {frame.f_code.co_filename}")
        frame = frame.f_back
    print("found:", found)
    return float(len(found))
