"""Users' own training code on real workers: Optuna's examples as they are, and everything that code can do wrong."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest

from tests.acceptance.user_code_service import UserCodeService, gone, open_service
from tests.alive import is_alive
from tests.conftest import clean_environment
from tests.waiting import until

MISBEHAVIOUR = {
    "crash": ({}, "ZeroDivisionError: division by zero", "about to divide"),
    "leave": ({}, "sys.exit(3)", "about to leave"),
    "leave_at_once": ({}, "ended with status 0 before", "about to leave at once"),
    "segfault": ({}, "killed by SIGSEGV", "about to read address 0"),
    "hang": ({"step_timeout_seconds": 5.0}, "reported nothing for 5 s (step_timeout_seconds)", ""),
    "hang_deaf": ({"trial_timeout_seconds": 5.0}, "did not end within 5 s (trial_timeout_seconds)", ""),
    "grow": ({"memory_limit_mib": 512}, "MemoryError", "about to take memory"),
    "killed": ({}, "killed by SIGKILL, as happens when memory runs out", "about to be killed"),
    "killed_by_40": ({}, "killed by signal 40", "about to be killed by a signal without a name"),
    "nest": ({}, "sent an invalid message", "about to nest"),
    "no_unicode_error": ({}, "ValueError: \\udce4", "about to raise no Unicode"),
    "many_metrics": ({}, "at most 100 items", "about to return 100 metrics"),
    "no_unicode": ({}, "must return 1 number(s): None", "the user attribute 'n' is not kept: "),
    "babble": ({}, "sent an invalid message", "about to babble"),
    "hang_up": ({}, "closed its connection", "about to close every file"),
    "nothing": ({}, "must return 1 number(s): None", ""),
    "three_values": ({}, "one number for each of 1 objective(s)", ""),
    "not_a_number": ({}, "score is nan", ""),
    "wrong_parameter": ({}, "must take trial (an Optuna objective) or context", ""),
    "no_such_function": ({}, "tuned.misbehaving must have a function no_such_function", ""),
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UserCodeService]:
    """A service with workers that allow `tuned`."""
    with (
        open_service(tmp_path_factory.mktemp("service")) as service,
        service.worker("--allow", "tuned", "--processes", "2"),
    ):
        yield service
        until(lambda: service.client.study("built-in").state == "finished", "the workers train their own trials too")


@pytest.fixture(scope="module")
def examples(misbehaved: UserCodeService) -> UserCodeService:
    """Optuna's examples, one study each, under way: the workers have always something to do."""
    service = misbehaved
    service.create("iris", "tuned.examples:choose_classifier", n_trials=3)
    error = [{"metric": "error", "direction": "minimize"}]
    threshold = {"name": "threshold", "upper": 0.01, "n_warmup_steps": 3}
    service.create("sgd", "tuned.examples:prune_classifier", objectives=error, pruner=threshold, n_trials=2)
    service.create("network", "tuned.examples:train_network", n_trials=2)
    cost_and_gain = [{"metric": "cost", "direction": "minimize"}, {"metric": "gain", "direction": "maximize"}]
    arguments = {"arguments": {"scale": 2}}
    service.create("two", "tuned.examples:two_objectives", objectives=cost_and_gain, training=arguments, n_trials=2)
    service.create("infeasible", "tuned.examples:infeasible")
    return service


@pytest.fixture(scope="module")
def misbehaved(service: UserCodeService) -> UserCodeService:
    """All misbehaviour, one study each, under way."""
    for name, (training, _, _) in MISBEHAVIOUR.items():
        service.create(name, f"tuned.misbehaving:{name}", training=training, max_attempts=1)
    space = {"learning_rate": {"type": "float", "low": 1e-3, "high": 1e-2}}
    training = {"dataset": "digits", "model": {"name": "mlp", "hidden": [8]}, "epochs": 1}
    service.client.create_study({"name": "built-in", "search_space": space, "training": training, "n_trials": 2})
    return service


@pytest.mark.parametrize("name", MISBEHAVIOUR)
def test_what_code_does_wrong_fails_its_trial_with_a_reason_and_not_the_worker(
    misbehaved: UserCodeService, name: str
) -> None:
    (trial,) = misbehaved.finished(name)
    _, reason, said = MISBEHAVIOUR[name]

    assert trial.state == "FAIL"
    assert trial.reason is not None
    assert reason in trial.reason
    assert said in trial.reason
    if said:
        assert said in misbehaved.output(name)


