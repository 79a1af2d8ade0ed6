"""W&B sweeps in Python files, which are read and never run."""

from collections.abc import Callable

from tests.unit.service.conversion.conftest import Converted, Refused


def test_a_sweep_in_a_python_file(converted: Converted, refused: Refused) -> None:
    code = """
import wandb
sweep_configuration = {
    "method": "random",
    "name": "sweep",
    "metric": {"goal": "minimize", "name": "val_loss"},
    "parameters": {"batch_size": {"values": [16, 32]}, "lr": {"max": 0.1, "min": 0.0001}},
}
sweep_id = wandb.sweep(sweep=sweep_configuration, project="p")
wandb.agent(sweep_id, function=main, count=4)
"""
    found = converted(code, "tuning.py")
    assert (found["n_trials"], found["training"]) == (4, {"entrypoint": "tuning:main"})
    (line,) = refused(code.replace("0.0001", "args.low"), "tuning.py")
    assert line.startswith("parameters.lr.min: `args.low` in line 7 is known only when the file runs")


def test_a_sweep_that_is_put_together_is_refused(refused: Refused) -> None:
    code = """
import wandb
sweep_config = {"method": "random"}
metric = {"name": "loss", "goal": "minimize"}
sweep_config["metric"] = metric
parameters_dict = {"optimizer": {"values": ["adam", "sgd"]}}
sweep_config["parameters"] = parameters_dict
parameters_dict.update({"epochs": {"value": 1}})
parameters_dict.update({"learning_rate": {"distribution": "uniform", "min": 0, "max": 0.1}})
sweep_id = wandb.sweep(sweep_config, project="demo")
wandb.agent(sweep_id, train, count=5)
"""
    (line,) = refused(code, "notebook.py")
    assert "`sweep_config (changed in line 5)`" in line


def test_a_sweep_that_stands_in_the_call(converted: Converted) -> None:
    sweep = "{'method': 'grid', 'metric': {'name': 'a'}, 'parameters': {'x': {'values': [1, 2]}}}"
    assert converted(f"import wandb\nwandb.sweep({sweep})", "t.py")["n_trials"] == 2


def test_a_file_that_is_no_module_has_no_entrypoint(refused: Refused) -> None:
    sweep = {"method": "random", "metric": {"name": "loss"}, "run_cap": 2, "parameters": {"x": {"values": [1, 2]}}}
    text = f"import wandb\nsweep_id = wandb.sweep({sweep!r})\nwandb.agent(sweep_id, function=main)\n"
    (line,) = refused(text, file="my-sweep.py")
    assert line.startswith("function: must be a Python file that can be imported")


def test_what_a_python_file_says_beside_the_sweep_is_named(text_of: Callable[..., str]) -> None:
    sweep = {"method": "random", "metric": {"name": "loss"}, "parameters": {"x": {"values": [1, 2]}}}
    text = (
        f"import wandb\nsweep_id = wandb.sweep({sweep!r}, project='vision')\n"
        "wandb.agent(sweep_id, function=main, count=3, entity='lab')\n"
    )
    found = text_of(text, file="tuning.py")
    assert "# project of wandb.sweep is left out: 'vision'" in found
    assert "# entity of wandb.agent is left out: 'lab'" in found


def test_the_function_of_an_agent_takes_the_place_of_a_program(
    converted: Converted, text_of: Callable[..., str]
) -> None:
    sweep = {
        "program": "train.py",
        "method": "random",
        "metric": {"name": "loss"},
        "run_cap": 2,
        "parameters": {"x": {"values": [1, 2]}},
    }
    start = f"import wandb\nsweep_id = wandb.sweep({sweep!r})\n"
    calling = f"{start}wandb.agent(sweep_id, function=main)\n"
    assert converted(calling, "tuning.py")["training"] == {"entrypoint": "tuning:main"}
    assert "# program is left out (wandb.agent calls main): 'train.py'" in text_of(calling, "tuning.py")
    assert converted(start, "tuning.py")["training"] == {"command": ["python", "train.py", "{args}"]}
