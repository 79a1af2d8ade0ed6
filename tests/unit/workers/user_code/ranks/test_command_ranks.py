"""Commands in several ranks, in real processes with a fake service: one trial, which ends as a whole."""

from typing import Any

import pytest

from tests.alive import is_alive
from tests.unit.workers.user_code.objectives.runner_harness import RunnerHarness
from tests.unit.workers.user_code.ranks.test_function_ranks import outputs, reports
from tests.waiting import until
from workers.faults import Fault

pytestmark = pytest.mark.processes

LOSS: Any = {"metrics": {"loss": "loss=(?P<value>[-+0-9.e]+)"}}
BEGIN = "import json, os, sys, time\nfrom narrows import report\nrank = int(os.environ['RANK'])\n"


def python(runner: RunnerHarness, code: str, *arguments: str, n: int = 2, **fields: Any) -> Fault | None:
    (runner.code / "train.py").write_text(BEGIN + code)
    return runner.run_command("python", "train.py", *arguments, devices=n, launch="torchrun", **fields)


def losses(runner: RunnerHarness) -> list[float]:
    return [body["metrics"]["loss"] for body in runner.bodies("complete")]


def test_metrics_of_rank_0_count_and_each_line_names_its_rank(runner: RunnerHarness) -> None:
    code = """print(f"step {sys.argv[1:]} loss={rank + 0.5}")
print(json.dumps({"step": 3, "loss": rank}), file=open(os.environ["NARROWS_REPORTS"], "w"))
open(os.environ["NARROWS_MODEL"], "w").write(f"of {rank}")
print("unfinished", end="")
"""
    assert python(runner, code, "{device}", "{n_devices}", n=3, **LOSS) is None
    assert losses(runner) in ([0.5], [0.0])
    assert {step for step, _ in reports(runner)} <= {0, 3}
    assert {metrics["loss"] for _, metrics in reports(runner)} == {0.5, 0.0}
    lines = {f"[rank {rank}] step ['cpu', '3'] loss={rank + 0.5}" for rank in range(3)}
    assert set(outputs(runner).splitlines()) == lines | {f"[rank {rank}] unfinished" for rank in range(3)}
    assert [body for path, body in runner.service.uploads if path.endswith("/model")] == [b"of 0"]
    assert list(runner.scratch.iterdir()) == []


def test_all_ranks_get_the_decision_of_rank_0(runner: RunnerHarness) -> None:
    runner.service.decide = lambda _lease, step: "prune" if step == 2 else "continue"
    code = """for step in range(10):
    decision = report(step, loss=rank)
    print(step, decision, flush=True)
    if decision != "continue":
        break
"""
    assert python(runner, code, n=3) is None
    assert reports(runner) == [(step, {"loss": 0.0}) for step in range(3)]
    expected = {f"[rank {k}] {step} {'prune' if step == 2 else 'continue'}" for k in range(3) for step in range(3)}
    assert set(outputs(runner).splitlines()) == expected


def test_a_pruned_program_that_only_prints_gets_sigterm_in_every_rank(runner: RunnerHarness) -> None:
    runner.service.decide = lambda _lease, step: "prune"
    code = """import signal
def leave(*_):
    os.write(1, b"leaving\\n")
    os._exit(0)
signal.signal(signal.SIGTERM, leave)
open(f"ready-{rank}", "w").close()
while not (os.path.exists("ready-0") and os.path.exists("ready-1")):
    time.sleep(0.02)
if rank == 0:
    os.write(1, b"loss=1.0\\n")
time.sleep(600)
"""
    assert python(runner, code, **LOSS) is None
    lines = [f"[rank {rank}] leaving" for rank in range(2)]
    assert [line for line in sorted(outputs(runner).splitlines()) if "leaving" in line] == lines


@pytest.mark.parametrize(
    ("fails", "reason"),
    [
        ("sys.exit(3)", "rank 1: the program ended with status 3"),
        ("os.kill(os.getpid(), 9)", "rank 1: the program was killed by SIGKILL, as happens when memory runs out"),
        ("raise ValueError('mine')", "rank 1: the program ended with status 1"),
    ],
    ids=["exit", "killed", "error"],
)
def test_a_rank_that_fails_ends_all_and_is_named(runner: RunnerHarness, fails: str, reason: str) -> None:
    code = f"""import subprocess
child = subprocess.Popen(["sleep", "600"])
open(f"{runner.code}/pids-{{rank}}", "w").write(f"{{os.getpid()}} {{child.pid}}")
print("loss=1.0", flush=True)
if rank == 1:
    while not os.path.exists("{runner.code}/pids-0"):
        time.sleep(0.02)
    print("the end", flush=True)
    {fails}
print("others", flush=True)
time.sleep(600)
"""
    fault = python(runner, code, **LOSS)
    assert fault is not None
    assert fault.reason.startswith(reason)
    assert "the end" in fault.reason
    assert "others" not in fault.reason
    pids = [int(pid) for rank in range(2) for pid in (runner.code / f"pids-{rank}").read_text().split()]
    assert len(pids) == 4
    until(lambda: not any(map(is_alive, pids)), "all processes have ended")


def test_the_trial_completes_when_the_last_rank_has_ended(runner: RunnerHarness) -> None:
    code = """if rank == 1:
    while not os.path.exists("over"):
        time.sleep(0.02)
    print("the last", flush=True)
else:
    import atexit
    print("loss=1.0", flush=True)
    atexit.register(lambda: open("over", "w").close())
"""
    assert python(runner, code, **LOSS) is None
    assert losses(runner) == [1.0]
    assert "[rank 1] the last" in outputs(runner)


def test_the_definition_may_choose_the_threads_and_not_the_rank(runner: RunnerHarness) -> None:
    code = "print(os.environ['OMP_NUM_THREADS'], os.environ['WORLD_SIZE'])\nreport(0, loss=1.0)\n"
    assert python(runner, code, environment={"OMP_NUM_THREADS": "4", "WORLD_SIZE": "9"}) is None
    assert set(outputs(runner).splitlines()) == {"[rank 0] 4 2", "[rank 1] 4 2"}
