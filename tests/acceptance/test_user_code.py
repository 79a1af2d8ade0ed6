"""Users' own training code on real workers: Optuna's examples as they are, and everything that code can do wrong."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest

from tests.acceptance.user_code_house import House, gone, is_alive, open_house
from tests.conftest import clean_environment

MISBEHAVIOUR = {
    "crash": ({}, "ZeroDivisionError: division by zero", "about to divide"),
    "leave": ({}, "sys.exit(3)", "about to leave"),
    "leave_at_once": ({}, "ended with status 0 before", "about to leave at once"),
    "segfault": ({}, "killed by SIGSEGV", "about to read address 0"),
    "hang": ({"step_timeout_seconds": 1.0}, "reported nothing for 1 s (step_timeout_seconds)", "about to hang"),
    "hang_deaf": ({"trial_timeout_seconds": 1.0}, "did not end within 1 s (trial_timeout_seconds)", "not to listen"),
    "grow": ({"memory_limit_mib": 512}, "MemoryError", "about to take memory"),
    "killed": ({}, "killed by SIGKILL, as happens when memory runs out", "about to be killed"),
    "killed_by_40": ({}, "killed by signal 40", "about to be killed by a signal without a name"),
    "nest": ({}, "sent an invalid message", "about to nest"),
    "no_unicode_error": ({}, "ValueError: ?", "about to raise no Unicode"),
    "many_metrics": ({}, "at most 100 items", "about to return 100 metrics"),
    "no_unicode": ({}, "surrogates not allowed", "about to note no Unicode"),
    "babble": ({}, "sent an invalid message", "about to babble"),
    "hang_up": ({}, "closed its connection", "about to close every file"),
    "nothing": ({}, "must return 1 number(s): None", ""),
    "three_values": ({}, "one number for each of 1 objective(s)", ""),
    "not_a_number": ({}, "score is nan", ""),
    "wrong_parameter": ({}, "must take trial (an Optuna objective) or context", ""),
    "no_such_function": ({}, "tuned.misbehaving must have a function no_such_function", ""),
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A service with workers that allow `tuned`."""
    with open_house(tmp_path_factory.mktemp("house")) as house, house.worker("--allow", "tuned", "--processes", "2"):
        yield house
        assert house.client.study("built-in").state == "finished", "the workers have trained their own trials too"


@pytest.fixture(scope="module")
def examples(misbehaved: House) -> House:
    """Optuna's examples, one study each, under way: the workers have always something to do."""
    house = misbehaved
    house.create("iris", "tuned.examples:choose_classifier", n_trials=3)
    error = [{"metric": "error", "direction": "minimize"}]
    threshold = {"name": "threshold", "upper": 0.01, "n_warmup_steps": 3}
    house.create("sgd", "tuned.examples:prune_classifier", objectives=error, pruner=threshold, n_trials=2)
    house.create("network", "tuned.examples:train_network", n_trials=2)
    cost_and_gain = [{"metric": "cost", "direction": "minimize"}, {"metric": "gain", "direction": "maximize"}]
    arguments = {"arguments": {"scale": 2}}
    house.create("two", "tuned.examples:two_objectives", objectives=cost_and_gain, training=arguments, n_trials=2)
    house.create("infeasible", "tuned.examples:infeasible")
    return house


@pytest.fixture(scope="module")
def misbehaved(house: House) -> House:
    """All misbehaviour, one study each, under way."""
    for name, (training, _, _) in MISBEHAVIOUR.items():
        house.create(name, f"tuned.misbehaving:{name}", training=training, max_attempts=1)
    space = {"learning_rate": {"type": "float", "low": 1e-3, "high": 1e-2}}
    training = {"dataset": "digits", "model": {"name": "mlp", "hidden": [8]}, "epochs": 1}
    house.client.create_study({"name": "built-in", "search_space": space, "training": training, "n_trials": 2})
    return house


