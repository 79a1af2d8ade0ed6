"""Commands in real processes, with a service that answers from memory: whatever a program does ends only its trial."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.alive import is_alive
from tests.unit.workers.user_code.objectives.runner_harness import RunnerHarness
from tests.waiting import PATIENCE_SECONDS, until

pytestmark = pytest.mark.processes

LOSS = {"metrics": {"loss": "loss=(?P<value>[-+0-9.e]+)"}}


def reports(runner: RunnerHarness) -> list[tuple[int, dict[str, float]]]:
    sent = [report for body in runner.service.bodies("reports") for report in body["reports"]]
    return [(report["step"], report["metrics"]) for report in sent]


def results(runner: RunnerHarness) -> list[dict[str, float]]:
    return [body["metrics"] for body in runner.bodies("complete")]


def python(runner: RunnerHarness, code: str, *arguments: str, **fields: Any) -> Any:
    (runner.code / "train.py").write_text(code)
    return runner.run_command("python", "train.py", *arguments, **fields)


@pytest.mark.parametrize("file", ["stdout", "stderr"])
def test_metrics_come_from_the_output(runner: RunnerHarness, file: str) -> None:
    assert (
        python(runner, f"import sys\nfor i in range(3):\n    print(f'loss={{1 / (i + 1)}}', file=sys.{file})\n", **LOSS)
        is None
    )

    assert reports(runner) == [(0, {"loss": 1.0}), (1, {"loss": 0.5}), (2, {"loss": 1 / 3})]
    assert results(runner)[0]["loss"] == 1 / 3
    assert "training_seconds" in results(runner)[0]


def test_metrics_come_as_json_lines_from_a_shell(runner: RunnerHarness) -> None:
    script = """for i in 0 1; do echo '{"step": '$i', "loss": 0.'$i'}' >> "$NARROWS_REPORTS"; done
echo '{"user_attrs": {"note": "from a shell"}}' >> "$NARROWS_REPORTS"; echo nonsense >> "$NARROWS_REPORTS"
printf '{"step": 5, "loss": 0.5}' > "$NARROWS_REPORTS"
"""
    (runner.code / "train.sh").write_text(script)

    assert runner.run_command("sh", "train.sh") is None

    assert reports(runner) == [(0, {"loss": 0.0}), (1, {"loss": 0.1}), (5, {"loss": 0.5})]
    assert {"note": "from a shell"} in [body["user_attrs"] for body in runner.bodies("user-attrs")]
    (output,) = [body for path, body in runner.service.uploads if path.endswith("/output")][-1:]
    assert b"must be a JSON object" in output


def test_metrics_come_by_calls_of_report(runner: RunnerHarness) -> None:
    code = "from narrows import report\nassert [report(i, loss=i) for i in range(3)] == ['continue'] * 3\n"

    assert python(runner, code) is None

    assert reports(runner) == [(0, {"loss": 0.0}), (1, {"loss": 1.0}), (2, {"loss": 2.0})]


def test_report_works_in_an_environment_without_narrows(runner: RunnerHarness) -> None:
    code = "import sys\nfrom narrows import report\nassert 'service' not in sys.modules\nreport(0, loss=3)\n"
    (runner.code / "train.py").write_text(code)

    assert runner.run_command(sys.executable, "-S", "train.py") is None

    assert results(runner)[0]["loss"] == 3.0


def test_report_does_not_hide_an_installed_narrows(runner: RunnerHarness) -> None:
    code = "from narrows import Client, report\nassert Client.__module__.startswith('service')\nreport(0, loss=4)\n"
    root = str(Path(__file__).resolve().parents[5])

    assert python(runner, code, environment={"PYTHONPATH": root}) is not None  # it is guarded
    runner.allowance = runner.allowance._replace(environment=("PYTHONPATH",))
    assert python(runner, code, environment={"PYTHONPATH": root}) is None

    assert results(runner)[0]["loss"] == 4.0


def test_a_value_arrives_as_one_argument_whatever_it_contains(runner: RunnerHarness) -> None:
    values = ["; rm -rf /", "a'b\"c", "line\nbreak", "ünï", "--help", "$HOME `id` $(id)", "", "{x}", "*"]
    code = "import json, sys\njson.dump(sys.argv[1:], open(sys.argv.pop(1), 'w'))\nprint('loss=1')\n"
    params = {f"p{index}": value for index, value in enumerate(values)}
    found = runner.code / "found.json"

    assert (
        python(runner, code, str(found), *(f"{{p{index}}}" for index in range(len(values))), params=params, **LOSS)
        is None
    )

    assert json.loads(found.read_text())[1:] == values


def test_placeholders_stand_for_facts_of_the_trial(runner: RunnerHarness) -> None:
    code = """import json, os, sys
