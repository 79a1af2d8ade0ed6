"""The conversion of a W&B sweep, from its YAML file or the argument of `wandb.sweep`."""

from typing import Any

from service.conversion.draft import HEAD, Draft, Given, shown, study_name
from service.conversion.numbers import is_int, is_number
from service.conversion.sweep_command import read_command
from service.conversion.sweep_parameters import add_parameters

SAMPLERS = {"bayes": "gp", "random": "random", "grid": "grid"}
LEFT_OUT = {
    "description": "",
    "entity": "an account at W&B",
    "project": "a place at W&B",
    "apiVersion": "",
    "kind": "",
    "controller": "the service samples",
    "job": "workers train where they are started",
    "image_uri": "workers train where they are started",
}
KNOWN = {
    "program",
    "command",
    "method",
    "metric",
    "metrics",
    "parameters",
    "early_terminate",
    "run_cap",
    "name",
    "scheduler",
} | LEFT_OUT.keys()
MAX_BANDS = 100


def is_sweep(content: Any) -> bool:
    """Whether a value looks like a sweep."""
    return isinstance(content, dict) and "method" in content and ("parameters" in content or "scheduler" in content)


def read_sweep(sweep: dict[str, Any], stem: str, given: Given) -> Draft:
    """Convert a sweep. `stem` names the study if the sweep has no name."""
    draft = Draft(study_name(str(sweep.get("name") or stem)))
    for name in sorted(sweep.keys() - KNOWN, key=str):
        draft.refuse(str(name), f"is no field of a sweep: {shown(sweep[name])}")
    for name in sorted(sweep.keys() & LEFT_OUT.keys()):
        reason = f" ({LEFT_OUT[name]})" if LEFT_OUT[name] else ""
        draft.note(HEAD, f"{name} is left out{reason}: {shown(sweep[name])}")
    if sweep.get("name") and draft.name != sweep["name"]:
        draft.note("name", f"In the sweep: {shown(sweep['name'])}")
    _read_method(draft, sweep)
    _read_metric(draft, sweep, given)
    add_parameters(draft, sweep.get("parameters"), "parameters", grid=sweep.get("method") == "grid")
    _read_program(draft, sweep, given)
    _read_early_terminate(draft, sweep.get("early_terminate"))
    _read_cap(draft, sweep, given)
    return draft


def _read_method(draft: Draft, sweep: dict[str, Any]) -> None:
    method, scheduler = sweep.get("method"), sweep.get("scheduler")
    if method == "custom" or (isinstance(scheduler, dict) and scheduler.get("engine") != "wandb"):
        message = "leaves the search to functions of yours: an Optuna objective runs as it is, without a search space"
        draft.refuse("method" if method == "custom" else "scheduler", f"{message} (docs/bring-your-objective.md)")
    elif not isinstance(method, str) or method not in SAMPLERS:
        draft.refuse("method", f"must be bayes, random or grid: {shown(method)}")
    else:
        draft.sampler = {"name": SAMPLERS[method]}
    if method == "bayes":
        draft.note("sampler", "bayes is a Gaussian process: gp needs PyTorch on the service's machine, tpe does not.")
    if scheduler is not None:
        draft.note(HEAD, f"scheduler is left out: {shown(scheduler)}")
    if method == "grid":
        draft.note("sampler", "All combinations once, in random order; W&B goes through them in order.")


def _read_program(draft: Draft, sweep: dict[str, Any], given: Given) -> None:
    """Make the program the training, unless a function trains: that of the user, or the one of wandb.agent."""
    fields = [name for name in ("program", "command") if sweep.get(name) is not None]
    if given.entrypoint is not None:
        for name in fields:
            draft.note(HEAD, f"{name} is left out (a function trains): {shown(sweep[name])}")
    elif fields:
        metric = given.metric or next((objective["metric"] for objective in draft.objectives), "")
        read_command(draft, sweep, metric)
    else:
        what = "the function that wandb.agent calls"
        draft.note("training.entrypoint", f"{what} is to be a function train(context) (docs/from-wandb-sweeps.md).")


def _read_metric(draft: Draft, sweep: dict[str, Any], given: Given) -> None:
    if "metrics" in sweep:
        draft.refuse("metrics", "belongs to method: custom: write the objectives into the definition by hand")
        return
    metric = sweep.get("metric", {})
    if not isinstance(metric, dict) or metric.keys() - {"name", "goal", "target", "impute", "impute_while_running"}:
        draft.refuse("metric", f"must have name, goal and target: {shown(metric)}")
        return
    name, goal, target = metric.get("name", given.metric), metric.get("goal", "minimize"), metric.get("target")
    if not isinstance(name, str):
        draft.refuse(
            "metric.name", f"a study needs a metric to optimize: name it, or give --metric NAME: {shown(name)}"
        )
    elif goal not in ("minimize", "maximize"):
        draft.refuse("metric.goal", f"must be minimize or maximize: {shown(goal)}")
    else:
        draft.objectives = [{"metric": name, "direction": goal}]
        if "goal" not in metric and given.direction is None:
            draft.note("objectives", "A sweep without a goal minimizes.")
    if target is not None:
        if is_number(target):
            draft.target_value = float(target)
        else:
            draft.refuse("metric.target", f"must be a number: {shown(target)}")
    if "impute" in metric or "impute_while_running" in metric:
        draft.note(
            "objectives", "impute is left out: failed trials have no value here, running ones count as bad in tpe."
        )