@pytest.mark.parametrize("name", MISBEHAVIOUR)
def test_what_code_does_wrong_fails_its_trial_with_a_reason_and_not_the_worker(misbehaved: House, name: str) -> None:
    (trial,) = misbehaved.finished(name)
    _, reason, said = MISBEHAVIOUR[name]

    assert trial.state == "FAIL"
    assert trial.reason is not None
    assert reason in trial.reason
    assert said in trial.reason
    if said:
        assert said in misbehaved.output(name)


def test_the_reason_has_the_last_lines_of_the_traceback(misbehaved: House) -> None:
    (trial,) = misbehaved.finished("crash")
    assert trial.reason is not None
    assert "return 1 / (trial.number - trial.number)" in trial.reason


def test_code_that_this_machine_lacks_is_tried_again(house: House) -> None:
    house.create("missing", "tuned.missing:objective", max_attempts=2)
    (trial,) = house.finished("missing")
    assert [attempt.outcome for attempt in trial.attempts] == ["fail", "fail"]
    assert "tuned.missing:objective cannot be imported: No module named 'tuned.missing'" in (trial.reason or "")


def test_optunas_classifier_choice(examples: House) -> None:
    trials = examples.finished("iris", 300)

    assert [trial.state for trial in trials] == ["COMPLETE"] * 3, [trial.reason for trial in trials]
    branches = {"SVC": "svc_c", "RandomForest": "rf_max_depth"}
    assert all(set(trial.params) == {"classifier", branches[str(trial.params["classifier"])]} for trial in trials)


def test_optunas_pruned_classifier(examples: House) -> None:
    """A trial is pruned at the first step, after three of warmup, at which it is above the threshold."""
    for trial in examples.finished("sgd"):
        errors = examples.client.curves("sgd", trial.number).metrics["error"]
        bad = [error is not None and error > 0.01 for error in errors[3:]]
        assert trial.state == ("PRUNED" if bad[-1] else "COMPLETE")
        assert sum(bad) <= 1


def test_optunas_network(examples: House) -> None:
    for trial in examples.finished("network", 300):
        assert trial.state == "COMPLETE", trial.reason
        n_layers = int(str(trial.params["n_layers"]))
        layers = {f"{kind}_l{layer}" for kind in ("n_units", "dropout") for layer in range(n_layers)}
        assert set(trial.params) == {"n_layers", "optimizer", "lr"} | layers
        assert examples.client.curves("network", trial.number).steps == [0, 1, 2, 3]
        assert trial.user_attrs.keys() == {"n_weights"}


def test_two_objectives_with_arguments(examples: House) -> None:
    for trial in examples.finished("two"):
        x, y = float(str(trial.params["x"])), float(str(trial.params["y"]))
        assert trial.values == pytest.approx([2 * (4 * x**2 + 4 * y**2), -((x - 5) ** 2 + (y - 5) ** 2)])
        assert y * 2 == int(y * 2)
    stock = optuna.load_study(study_name="two", storage=f"sqlite:///{examples.folder / 'narrows.db'}")
    assert len(stock.trials) == 2


def test_an_objective_that_gives_itself_up_is_pruned(examples: House) -> None:
    (trial,) = examples.finished("infeasible")
    assert (trial.state, trial.params) == ("PRUNED", {"n": 0})


def test_what_optuna_refuses_is_refused(house: House) -> None:
    house.create("again", "tuned.misbehaving:again")
    (trial,) = house.finished("again")
    assert trial.state == "COMPLETE", trial.reason
    assert house.output("again").count("refused:") == 4
    assert list(trial.params) == ["x"]


