"""The process of a user's code: what it sees, what it writes, and how it ends."""

import fcntl
import os
import resource
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import pytest

from tests.alive import is_alive
from tests.unit.workers.fakes import ONE_CPU
from tests.waiting import PATIENCE_SECONDS, until
from workers.fleet.device_group import DeviceGroup
from workers.fleet.devices import n_cores
from workers.user_code.conversation import Conversation, InvalidMessageError
from workers.user_code.process import UserProcess, environment_for
from workers.user_process.channel import Message

pytestmark = pytest.mark.processes


@pytest.mark.parametrize(
    ("devices", "visible", "expected"),
    [
        (["cpu"], "0,1", ""),
        (["cpu", "cpu"], "0,1", ""),
        (["cuda:1"], None, "1"),
        (["cuda:1"], "4,7", "7"),
        (["cuda:0"], "MIG-a,MIG-b", "MIG-a"),
        (["cuda"], "3", "3"),
        (["cuda:0", "cuda:2"], None, "0,2"),
        (["cuda:0", "cuda:2"], "4,7,9", "4,9"),
    ],
)
def test_the_code_sees_only_the_gpus_of_its_trial(devices: list[str], visible: str | None, expected: str) -> None:
    environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    group = DeviceGroup(tuple(devices))
    assert environment_for(group, environment)["CUDA_VISIBLE_DEVICES"] == expected
    assert group.kind == devices[0].partition(":")[0]


@pytest.mark.parametrize(
    ("exported", "share", "threads"),
    [("8", 1, "8"), ("8", Fraction(1, 4), "2"), ("2", Fraction(1, 4), "1"), ("four", 1, "four")],
)
def test_trials_that_share_a_device_share_the_threads(exported: str, share: Fraction, threads: str) -> None:
    devices = DeviceGroup(("cuda:0",), Fraction(share))
    assert environment_for(devices, {"OMP_NUM_THREADS": exported})["OMP_NUM_THREADS"] == threads