def test_the_reason_has_the_last_lines_of_the_traceback(misbehaved: UserCodeService) -> None:
    (trial,) = misbehaved.finished("crash")
    assert trial.reason is not None
    assert "return 1 / (trial.number - trial.number)" in trial.reason


def test_code_that_this_machine_lacks_is_tried_again(service: UserCodeService) -> None:
    service.create("missing", "tuned.missing:objective", max_attempts=2)
    (trial,) = service.finished("missing")
    assert [attempt.outcome for attempt in trial.attempts] == ["fail", "fail"]
    assert "tuned.missing:objective cannot be imported: No module named 'tuned.missing'" in (trial.reason or "")


def test_optunas_classifier_choice(examples: UserCodeService) -> None:
    trials = examples.finished("iris")

    assert [trial.state for trial in trials] == ["COMPLETE"] * 3, [trial.reason for trial in trials]
    branches = {"SVC": "svc_c", "RandomForest": "rf_max_depth"}
    assert all(set(trial.params) == {"classifier", branches[str(trial.params["classifier"])]} for trial in trials)


def test_optunas_pruned_classifier(examples: UserCodeService) -> None:
    """A trial is pruned at the first step, after three of warmup, at which it is above the threshold."""
    for trial in examples.finished("sgd"):
        errors = examples.client.curves("sgd", trial.number).metrics["error"]
        bad = [error is not None and error > 0.01 for error in errors[3:]]
        assert trial.state == ("PRUNED" if bad[-1] else "COMPLETE")
        assert sum(bad) <= 1


def test_optunas_network(examples: UserCodeService) -> None:
    for trial in examples.finished("network"):
        assert trial.state == "COMPLETE", trial.reason
        n_layers = int(str(trial.params["n_layers"]))
        layers = {f"{kind}_l{layer}" for kind in ("n_units", "dropout") for layer in range(n_layers)}
        assert set(trial.params) == {"n_layers", "optimizer", "lr"} | layers
        assert examples.client.curves("network", trial.number).steps == [0, 1, 2, 3]
        assert trial.user_attrs.keys() == {"n_weights", "code_hash"}


def test_two_objectives_with_arguments(examples: UserCodeService) -> None:
    for trial in examples.finished("two"):
        x, y = float(str(trial.params["x"])), float(str(trial.params["y"]))
        assert trial.values == pytest.approx([2 * (4 * x**2 + 4 * y**2), -((x - 5) ** 2 + (y - 5) ** 2)])
        assert y * 2 == int(y * 2)
    stock = optuna.load_study(study_name="two", storage=f"sqlite:///{examples.folder / 'narrows.db'}")
    assert len(stock.trials) == 2


def test_an_objective_that_gives_itself_up_is_pruned(examples: UserCodeService) -> None:
    (trial,) = examples.finished("infeasible")
    assert (trial.state, trial.params) == ("PRUNED", {"n": 0})


def test_what_optuna_refuses_is_refused(service: UserCodeService) -> None:
    service.create("again", "tuned.misbehaving:again")
    (trial,) = service.finished("again")
    assert trial.state == "COMPLETE", trial.reason
    assert service.output("again").count("refused:") == 4
    assert list(trial.params) == ["x"]


@pytest.mark.parametrize("pruner", ["none", "median", "successive_halving", "hyperband"])
def test_what_a_trial_adds_does_not_cost_it_its_value(service: UserCodeService, pruner: str) -> None:
    name = service.create(f"additions-{pruner}", "tuned.misbehaving:add_a_lot", pruner=pruner)
    (trial,) = service.finished(name)
    assert trial.state == "COMPLETE", trial.reason
    assert (trial.user_attrs["worst"], trial.user_attrs["range"]) == ("nan", ["-inf", "inf"])
    assert trial.user_attrs["n90"] == 90
    assert trial.step == 15_000_000
    output = service.output(name)
    assert "[the user attribute 'large' is not kept: it must have at most 65536 bytes as JSON: 102402]" in output
    assert "[the user attribute 'n119' is not kept: user_attrs: a trial must have at most 100 user_attrs: 101" in output
    assert "[the report at step 2147483648 is not kept: step: " in output


