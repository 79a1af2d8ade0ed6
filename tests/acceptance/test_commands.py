"""Commands on real workers: what their programs may do, and workers that die under them."""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.user_code_service import UserCodeService, descendants, gone, open_service
from tests.skipping import skip_or_fail
from tests.waiting import PATIENCE_SECONDS, until

SPACE = {"x": {"type": "float", "low": 0.0, "high": 1.0}}
COUNTER = """import json, os, sys, time
path = os.path.join(os.environ["NARROWS_CHECKPOINT_DIR"], "state.json")
first = int(os.environ["NARROWS_RESUME_STEP"])
count = json.load(open(path)) if first else 0
assert count == first, (count, first)
for step in range(first, 12):
    count += 1
    json.dump(count, open(path + ".part", "w"))
    os.replace(path + ".part", path)
    print(f"epoch {step} score={count} first={first}", flush=True)
    time.sleep(0.2)
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UserCodeService]:
    folder = tmp_path_factory.mktemp("commands")
    (folder / "code").mkdir()
    with open_service(folder, "--lease-seconds", "5") as service:
        yield service


def create(service: UserCodeService, name: str, *command: str, **changes: Any) -> str:
    training = {"command": list(command), **changes.pop("training", {})}
    service.client.create_study(
        {
            "name": name,
            "objectives": [{"metric": "score", "direction": "maximize"}],
            "search_space": SPACE,
            "training": training,
            "pruner": "none",
            "n_trials": 1,
            **changes,
        }
    )
    return name


def write(service: UserCodeService, name: str, text: str) -> Path:
    code = service.folder / "code"
    (code / name).write_text(text)
    return code


def is_program(pid: int) -> bool:
    """Whether a process runs count.py."""
    return b"count.py\0" in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_hostile_values_arrive_as_data_in_a_node_script(service: UserCodeService) -> None:
    if shutil.which("node") is None:
        skip_or_fail("NO NODE: install nodejs", "NARROWS_REQUIRE_NODE")
    values = ["; rm -rf *", "a'\"b", "two\nlines", "ünï", "--help", "$(id)"]
    code = write(
        service,
        "train.js",
        'require("fs").appendFileSync(process.env.NARROWS_REPORTS, JSON.stringify({step: 0, score: '
        "process.argv[3].length, user_attrs: {seen: process.argv[3]}}) + '\\n');\n",
    )
    space = {"text": {"type": "categorical", "choices": values}}
    create(
        service,
        "node",
        *("node", "train.js", "--text", "{text}"),
        search_space=space,
        sampler="grid",
        n_trials=len(values),
    )

    with service.worker("--allow-command", "node train.js", "--processes", "1", code=code):
        trials = service.finished("node")

    assert [trial.state for trial in trials] == ["COMPLETE"] * len(values), [trial.reason for trial in trials]
    assert sorted(str(trial.user_attrs["seen"]) for trial in trials) == sorted(values)
    assert all(trial.user_attrs["seen"] == trial.params["text"] for trial in trials)


def test_a_pruner_ends_programs_that_do_not_know_it(service: UserCodeService) -> None:
    script = """import sys, time
for epoch in range(50):
    print(f"\\repoch {epoch} score={sys.argv[1]}", end="", flush=True)
    time.sleep(0.02)
print()
"""
    code = write(service, "bar.py", script)
    metrics = {"metrics": {"score": r"score=(?P<value>\S+)"}, "step": r"epoch (?P<step>\d+)"}
    create(
        service,
        "bar",
        *("python", "bar.py", "{x}", "{args}"),
        training=metrics,
        pruner={"name": "threshold", "lower": 0.5},
        enqueue=[{"x": 0.75}, {"x": 0.25}],
        n_trials=2,
    )

    with service.worker("--allow-command", "python bar.py", "--processes", "1", code=code):
        kept, pruned = service.finished("bar")

    assert (kept.state, kept.values, kept.step) == ("COMPLETE", [0.75], 49)
    assert pruned.state == "PRUNED"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_another_worker_goes_on_from_the_checkpoint(service: UserCodeService, number: signal.Signals) -> None:
    code = write(service, "count.py", COUNTER)
    metrics = {"score": r"score=(?P<value>\d+)", "first": r"first=(?P<value>\d+)"}
    training = {"metrics": metrics, "step": r"epoch (?P<step>\d+)"}
    name = create(service, f"count-{number.name}", "python", "count.py", "{args}", training=training)
    flags = ("--allow-command", "python count.py", "--processes", "1", "--checkpoint-seconds", "1", "--study", name)

    with service.worker(*flags, code=code) as worker:
        until(lambda: service.client.study(name).trial_counts.RUNNING == 1, "the trial has begun")
        until(lambda: "checkpoint" in [one.name for one in service.client.artifacts(name, 0)], "it has a checkpoint")
        below = descendants(worker.pid)
        for pid in [worker.pid] if number == signal.SIGTERM else [pid for pid in below if not is_program(pid)]:
            os.kill(pid, number)
        worker.wait(PATIENCE_SECONDS)
        assert gone(below), "the program does not outlive its worker"
    with service.worker(*flags, code=code):
        (trial,) = service.finished(name)

    assert trial.state == "COMPLETE", trial.reason
    assert trial.values == [12.0]
    curves = service.client.curves(name, 0)
    assert curves.metrics["score"] == [float(step + 1) for step in range(12)]
    began = curves.metrics["first"][-1]
    assert began is not None
    assert began > 0, "the second attempt went on"
    assert [attempt.outcome for attempt in trial.attempts] == [
        "release" if number == signal.SIGTERM else "expire",
        "complete",
    ]


def test_a_program_has_no_token(service: UserCodeService) -> None:
    script = """import json, os
seen = {name: value for name, value in os.environ.items() if "TOKEN" in name}
parent = open(f"/proc/{os.getppid()}/cmdline").read()
print(json.dumps([seen, "token" in parent.lower()]), "score=1")
"""
    code = write(service, "spy.py", script)
    create(service, "spy", "python", "spy.py", "{args}", training={"metrics": {"score": r"score=(?P<value>\d)"}})

    with service.worker("--allow-command", "python spy.py", "--processes", "1", code=code):
        (trial,) = service.finished("spy")

    assert trial.state == "COMPLETE", trial.reason
    assert json.loads(service.output("spy").partition(" score")[0]) == [{}, False]