def _read_early_terminate(draft: Draft, rule: Any) -> None:
    """W&B keeps the best 1/eta at each band, which is successive halving; Optuna's hyperband has several brackets."""
    if rule is None:
        draft.note("pruner", "The sweep terminates no run early.")
        return
    if not isinstance(rule, dict) or rule.get("type") != "hyperband":
        draft.refuse("early_terminate", f"must be of type hyperband: {shown(rule)}")
        return
    unknown = rule.keys() - {"type", "min_iter", "max_iter", "s", "eta", "strict"}
    if unknown:
        draft.refuse(
            "early_terminate",
            f"hyperband takes min_iter, or max_iter and s, and eta: {', '.join(sorted(map(str, unknown)))} given",
        )
        return
    eta = rule.get("eta", 3)
    if not is_number(eta) or eta != int(eta) or eta < 2:
        draft.refuse("early_terminate.eta", f"must be a whole number, 2 or more, here: {shown(eta)}")
        return
    bands = _bands(rule, int(eta))
    if not bands:
        draft.refuse("early_terminate", f"must have min_iter, or max_iter and s, that give a first band: {shown(rule)}")
        return
    draft.pruner = {"name": "successive_halving", "min_resource": bands[0], "reduction_factor": int(eta)}
    rungs = [bands[0] * int(eta) ** index for index in range(len(bands))]
    draft.note("pruner", "W&B's hyperband keeps the best 1/eta of all runs at each band: successive halving.")
    draft.note("pruner", "W&B compares the best value of a run so far at a band, Optuna the value at that very step.")
    if bands != rungs and "max_iter" in rule:
        draft.note("pruner", f"Bands were at steps {_list(bands)}; here at {_list(rungs)}, and on by times {int(eta)}.")
    elif is_number(rule.get("max_iter")) and is_number(rule.get("s")):
        draft.note("pruner", f"A trial that goes on for longer than {rule['max_iter']} steps is looked at again.")
    by_end = is_int(rule.get("max_iter")) and is_number(rule.get("s"))
    unread = ("strict", "min_iter") if by_end else ("strict", "max_iter", "s")
    why = {"min_iter": " (W&B itself goes by max_iter and s)"}
    for name in unread:
        if rule.get(name) is not None:
            draft.note("pruner", f"{name}: {shown(rule[name])} is left out{why.get(name, '')}.")


def _bands(rule: dict[str, Any], eta: int) -> list[int]:
    """Return the steps at which runs are stopped, by the rule of `hyperband_stop_runs` in wandb/sweeps."""
    first, last, s = rule.get("min_iter"), rule.get("max_iter"), rule.get("s")
    if is_int(last) and is_number(s) and last is not None and s is not None:
        bands = [int(last / eta**power) for power in range(1, min(int(s), MAX_BANDS) + 1)]
        return sorted(band for band in bands if band >= 1)
    return [first] if is_int(first) and first is not None and first >= 1 else []


def _read_cap(draft: Draft, sweep: dict[str, Any], given: Given) -> None:
    cap = sweep.get("run_cap")
    if cap is not None and (not is_int(cap) or cap < 1):
        draft.refuse("run_cap", f"must be a whole number, 1 or more: {shown(cap)}")
        return
    n_trials = cap
    if sweep.get("method") == "grid":
        size = grid_size(draft)
        n_trials = min(size, cap or size)
        if n_trials < size:
            draft.note("n_trials", f"{n_trials} of the grid's {size} combinations, drawn at random.")
    if n_trials is None and given.n_trials is None:
        draft.refuse("run_cap", f"{sweep.get('method')} goes on for ever, and a study does not: give --n-trials N")
    draft.n_trials = n_trials


def grid_size(draft: Draft) -> int:
    """Return the number of combinations of a search space in which every range has a step or choices."""
    size = 1
    for parameter in draft.search_space.values():
        if parameter["type"] == "categorical":
            size *= len(parameter["choices"])
        else:
            size *= round((parameter["high"] - parameter["low"]) / parameter.get("step", 1)) + 1
    return size


def _list(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))