params, seed, trial, study, device, n_devices, checkpoints, data = sys.argv[1:]
assert json.load(open(params)) == {"log-interval": 10, "lr": 0.5}
assert (int(seed), trial, device, n_devices) and (device, n_devices) == ("cpu", "1")
assert os.path.isdir(checkpoints) and checkpoints == os.environ["NARROWS_CHECKPOINT_DIR"]
assert os.environ["NARROWS_RESUME_STEP"] == "0" and os.environ["MODE"] == "fast"
assert not any(name in os.environ for name in ("NARROWS_TOKEN", "NARROWS_SERVER"))
print("loss=1")
"""
    names = ("params_json", "seed", "trial", "study", "device", "n_devices", "checkpoint_dir", "data_dir")
    fields = {"arguments": {"log-interval": 10}, "environment": {"MODE": "fast"}, **LOSS}

    fault = python(runner, code, *(f"{{{name}}}" for name in names), params={"lr": 0.5}, **fields)

    assert fault is None, fault


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise SystemExit(3)", "the program ended with status 3"),
        ("print('no')", "the program ended without a value of loss: looked for the expression loss="),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)", "the program was killed by SIGSEGV"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "as happens when memory runs out"),
        ("print('boom')\n1 / 0", "ZeroDivisionError: division by zero"),
        ("print('loss=nonsense')", "without a value of loss"),
    ],
)
def test_a_program_that_fails_says_why(runner: RunnerHarness, code: str, reason: str) -> None:
    fault = python(runner, code, **LOSS)

    assert fault is not None
    assert reason in fault.reason
    assert list(runner.scratch.iterdir()) == []


def test_a_metric_without_an_expression_is_named_beside_those_that_have_one(runner: RunnerHarness) -> None:
    fault = python(runner, "print('accuracy=1')", metrics={"accuracy": "accuracy=(?P<value>[0-9]+)"})

    assert fault is not None
    assert "training.metrics has no expression for loss, only for accuracy" in fault.reason


def test_a_program_that_is_not_there_is_what_the_machine_lacks(runner: RunnerHarness) -> None:
    fault = runner.run_command("no-such-program", "x")

    assert fault is not None
    assert fault.reason == "the program 'no-such-program' cannot be started: No such file or directory"
    assert (fault.retry, fault.lacking) == (True, "no-such-program")


@pytest.mark.parametrize("wanted", ["rm", "pythonx"])
def test_a_command_that_is_not_allowed_is_not_started(runner: RunnerHarness, wanted: str) -> None:
    fault = runner.run_command(wanted, "-rf", "x")

    assert fault is not None
    assert "does not allow the command" in fault.reason


@pytest.mark.parametrize("name", ["LD_PRELOAD", "PATH", "NARROWS_TOKEN"])
def test_a_guarded_variable_is_not_set(runner: RunnerHarness, name: str) -> None:
    fault = python(runner, "print('loss=1')", environment={name: "x"}, **LOSS)

    assert fault is not None
    assert f"does not allow the variable {name}" in fault.reason


def test_a_pruned_program_is_asked_to_end(runner: RunnerHarness) -> None:
    code = f"""import signal, sys, time
def end(*_):
    open({str(runner.code / "asked")!r}, "w").close(); sys.exit()
signal.signal(signal.SIGTERM, end)
print("loss=1")
time.sleep(600)
"""
    runner.service.decide = lambda _lease_id, _step: "prune"

    assert python(runner, code, grace_seconds=PATIENCE_SECONDS, **LOSS) is None

    assert (runner.code / "asked").exists()
    assert runner.bodies("complete") == runner.bodies("fail") == []


def test_a_pruned_program_that_does_not_end_is_killed_with_what_it_started(runner: RunnerHarness) -> None:
    code = f"""import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open({str(runner.code / "child")!r}, "w").write(str(child.pid))
