"""Entrypoints in several ranks, in real processes with a fake service: one trial, which ends as a whole."""

import base64
import hashlib

import httpx
import pytest
from safetensors.torch import load

from tests.alive import is_alive
from tests.unit.workers.user_code.objectives.runner_harness import RunnerHarness
from tests.waiting import until

pytestmark = pytest.mark.processes

MEET = """import socket
def meet(value):
    address = (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
    if context.rank == 0:
        with socket.create_server(address) as server:
            for _ in range(context.world_size - 1):
                with server.accept()[0] as peer:
                    value += peer.recv(100).decode()
        return value
    while True:
        try:
            with socket.create_connection(address) as peer:
                return peer.sendall(value.encode())
        except ConnectionRefusedError:
            time.sleep(0.02)
"""


def outputs(runner: RunnerHarness) -> str:
    return [body for path, body in runner.service.uploads if path.endswith("/output")][-1].decode()


def digest_of(content: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"


def reports(runner: RunnerHarness) -> list[tuple[int, dict[str, float]]]:
    sent = [report for body in runner.service.bodies("reports") for report in body["reports"]]
    return [(report["step"], report["metrics"]) for report in sent]


def test_every_rank_knows_which_it_is_and_they_meet_at_a_port_of_their_own(runner: RunnerHarness) -> None:
    body = f"""{MEET}names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "OMP_NUM_THREADS")
text = " ".join([*(os.environ[name] for name in names), context.device, str(context.rank), os.getcwd()])
print(text)
met = meet(f"<{{context.rank}}>")
return float(len(met)) if context.rank == 0 else 999.0"""
    assert runner.run_ranks(body, 3) is None
    assert [body["metrics"]["loss"] for body in runner.bodies("complete")] == [9.0]
    lines = sorted(outputs(runner).splitlines())
    assert [line.rpartition(" ")[0] for line in lines] == [f"[rank {k}] {k} {k} 3 3 1 cpu {k}" for k in range(3)]
    assert len({line.rpartition(" ")[2] for line in lines}) == 1
    assert list(runner.scratch.iterdir()) == []


def test_only_rank_0_reports_and_all_ranks_get_its_decisions(runner: RunnerHarness) -> None:
    runner.service.decide = lambda _lease, step: "prune" if step == 2 else "continue"
    body = """for step in range(10):
    decision = context.report(step, loss=context.rank)
    print(step, decision)
    if decision != "continue":
        break"""
    assert runner.run_ranks(body, 3) is None
    assert reports(runner) == [(step, {"loss": 0.0}) for step in range(3)]
    expected = {f"[rank {k}] {step} {'prune' if step == 2 else 'continue'}" for k in range(3) for step in range(3)}
    assert set(outputs(runner).splitlines()) == expected


def test_a_rank_that_is_behind_gets_the_decision_of_its_step(runner: RunnerHarness) -> None:
    runner.service.decide = lambda _lease, step: "stop" if step == 3 else "continue"
    body = """def wait_for(name):
    while not os.path.exists(name):
        time.sleep(0.02)
if context.rank == 1:
    wait_for("reported-0")
print([context.report(step, loss=1.0) for step in range(3)])
open(f"reported-{context.rank}", "w").close()
if context.rank == 0:
    wait_for("reported-1")
context.report(3, loss=1.0)
time.sleep(600)"""
    assert runner.run_ranks(body) is None
    lines = [f"[rank {rank}] ['continue', 'continue', 'continue']" for rank in range(2)]
    assert sorted(outputs(runner).splitlines()) == lines


def test_suggestions_and_answers_are_the_same_in_every_rank(runner: RunnerHarness) -> None:
    runner.service.decide = lambda _lease, step: "prune" if step == 1 else "continue"
    values = [httpx.Response(200, json={"value": value}) for value in (0.25, 3)]
    runner.service.answers["leases/lease-0/suggest"] = list(values)
    runner.service.answers["leases/lease-0/constraints"] = [httpx.Response(200, json={"constraints": {"c": -1.0}})]
    body = """x, n = trial.suggest_float("x", 0.0, 1.0), trial.suggest_int("n", 1, 9)
trial.set_user_attr("rank", os.environ["RANK"])
trial.set_constraint("c", -1.0)
for step in range(5):
    trial.report(x, step)
    if trial.should_prune():
        print(x, n, step)
        class TrialPruned(Exception): pass
        raise TrialPruned
raise ValueError("not pruned")"""
    assert runner.run_ranks(body, parameter="trial", params={}) is None
    assert set(outputs(runner).splitlines()) == {"[rank 0] 0.25 3 1", "[rank 1] 0.25 3 1"}
    assert [step for step, _ in reports(runner)] == [0, 1]
    assert len(runner.bodies("suggest")) == 2
    attrs = [body["user_attrs"] for body in runner.bodies("user-attrs")]
    assert [one["rank"] for one in attrs if "rank" in one] == ["0"]


@pytest.mark.parametrize(
    ("fails", "reason", "retry"),
    [
        ("raise ValueError('mine')", "rank 1: ValueError: mine", False),
        ("os.kill(os.getpid(), 9)", "rank 1: the trial's process was killed by SIGKILL, as happens when", True),
        ("os._exit(3)", "rank 1: the trial's process ended with status 3 before the function had returned", False),
        ("sys.exit(4)", "rank 1: the code called sys.exit(4)", False),
        ("context._channel.send({'call': 5})", "rank 1: the trial's process sent an invalid message", False),
    ],
    ids=["error", "killed", "exit", "sys.exit", "garbage"],
)
def test_a_rank_that_fails_ends_all_and_is_named(runner: RunnerHarness, fails: str, reason: str, retry: bool) -> None:
    body = f"""subprocess = __import__("subprocess")
child = subprocess.Popen(["sleep", "600"])
open(f"{runner.code}/pids-{{context.rank}}", "w").write(f"{{os.getpid()}} {{child.pid}}")
if context.rank == 1:
    while not os.path.exists("{runner.code}/pids-0"):
        time.sleep(0.02)
    print("the end")
    {fails}
    time.sleep(600)
print("others")
time.sleep(600)"""
    fault = runner.run_ranks(body)
    assert fault is not None
    assert fault.reason.startswith(reason)
    assert "the end" in fault.reason
    assert "others" not in fault.reason
    assert fault.retry == retry
    pids = [int(pid) for rank in range(2) for pid in (runner.code / f"pids-{rank}").read_text().split()]
    assert len(pids) == 4
    until(lambda: not any(map(is_alive, pids)), "all processes have ended")


def test_the_rank_that_others_have_lost_is_named(runner: RunnerHarness) -> None:
    """Rank 0 fails first by the clock: rank 1 closes the connection before its own error is told."""
    body = f"""{MEET}if context.rank == 1:
    meet("")
    time.sleep(0.5)
    raise ValueError("the cause")
meet("")
raise ConnectionResetError("Connection reset by peer")"""
    fault = runner.run_ranks(body)
    assert fault is not None
    assert fault.reason.startswith("rank 1: ValueError: the cause")


def test_a_lost_connection_is_the_reason_if_no_other_rank_fails(runner: RunnerHarness) -> None:
    fault = runner.run_ranks("if context.rank == 0: raise RuntimeError('gloo: no such host')\ntime.sleep(600)")
    assert fault is not None
    assert fault.reason.startswith("rank 0: RuntimeError: gloo: no such host")


def test_a_module_that_cannot_be_imported_is_the_fault_of_the_machine(runner: RunnerHarness) -> None:
    fault = runner.run_ranks("pass", parameter="context=__import__('no_such_module')")
    assert fault is not None
    assert "cannot be imported" in fault.reason
    assert fault.retry
    assert fault.lacking is not None


def test_ranks_resume_together_and_rank_0_saves(runner: RunnerHarness) -> None:
    runner.service.decide = lambda _lease, step: "pause" if step == 1 else "continue"
    body = """for step in range(context.resume_step, 4):
    if context.rank == 0:
        (context.checkpoint_dir / "state").write_text(str(step))
    context.report(step, loss=1.0)
time.sleep(600)"""
    assert runner.run_ranks(body) is None
    assert len(runner.bodies("pause")) == 1
    (archive,) = [body for path, body in runner.service.uploads if path.endswith("/checkpoint")]

    runner.service.answers["artifacts/digits/0/checkpoint"] = [
        httpx.Response(200, content=archive, headers={"Content-Digest": digest_of(archive)})
    ]
    body = """print(context.resume_step, (context.checkpoint_dir / "state").read_text())
return 0.5"""
    assert runner.run_ranks(body, resume={"step": 1, "artifact": "checkpoint"}) is None
    assert sorted(outputs(runner).splitlines()) == ["[rank 0] 2 1", "[rank 1] 2 1"]


def test_the_model_of_rank_0_is_kept(runner: RunnerHarness) -> None:
    body = """import torch
context.save_model({"rank": torch.tensor([float(context.rank)])})
return 0.5"""
    assert runner.run_ranks(body) is None
    (model,) = [body for path, body in runner.service.uploads if path.endswith("/model")]
    assert load(model)["rank"].tolist() == [0.0]