def test_a_generator_reports_what_it_yields_and_keeps_a_model(house: House) -> None:
    space = {"rate": {"type": "float", "low": 1.0, "high": 2.0}}
    objectives = [{"metric": "loss", "direction": "minimize"}]
    training = {"arguments": {"n_steps": 3}}
    changes = {"search_space": space, "objectives": objectives, "training": training}
    house.create("yielding", "tuned.steps:yielding", **changes)
    (trial,) = house.finished("yielding")

    rate = float(str(trial.params["rate"]))
    assert trial.state == "COMPLETE", trial.reason
    assert pytest.approx(rate / 3) == (trial.values or [])[0]
    assert house.client.curves("yielding", 0).metrics["loss"] == pytest.approx([rate, rate / 2, rate / 3])
    from safetensors import safe_open

    house.client.download_artifact("yielding", 0, "model", house.folder / "model.safetensors")
    with safe_open(house.folder / "model.safetensors", "pt") as model:
        assert sorted(model.keys()) == ["bias", "weight"]
        assert '"entrypoint": "tuned.steps:yielding"' in model.metadata()["narrows"]


def test_a_generator_that_is_pruned_is_closed(house: House) -> None:
    objectives = [{"metric": "loss", "direction": "minimize"}]
    pruner = {"name": "threshold", "upper": 0.5}
    house.create("closed", "tuned.steps:pruned_generator", objectives=objectives, pruner=pruner)
    (trial,) = house.finished("closed")
    assert trial.state == "PRUNED"
    assert "closed in time" in house.wait_for_output("closed", "closed in time")


def test_a_stopped_study_ends_the_process(house: House) -> None:
    house.create("forever", "tuned.misbehaving:forever")
    pid = int(re.findall(r"my process is (\d+)\.", house.wait_for_output("forever", "."))[0])
    assert is_alive(pid)
    house.client.change("forever", state="stopped")
    assert gone([pid], 10)
    assert house.client.trial("forever", 0).state == "FAIL"


def test_nothing_that_code_has_started_outlives_its_trial(house: House) -> None:
    house.create("orphan", "tuned.misbehaving:orphan")
    (trial,) = house.finished("orphan")
    assert trial.values == [1.0]
    assert gone([int(re.findall(r"the orphan is (\d+)\.", house.output("orphan"))[0])], 5)


def test_the_end_of_much_output_is_kept_and_shown(house: House) -> None:
    house.create("chatter", "tuned.misbehaving:chatter")
    house.finished("chatter")
    text = house.output("chatter")
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
            house.url,
            *flags,
        ]
        environment = clean_environment(NARROWS_TOKEN="the operator's token")
        shown = subprocess.run(command, capture_output=True, text=True, env=environment, check=True, cwd=house.folder)
        assert shown.stdout == text


def test_the_code_cannot_find_the_token(house: House) -> None:
    training = {"arguments": {"end": house.work_token[-16:]}}
    house.create("spying", "tuned.spying:look", training=training)
    (trial,) = house.finished("spying")
    text = house.output("spying")
    assert trial.values == [0.0], text
    assert text.count("looked at") >= 3, "itself, its worker, and the fleet"
    files = re.findall(r"file \d+ (\S+)", text)
    assert all(file.startswith(("/dev/null", "pipe:", "socket:", "/proc/")) for file in files), files
    assert len([file for file in files if file.startswith("socket:")]) == 1


@pytest.mark.parametrize("entrypoint", ["tuned2.evil:objective", "os:system", "tun:objective", "untuned.tuned:x"])
def test_what_is_not_allowed_waits_and_says_so(house: House, entrypoint: str) -> None:
    name = house.create(entrypoint.replace(":", "-"), entrypoint)
    house.create(f"after-{name}", "tuned.misbehaving:crash")
    house.finished(f"after-{name}")
    study = house.client.study(name)
    assert study.trial_counts.RUNNING + study.trial_counts.FAIL + study.trial_counts.COMPLETE == 0
    assert study.waits_for is not None
    assert entrypoint in study.waits_for
    evil = Path(__file__).parent / "users_code" / "tuned2" / "was-imported"
    assert not evil.exists()
