"""Code that forks, takes its output away or has values that cannot be told, in real processes with a fake service."""

import pytest

from tests.unit.workers.user_code.objectives.runner_harness import RunnerHarness

pytestmark = pytest.mark.processes

FORKS_THAT_COME_BACK = ["return 9.0", "sys.exit(0)", "raise ValueError('of the fork')"]
BROKEN_STREAMS = """class Broken:
    def write(self, text): raise RuntimeError("no more")
    flush = write
sys.stdout = sys.stderr = Broken()
"""


@pytest.mark.parametrize("end", FORKS_THAT_COME_BACK)
def test_the_result_is_that_of_the_first_process_alone(runner: RunnerHarness, end: str) -> None:
    body = f"""if (pid := os.fork()) == 0:
    {end}
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
return float(status)"""
    assert runner.run(body) is None
    assert [body["metrics"]["loss"] for body in runner.bodies("complete")] == [float("raise" in end)]


@pytest.mark.parametrize(
    "taking",
    [
        "sys.stdout.close()\nsys.stderr.close()\n",
        "os.close(1)\nos.close(2)\n",
        "sys.stdout = sys.stderr = None\n",
        BROKEN_STREAMS,
        "with open('log', 'w') as sys.stdout:\n    print('kept')\n",
    ],
    ids=["closed", "files closed", "none", "broken", "redirected"],
)
@pytest.mark.parametrize("end", ["return 1.0", "raise ValueError('mine')"])
def test_code_that_takes_its_output_away_keeps_its_result(runner: RunnerHarness, taking: str, end: str) -> None:
    fault = runner.run(f"print('before')\n{taking}context.report(0, loss=1.0)\ncontext.report(0, loss=1.0)\n{end}")
    if end.startswith("return"):
        assert fault is None
        assert [body["metrics"]["loss"] for body in runner.bodies("complete")] == [1.0]
    else:
        assert fault is not None
        assert fault.reason.startswith("ValueError: mine; the end of its output:\nbefore")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("return 10**400", "the objective must return 1 number(s): 1000"),
        ("return 10**5000", "the objective must return 1 number(s): int"),
        ("return 'x' * 10**6", "the objective must return 1 number(s): 'xxxx"),
        ("context.report(0, loss=10**5000)", "TypeError: metric loss must be a number: int"),
        (
            "class Mute(Exception):\n    def __str__(self): raise KeyError\nraise Mute",
            "Mute: its text cannot be told (KeyE",
        ),
        ("sys.exit(10**5000)", "the code called sys.exit(int)"),
    ],
)
def test_values_that_cannot_be_told_do_not_hide_the_rule(runner: RunnerHarness, body: str, reason: str) -> None:
    fault = runner.run(body)
    assert fault is not None
    assert fault.reason.startswith(reason)