print("loss=1")
time.sleep(600)
"""
    runner.service.decide = lambda _lease_id, _step: "prune"

    assert python(runner, code, grace_seconds=0.2, **LOSS) is None

    child = int((runner.code / "child").read_text())
    until(lambda: not is_alive(child))
    assert runner.bodies("complete") == runner.bodies("fail") == []


def test_a_program_that_calls_report_hears_the_decision_and_may_end_by_itself(runner: RunnerHarness) -> None:
    code = f"""from narrows import report
assert report(0, loss=1) == "prune"
open({str(runner.code / "heard")!r}, "w").close()
"""
    runner.service.decide = lambda _lease_id, _step: "prune"

    assert python(runner, code) is None

    assert (runner.code / "heard").exists()
    assert runner.bodies("fail") == []


def test_files_are_the_trials_own_and_a_model_is_kept(runner: RunnerHarness) -> None:
    (runner.code / "sub").mkdir()
    code = """import os
open("best.pt", "w").write("x")
open(os.environ["NARROWS_MODEL"], "w").write("model")
print("loss=1")
"""
    (runner.code / "sub" / "train.py").write_text(code)

    assert runner.run_command("python", "train.py", working_directory="sub", **LOSS) is None

    assert not (runner.code / "sub" / "best.pt").exists()
    assert b"model" in [body for path, body in runner.service.uploads if path.endswith("/model")]


def test_a_working_directory_that_leads_elsewhere_is_refused(runner: RunnerHarness, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (runner.code / "link").symlink_to(outside)

    for name, reason in (("link", "leads out of the folder"), ("missing", "must be a folder")):
        fault = runner.run_command("python", "-c", "print('loss=1')", working_directory=name, **LOSS)
        assert fault is not None
        assert reason in fault.reason


def test_a_hundred_megabytes_of_output_leave_no_trace_but_the_end(runner: RunnerHarness) -> None:
    code = "import sys\nfor _ in range(1600):\n    sys.stdout.write('x' * 65_535 + '\\n')\nprint('loss=1')\n"

    assert python(runner, code, **LOSS) is None

    output = [body for path, body in runner.service.uploads if path.endswith("/output")][-1]
    assert len(output) < 1.1 * 1024**2
    assert output.endswith(b"loss=1\n")


def test_many_reports_go_together_in_order(runner: RunnerHarness) -> None:
    assert python(runner, "for i in range(5000):\n    print(f'loss={i}')\n", **LOSS) is None

    assert reports(runner) == [(step, {"loss": float(step)}) for step in range(5000)]
    assert len(runner.service.bodies("reports")) < 1000


def test_processes_of_a_program_may_report_at_once(runner: RunnerHarness) -> None:
    code = """import threading
from narrows import report
answers = []
threads = [threading.Thread(target=lambda: answers.append(report(3, loss=1.0))) for _ in range(40)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert answers == ["continue"] * 40, answers
"""

    assert python(runner, code) is None
    assert reports(runner) == [(3, {"loss": 1.0})]


def test_time_limits_are_those_of_the_definition(runner: RunnerHarness) -> None:
    for limit in ("trial_timeout_seconds", "step_timeout_seconds"):
        fault = python(runner, "import time\ntime.sleep(600)\n", grace_seconds=0, **{limit: 0.5}, **LOSS)
        assert fault is not None
        assert limit in fault.reason


def test_the_memory_of_a_program_is_limited(runner: RunnerHarness) -> None:
    fault = python(runner, "x = bytearray(2**30)\nprint('loss=1')", memory_limit_mib=256, **LOSS)

    assert fault is not None
    assert "MemoryError" in fault.reason


def test_a_program_with_broken_pipes_ends_as_in_a_shell(runner: RunnerHarness) -> None:
    (runner.code / "train.sh").write_text("yes | head -n 1\necho loss=1\n")
    assert runner.run_command("sh", "train.sh", **LOSS) is None
    assert results(runner)[0]["loss"] == 1.0


def test_nothing_is_left_open(runner: RunnerHarness) -> None:
    assert python(runner, "print('loss=1')", **LOSS) is None
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        assert python(runner, "print('loss=1')", **LOSS) is None
    assert len(list(Path("/proc/self/fd").iterdir())) == before