def test_trials_that_share_a_device_share_the_cores_if_no_number_is_exported() -> None:
    environment = environment_for(DeviceGroup(("cuda:0",), Fraction(1, 2)), {})
    numbers = {environment[name] for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    assert numbers == {str(max(1, n_cores() // 2))}
    assert "OMP_NUM_THREADS" not in environment_for(DeviceGroup(("cuda:0",)), {})


def test_the_code_sees_no_variable_of_the_worker() -> None:
    environment = {"NARROWS_TOKEN": "secret", "NARROWS_": "x", "PATH": "/bin", "MY_NARROWS": "mine"}
    environment |= {f"MLFLOW_{name}": "secret" for name in ("TRACKING_TOKEN", "TRACKING_PASSWORD", "RUN_ID")}
    assert environment_for(ONE_CPU, environment).keys() == {
        "PATH",
        "MY_NARROWS",
        "CUDA_VISIBLE_DEVICES",
        "PYTHONUNBUFFERED",
    }


def test_relative_paths_to_modules_stay_those_of_the_workers_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    environment = {"PYTHONPATH": f"src{os.pathsep}/opt/more"}
    assert environment_for(ONE_CPU, environment)["PYTHONPATH"] == f"{tmp_path / 'src'}{os.pathsep}/opt/more"


def test_a_conversation_goes_on_in_a_process_with_more_than_1024_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 1200:
        pytest.skip(f"the hard limit of open files must be above 1200: {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1200), hard))
    ours, theirs = socket.socketpair()
    high = fcntl.fcntl(ours.fileno(), fcntl.F_DUPFD_CLOEXEC, 1100)
    try:
        with ours, theirs, socket.socket(fileno=high) as connection:
            theirs.sendall(b'{"call": "decision"}\n')
            assert Conversation(connection).next(10) == {"call": "decision"}
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def process_of(entrypoint: str, tmp_path: Path, code: str) -> tuple[UserProcess, Conversation]:
    (tmp_path / "mine.py").write_text(code)
    process = UserProcess(ONE_CPU, tmp_path)
    conversation = Conversation(process.connection)
    start: Message = {
        "entrypoint": entrypoint,
        "arguments": {},
        "objectives": [{"metric": "loss", "direction": "minimize"}],
    }
    start |= {
        "code": str(tmp_path),
        "before_code": [],
        "memory_limit_mib": None,
        "number": 3,
        "study": "s",
        "params": {},
        "prunes": False,
        "user_attrs": {},
        "program": "mine.py",
        "environment": {},
        "world_size": 1,
    }
    conversation.send(start)
    return process, conversation


def test_the_process_sends_the_objectives_result_and_ends(tmp_path: Path) -> None:
    process, conversation = process_of("mine:f", tmp_path, "def f(trial):\n    return trial.number\n")
    assert conversation.next(30) == {"call": "complete", "values": [3.0], "metrics": {}}
    conversation.send({})
    assert process.ended_within(PATIENCE_SECONDS)
    assert process.end() == 0


def test_the_process_does_not_import_from_the_workers_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "stray.py").write_text("def f(trial):\n    return 1.0\n")
    monkeypatch.chdir(tmp_path / "here")
    process, conversation = process_of("stray:f", tmp_path, "")
    try:
        message = conversation.next(30)
        assert message is not None
        assert "No module named 'stray'" in message["reason"]
        assert message["retry"] is True
    finally:
        process.end()


def test_the_process_ends_when_the_worker_closes_its_connection(tmp_path: Path) -> None:
    code = "import time\ndef f(trial):\n    print('begun', flush=True)\n    time.sleep(600)\n"
    process, _ = process_of("mine:f", tmp_path, code)
    until(lambda: b"begun" in process.output.content())
    os.close(process._lifeline)
    process._lifeline = os.open(os.devnull, os.O_RDONLY)
    assert process.ended_within(PATIENCE_SECONDS)
    assert process.end() == -signal.SIGKILL


WORKER = """
import sys, time
from pathlib import Path
from workers.fleet.device_group import DeviceGroup
from workers.user_code.conversation import Conversation
from workers.user_code.process import UserProcess

process = UserProcess(DeviceGroup(("cpu",)), Path(sys.argv[1]))
start = {"entrypoint": "mine:f", "arguments": {}, "objectives": [], "code": sys.argv[1], "memory_limit_mib": None}
start |= {"before_code": [], "program": "mine.py", "environment": {}, "world_size": 1}
start |= {"number": 3, "study": "s", "params": {}, "prunes": False, "user_attrs": {}}
Conversation(process.connection).send(start)
time.sleep(600)
"""


def test_processes_that_the_code_has_started_end_when_the_worker_is_killed(tmp_path: Path) -> None:
    code = "import os, subprocess, time\ndef f(trial):\n    child = subprocess.Popen(['sleep', '600'])\n"
    code += "    with open('part', 'w') as file: file.write(str(child.pid))\n    os.rename('part', 'pid')\n"
    (tmp_path / "mine.py").write_text(code + "    time.sleep(600)\n")
    with subprocess.Popen([sys.executable, "-c", WORKER, str(tmp_path)]) as worker:
        try:
            until((tmp_path / "pid").exists)
            grandchild = int((tmp_path / "pid").read_text())
            assert is_alive(grandchild)
        finally:
            worker.kill()
    until(lambda: not is_alive(grandchild))


def test_the_guard_holds_no_file_of_the_code_and_ends_with_the_trial(tmp_path: Path) -> None:
    process, conversation = process_of("mine:f", tmp_path, "def f(trial):\n    return 1.0\n")
    assert conversation.next(30) is not None
    (guard,) = guards_of(process)
    lifeline = Path(f"/proc/{guard}/cmdline").read_text().split("\0")[-3]
    until(lambda: [file.name for file in Path(f"/proc/{guard}/fd").iterdir()] == [lifeline])
    conversation.send({})
    assert process.ended_within(PATIENCE_SECONDS)
    assert process.end() == 0
    thread = process.output._thread
    assert thread is not None
    assert not thread.is_alive()
    until(lambda: not is_alive(guard))


def test_code_that_waits_for_its_children_does_not_wait_for_the_guard(tmp_path: Path) -> None:
    code = "import os\ndef f(trial):\n    try:\n        os.wait()\n    except ChildProcessError:\n        return 1.0\n"
    process, conversation = process_of("mine:f", tmp_path, code)
    try:
        assert conversation.next(30) == {"call": "complete", "values": [1.0], "metrics": {}}
    finally:
        process.end(0.0)


def guards_of(process: UserProcess) -> list[int]:
    """Return the processes with the same command line."""
    mine = Path(f"/proc/{process.pid}/cmdline").read_bytes()
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if path.read_bytes() == mine and int(path.parent.name) != process.pid:
                found.append(int(path.parent.name))
    return found


@pytest.mark.parametrize("said", [r"b'no JSON\n'", r"b'[1]\n'", r"b'{\"call\": 1}\n'", r"b'{}\n'", "b'x' * 2**21"])
def test_output_that_is_no_message_ends_the_conversation(tmp_path: Path, said: str) -> None:
    code = f"import time\ndef f(trial):\n    trial._channel._connection.sendall({said})\n    time.sleep(600)\n"
    process, conversation = process_of("mine:f", tmp_path, code)
    try:
        with pytest.raises(InvalidMessageError):
            hear_all(conversation)
    finally:
        process.end(0.0)


def hear_all(conversation: Conversation) -> None:
    for _ in range(1000):
        conversation.next(0.1)
