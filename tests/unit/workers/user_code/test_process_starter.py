"""Processes that are forked from one that has imported the packages, which a trial must not be able to tell apart."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.alive import is_alive
from tests.unit.workers.fakes import ONE_CPU
from tests.waiting import PATIENCE_SECONDS, until
from workers.user_code.conversation import Conversation
from workers.user_code.process import NewProcess, UserProcess
from workers.user_code.process_starter import MAX_FORKING, ProcessStarter

pytestmark = [pytest.mark.processes, pytest.mark.skipif(sys.platform != "linux", reason="forks need Linux")]

PACKAGES = {
    "plain": "loaded = 1\n",
    "threads": "import threading, time\nthreading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n",
    "broken": "raise SystemExit(3)\n",
    "making": "import os, tempfile\nfolder = tempfile.TemporaryDirectory(dir=os.path.dirname(__file__))\n",
}


class Trials:
    """Trials of functions in `mine.py`, beside packages that count as installed."""

    def __init__(self, folder: Path) -> None:
        self.code = folder / "code"
        self.installed = folder / "site-packages"
        self.code.mkdir()
        self.installed.mkdir()
        for name, text in PACKAGES.items():
            (self.installed / f"{name}.py").write_text(text)
        self.starter = ProcessStarter(ONE_CPU, self.code)

    def write(self, body: str) -> None:
        """Write the function `f(trial)` that the next trials call."""
        lines = "".join(f"    {line}\n" for line in body.splitlines())
        (self.code / "mine.py").write_text(f"import os, sys\ndef f(trial):\n{lines}")

    def start(self, entrypoint: str = "mine:f") -> tuple[UserProcess, Conversation]:
        process = self.starter.start(self.code, [entrypoint], ONE_CPU)
        conversation = Conversation(process.connection)
        facts = {"number": 3, "study": "s", "params": {}, "prunes": False, "user_attrs": {}, "program": "mine.py"}
        facts |= {"before_code": [], "memory_limit_mib": None, "environment": {}, "world_size": 1}
        facts |= {"objectives": [{"metric": "loss", "direction": "minimize"}], "code": str(self.code)}
        conversation.send({"entrypoint": entrypoint, "arguments": {}, **facts})
        return process, conversation

    def run(self, entrypoint: str = "mine:f") -> tuple[Any, str]:
        """Run a trial; returns its value, or its whole message if it failed, and its output."""
        process, conversation = self.start(entrypoint)
        message = conversation.next(PATIENCE_SECONDS)
        assert message is not None
        conversation.send({})
        assert process.ended_within(PATIENCE_SECONDS)
        assert process.end() == 0
        value = message["values"][0] if message["call"] == "complete" else message
        return value, process.output.content().decode()

    def run_until(self, value: float) -> str:
        """Run trials until one has this value: what a trial has imported is imported ahead a little later."""
        seen = []

        def has_value() -> bool:
            seen.append(self.run())
            return bool(seen[-1][0] == value)

        until(has_value)
        return seen[-1][1]


@pytest.fixture
def trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trials]:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site-packages"))
    trials = Trials(tmp_path)
    yield trials
    trials.starter.close()


WAS_IMPORTED = "was = 'plain' in sys.modules\n__import__('plain')\nreturn float(was)\n"  # no line names it


def test_what_the_users_files_name_is_there_for_the_first_trial(trials: Trials) -> None:
    trials.write("was = 'plain' in sys.modules\nimport plain\nreturn float(was)\n")
    assert trials.run()[0] == 1.0


def test_what_a_trial_has_imported_is_there_for_the_next_ones(trials: Trials) -> None:
    trials.write(WAS_IMPORTED)
    assert trials.run()[0] == 0.0
    trials.run_until(1.0)


def test_an_import_at_the_top_of_the_users_file_counts_while_the_trial_runs(trials: Trials) -> None:
    (trials.code / "mine.py").write_text(
        "import sys, time\nwas = 'plain' in sys.modules\nimport plain\n"
        "def f(trial):\n    print('begun', flush=True)\n    time.sleep(600)\n"
        "def g(trial):\n    return float(was)\n"
    )
    process, _ = trials.start()
    until(lambda: b"begun" in process.output.content())
    trials.write(WAS_IMPORTED)
    trials.run_until(1.0)
    process.end(0.0)


def test_each_trial_is_a_new_process_that_imports_the_users_own_file_anew(trials: Trials) -> None:
    trials.write("return float(os.getpid())\n")
    assert trials.run()[0] != trials.run()[0]
    trials.write("import plain\nplain.loaded += 1\nreturn float(plain.loaded)\n")
    assert [trials.run()[0] for _ in range(3)] == [2.0] * 3
    trials.write("return 7.0\n")
    assert trials.run()[0] == 7.0


def test_a_folder_that_a_package_has_made_is_there_for_all_trials(trials: Trials) -> None:
    was = "was = float('making' in sys.modules)\nimport making\n"
    trials.write(f"{was}return was if os.path.isdir(making.folder.name) else -1.0\n")
    trials.run_until(1.0)
    assert [trials.run()[0] for _ in range(2)] == [1.0] * 2


def test_a_fork_is_what_a_new_process_is(trials: Trials) -> None:
    trials.write(
        "import json, multiprocessing, plain, random, signal, tempfile, threading\n"
        "print(json.dumps({'argv': sys.argv, 'cwd': os.getcwd(), 'path': sys.path,\n"
        "    'session': os.getsid(0) == os.getpid(),\n"
        "    'environment': sorted(os.environ), 'stdin': sys.stdin.read(), 'threads': threading.active_count(),\n"
        "    'main': threading.current_thread() is threading.main_thread(),\n"
        "    'parent': multiprocessing.parent_process(),\n"
        "    'temporary': tempfile.gettempdir(), 'files': len(os.listdir('/proc/self/fd')),\n"
        "    'signals': [str(signal.getsignal(number)) for number in (2, 13, 15, 17)]}))\n"
        "return float('plain' in sys.modules)\n"
    )
    forked = [trials.run()[1] for _ in range(3)][-1]
    trials.starter.close()
    trials.starter = ProcessStarter(ONE_CPU, trials.code, forks=False)
    fresh = trials.run()[1]
    assert _but_files(forked) == _but_files(fresh)


def _but_files(text: str) -> str:
    """The text without the number of open files: a fork holds the socket that its imports are told over."""
    before, _, after = text.partition('"files": ')
    return before + after.partition(",")[2]


def test_a_fork_ends_as_an_interpreter_does(trials: Trials) -> None:
    trials.write(
        "import atexit, plain, threading, time\nglobal kept\n"
        "kept = open('kept.txt', 'w')\nkept.write('written')\n"
        "print('without a line end', end=' ', file=sys.__stdout__)\n"
        "atexit.register(print, 'atexit', os.path.getsize('kept.txt'))\n"
        "threading.Thread(target=lambda: (time.sleep(0.2), print('thread'))).start()\nreturn 1.0\n"
    )
    assert trials.run() == (1.0, "without a line end thread\natexit 0\n")
    assert (trials.code / "kept.txt").read_text() == "written"


def test_objects_that_are_no_files_are_not_asked_at_the_end(trials: Trials) -> None:
    """Some packages have objects that warn, or raise an error, when they are asked for their class."""
    trials.write(
        "global kept, file\nclass Lazy:\n    @property\n    def __class__(self): print('asked')\n"
        "kept = Lazy()\nfile = open('kept.txt', 'w')\nfile.write('written')\nreturn 1.0\n"
    )
    assert trials.run() == (1.0, "")
    assert (trials.code / "kept.txt").read_text() == "written"


def test_packages_that_count_what_is_left_at_the_end_find_nothing(trials: Trials) -> None:
    counting = "class Last:\n    def __del__(self): print('left')\nlast = Last()\n"
    (trials.installed / "counting.py").write_text(counting + "last.itself = last\n")
    trials.write("was = 'counting' in sys.modules\nimport counting\nreturn float(was)\n")
    assert trials.run_until(1.0) == ""


def test_trials_do_not_share_random_numbers(trials: Trials) -> None:
    trials.write("import numpy, random, uuid\nprint(numpy.random.rand(), random.random(), uuid.uuid4())\nreturn 1.0\n")
    outputs = [trials.run()[1].split() for _ in range(4)]
    assert all(len(set(numbers)) == 4 for numbers in zip(*outputs, strict=True))


def test_a_package_that_starts_threads_is_left_to_the_trials_and_told_once(trials: Trials) -> None:
    was = "was = ('plain' in sys.modules) + 2.0 * ('threads' in sys.modules)\n"
    trials.write(was + "__import__('threads'), __import__('plain')\nreturn was\n")
    assert trials.run() == (0.0, "")
    told = "[each trial imports threads anew, because it starts threads when it is imported]\n"
    outputs = []

    def is_told() -> bool:
        outputs.append(trials.run()[1])
        return outputs[-1] == told

    until(is_told)
    trials.run_until(1.0)
    assert trials.run() == (1.0, "")
    assert outputs.count(told) == 1

    trials.starter.close()
    trials.write("was = float('plain' in sys.modules)\nimport threads, plain\nreturn was\n")
    assert [trials.run() for _ in range(2)] == [(1.0, told), (1.0, "")]


def test_a_package_that_cannot_be_imported_alone_is_left_to_the_trials(trials: Trials) -> None:
    trials.write("try:\n    import broken\nexcept SystemExit:\n    pass\n" + WAS_IMPORTED)
    assert trials.run()[0] == 0.0
    trials.run_until(1.0)


def test_what_else_the_code_sends_as_imports_changes_nothing(trials: Trials) -> None:
    trials.write(
        "from workers.user_process.forks import Fork\nimport gc\n"
        "(fork,) = [thing for thing in gc.get_objects() if isinstance(thing, Fork)]\n"
        "for said in (b'', b'no JSON', b'{}', b'[1, null, \"no_such\"]', b'\\xff', b'9' * 60000):\n"
        "    fork.learned.send(said)\nreturn 1.0\n"
    )
    assert [trials.run()[0] for _ in range(3)] == [1.0] * 3
    trials.write(WAS_IMPORTED)
    trials.run_until(1.0)
    assert len(trials.starter._forking) == 1


def test_a_changed_package_is_imported_anew(trials: Trials) -> None:
    trials.write(WAS_IMPORTED)
    trials.run_until(1.0)
    (trials.installed / "plain.py").write_text("loaded = 'changed since'\n")
    trials.write("import plain\nprint(plain.loaded)\nreturn 1.0\n")
    assert trials.run()[1] == "changed since\n"


def test_a_users_module_wins_over_an_installed_one_that_was_imported_before(trials: Trials) -> None:
    trials.write("import plain\nreturn float(plain.loaded)\n")
    assert trials.run()[0] == 1.0
    trials.write(WAS_IMPORTED)
    trials.run_until(1.0)
    (trials.code / "plain.py").write_text("loaded = 5\n")
    trials.write("import plain\nreturn float(plain.loaded)\n")
    value, output = trials.run()
    assert value == 5.0
    assert output.startswith("[each trial imports all packages anew, because the module plain in --code")
    assert trials.run() == (5.0, "")


def test_other_entrypoints_have_processes_of_their_own_and_few_are_kept(trials: Trials) -> None:
    trials.write(WAS_IMPORTED)
    trials.run_until(1.0)
    text = (trials.code / "mine.py").read_text()
    for number in range(MAX_FORKING):
        (trials.code / f"mine{number}.py").write_text(text)
        assert trials.run(f"mine{number}:f")[0] == 0.0
    assert len(trials.starter._forking) == MAX_FORKING
    assert trials.run()[0] == 0.0


def test_after_the_end_of_the_process_that_forks_trials_go_on(trials: Trials) -> None:
    trials.write("return 1.0\n")
    trials.run()
    (forking,) = trials.starter._forking.values()
    os.kill(forking._process.pid, signal.SIGKILL)
    forking._process.wait()
    assert trials.run() == (1.0, "")
    assert not trials.starter._forking
    assert trials.run() == (1.0, "")
    assert len(trials.starter._forking) == 1


def test_a_fork_whose_parent_is_gone_can_be_ended(trials: Trials) -> None:
    trials.write("import time\nprint('begun', flush=True)\ntime.sleep(600)\n")
    process, _ = trials.start()
    until(lambda: b"begun" in process.output.content())
    trials.starter.close()
    assert process.end(0.0) == -signal.SIGKILL
    assert not is_alive(process.pid)


def test_the_status_of_a_fork_is_its_own(trials: Trials) -> None:
    trials.write("os._exit(5)\n")
    process, conversation = trials.start()
    assert process.ended_within(PATIENCE_SECONDS)
    assert process.end() == 5
    trials.write("os.kill(os.getpid(), 11)\n")
    process, conversation = trials.start()
    assert process.ended_within(PATIENCE_SECONDS)
    assert process.end() == -signal.SIGSEGV
    assert conversation.next(0.0) is None


def test_without_forks_each_process_has_a_new_interpreter(trials: Trials) -> None:
    starter = ProcessStarter(ONE_CPU, trials.code, forks=False)
    process = starter.start(trials.code, ["mine:f"], ONE_CPU)
    assert isinstance(process._process, NewProcess)
    process.end(0.0)
    assert not starter._forking