def test_a_generator_reports_what_it_yields_and_keeps_a_model(service: UserCodeService) -> None:
    space = {"rate": {"type": "float", "low": 1.0, "high": 2.0}}
    objectives = [{"metric": "loss", "direction": "minimize"}]
    training = {"arguments": {"n_steps": 3}}
    changes = {"search_space": space, "objectives": objectives, "training": training}
    service.create("yielding", "tuned.steps:yielding", **changes)
    (trial,) = service.finished("yielding")

    rate = float(str(trial.params["rate"]))
    assert trial.state == "COMPLETE", trial.reason
    assert pytest.approx(rate / 3) == (trial.values or [])[0]
    assert service.client.curves("yielding", 0).metrics["loss"] == pytest.approx([rate, rate / 2, rate / 3])
    from safetensors import safe_open

    service.client.download_artifact("yielding", 0, "model", service.folder / "model.safetensors")
    with safe_open(service.folder / "model.safetensors", "pt") as model:
        assert sorted(model.keys()) == ["bias", "weight"]
        assert '"entrypoint": "tuned.steps:yielding"' in model.metadata()["narrows"]


def test_a_generator_that_is_pruned_is_closed(service: UserCodeService) -> None:
    objectives = [{"metric": "loss", "direction": "minimize"}]
    pruner = {"name": "threshold", "upper": 0.5}
    service.create("closed", "tuned.steps:pruned_generator", objectives=objectives, pruner=pruner)
    (trial,) = service.finished("closed")
    assert trial.state == "PRUNED"
    assert "closed in time" in service.wait_for_output("closed", "closed in time")


def test_a_stopped_study_ends_the_process(service: UserCodeService) -> None:
    service.create("forever", "tuned.misbehaving:forever")
    pid = int(re.findall(r"my process is (\d+)\.", service.wait_for_output("forever", "."))[0])
    assert is_alive(pid)
    service.client.change("forever", state="stopped")
    assert gone([pid])
    assert service.client.trial("forever", 0).state == "FAIL"


def test_nothing_that_code_has_started_outlives_its_trial(service: UserCodeService) -> None:
    service.create("orphan", "tuned.misbehaving:orphan")
    (trial,) = service.finished("orphan")
    assert trial.values == [1.0]
    assert gone([int(re.findall(r"the orphan is (\d+)\.", service.output("orphan"))[0])])


def test_the_end_of_much_output_is_kept_and_shown(service: UserCodeService) -> None:
    service.create("chatter", "tuned.misbehaving:chatter")
    service.finished("chatter")
    text = service.output("chatter")
    assert len(text) < 1.1 * 2**20
    assert re.match(r"\[the first \d+ bytes are not kept\]\n", text)
    assert text.endswith("line 199999\n")
    for flags in ([], ["--follow"]):
        command = [
            str(Path(sys.executable).with_name("narrows")),
            "logs",
            "chatter",
            "0",
            "--server",
            service.url,
            *flags,
        ]
        environment = clean_environment(NARROWS_TOKEN="the operator's token")
        shown = subprocess.run(command, capture_output=True, text=True, env=environment, check=True, cwd=service.folder)
        assert shown.stdout == text


def test_the_code_cannot_find_the_token(service: UserCodeService) -> None:
    training = {"arguments": {"end": service.work_token[-16:]}}
    service.create("spying", "tuned.spying:look", training=training)
    (trial,) = service.finished("spying")
    text = service.output("spying")
    assert trial.values == [0.0], text
    assert text.count("looked at") >= 3, "itself, its worker, and the fleet"
    files = re.findall(r"file \d+ (\S+)", text)
    assert all(file.startswith(("/dev/null", "pipe:", "socket:", "/proc/")) for file in files), files
    n_sockets = len([file for file in files if file.startswith("socket:")])
    assert n_sockets == 2, "to the worker, and to the process that it was forked from"


@pytest.mark.parametrize("entrypoint", ["tuned2.evil:objective", "os:system", "tun:objective", "untuned.tuned:x"])
def test_what_is_not_allowed_waits_and_says_so(service: UserCodeService, entrypoint: str) -> None:
    name = service.create(entrypoint.replace(":", "-"), entrypoint)
    service.create(f"after-{name}", "tuned.misbehaving:crash")
    service.finished(f"after-{name}")
    study = service.client.study(name)
    assert study.trial_counts.RUNNING + study.trial_counts.FAIL + study.trial_counts.COMPLETE == 0
    assert study.waits_for is not None
    assert entrypoint in study.waits_for
    evil = Path(__file__).parent / "users_code" / "tuned2" / "was-imported"
    assert not evil.exists()
