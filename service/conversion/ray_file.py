"""The conversion of a Python or JSON file with a Ray Tune search space."""

from typing import Any

from service.conversion.draft import HEAD, Draft, Given, shown, study_name
from service.conversion.numbers import is_int, is_number
from service.conversion.python_source import Call, Source, Unknown
from service.conversion.ray_schedulers import options_of, read_scheduler, read_search
from service.conversion.ray_space import add_space, tune_name
from service.conversion.sweep import grid_size

MODES = {"min": "minimize", "max": "maximize"}
WRAPPERS = ("ray.tune.with_resources", "ray.tune.with_parameters", "ray.tune.trainable.with_parameters")
TUNERS = ("ray.tune.Tuner", "ray.tune.tuner.Tuner")
RUNS = ("ray.tune.run", "ray.tune.tune.run")


def read_space_alone(space: dict[str, Any], stem: str, given: Given, field: str = "param_space") -> Draft:
    """Convert a search space without a tuner."""
    return _read(study_name(stem), space, field, {}, {}, given)


def read_file(source: Source, stem: str, given: Given) -> Draft | None:
    """Convert the arguments of tune.Tuner or tune.run, or without these the only search space; None without any."""
    spaces = {name: space for name, space in source.dictionaries().items() if _has_search(space)}
    if given.space is not None:
        chosen = source.dictionaries().get(given.space)
        if chosen is not None:
            return _with_tuner(source, stem, given, chosen, given.space)
        draft = Draft(stem)
        draft.refuse("--space", f"must name a dictionary of the file that nothing changes: {shown(given.space)}")
        return draft
    calls = [*source.calls(*TUNERS), *source.calls(*RUNS)]
    if len(calls) == 1:
        return _with_tuner(source, stem, given, None, "")
    if len(calls) > 1 or len(spaces) > 1:
        draft = Draft(stem)
        found = ", ".join(spaces) or ", ".join(f"line {call.line}" for call in calls)
        draft.refuse("param_space", f"the file has several search spaces, say which one with --space NAME: {found}")
        return draft
    for name, space in spaces.items():
        return read_space_alone(space, stem, given, name)
    return None


def _with_tuner(source: Source, stem: str, given: Given, space: Any, field: str) -> Draft:
    calls = [*source.calls(*TUNERS), *source.calls(*RUNS)]
    if len(calls) != 1:
        draft = read_space_alone(space, stem, given, field)
        for call in calls:
            draft.note(HEAD, f"{call!r} is left out: the file has several of these calls.")
        return draft
    call = calls[0]
    is_tuner = call.short == "Tuner"
    options = dict(call.keywords)
    trainable = options.pop("trainable" if is_tuner else "run_or_experiment", next(iter(call.arguments), None))
    config = options.pop("param_space" if is_tuner else "config", None)
    nested = [options.pop(name, None) for name in ("tune_config", "run_config")] if is_tuner else []
    unread = [*call.arguments[1:], *(one for one in nested if one is not None and not isinstance(one, Call))]
    tuning = {**options, **_keywords(nested[0])} if nested else options
    running = _keywords(nested[1]) if nested else {}
    space, field = (config, "param_space" if is_tuner else "config") if space is None else (space, field)
    name = running.pop("name", tuning.pop("name", None))
    draft = _read(study_name(name if isinstance(name, str) else stem), space, field, tuning, running, given)
    _read_trainable(draft, trainable, stem)
    for value in unread:
        draft.note(HEAD, f"An argument of {call.short} is left out: {shown(value)}")
    return draft


def _read(name: str, space: Any, field: str, tuning: dict[str, Any], running: dict[str, Any], given: Given) -> Draft:
    draft = Draft(name)
    draft.note("training.entrypoint", "The function that trains, which takes context (docs/from-wandb-sweeps.md).")
    tuning = dict(tuning)
    scheduler = tuning.pop("scheduler", None)
    _read_metric(draft, tuning, options_of(scheduler) if isinstance(scheduler, Call) else {}, given)
    read_search(draft, tuning.pop("search_alg", None))
    read_scheduler(draft, scheduler)
    if not isinstance(space, dict):
        draft.refuse(field, f"must be a dictionary of the file that nothing changes: {space or 'none is given'}")
        return draft
    gridded = add_space(draft, space, source=field)
    _count(draft, gridded, tuning.pop("num_samples", 1 if gridded else None), given)
    budget = tuning.pop("time_budget_s", None)
    if is_number(budget):
        draft.timeout_seconds = float(budget)
    elif budget is not None:
        draft.refuse("time_budget_s", f"must be a number of seconds: {budget}")
    for option, value in (*tuning.items(), *running.items()):
        if value is not None:
            draft.note(HEAD, f"{option} is left out: {shown(value)}")
    return draft


def _read_metric(draft: Draft, tuning: dict[str, Any], scheduler: dict[str, Any], given: Given) -> None:
    metric = tuning.pop("metric", None) or scheduler.get("metric")
    mode = tuning.pop("mode", None) or scheduler.get("mode")
    metrics = metric if isinstance(metric, list) else [metric]
    modes = mode if isinstance(mode, list) else [mode] * len(metrics)
    if given.metric is not None:
        metrics, modes = [given.metric], modes[:1]
    if given.direction is not None:
        modes = [mode for mode, direction in MODES.items() if direction == given.direction] * len(metrics)
    if not all(isinstance(name, str) for name in metrics):
        draft.refuse("metric", f"a study needs a metric to optimize: give --metric NAME: {shown(metric)}")
    elif len(metrics) != len(modes) or any(one not in MODES for one in modes):
        draft.refuse("mode", f"must be min or max for each metric; give --direction: {shown(mode)}")
    else:
        draft.objectives = [{"metric": name, "direction": MODES[one]} for name, one in zip(metrics, modes, strict=True)]


def _count(draft: Draft, gridded: list[str], n_samples: Any, given: Given) -> None:
    others = [name for name in draft.search_space if name not in gridded]
    if gridded and others:
        instead = "take choice in its place, and all trials together as num_samples"
        draft.refuse(
            gridded[0], f"grid_search beside {others[0]}, which is drawn at random, has no counterpart: {instead}"
        )
    elif gridded and n_samples != 1:
        instead = 'for more seeds, add "seed": tune.grid_search([0, 1, 2])'
        draft.refuse("num_samples", f"a grid is tried once here: {shown(n_samples)}; {instead}")
    elif gridded:
        draft.sampler = {"name": "grid"}
        draft.notes.pop("sampler", None)
        draft.note("sampler", "All combinations once, in random order.")
        draft.n_trials = grid_size(draft)
    elif is_int(n_samples) and n_samples >= 1:
        draft.n_trials = n_samples
    elif given.n_trials is None:
        draft.refuse("num_samples", f"a study has a number of trials: give --n-trials N: {shown(n_samples)}")


def _read_trainable(draft: Draft, trainable: Any, stem: str) -> None:
    while isinstance(trainable, Call) and trainable.name in WRAPPERS:
        if trainable.keywords or len(trainable.arguments) > 1:
            draft.note(
                HEAD, f"What {trainable.short} adds is left out: give it as arguments, or load it in the function."
            )
        trainable = next(iter(trainable.arguments), None)
    if trainable is not None and not isinstance(trainable, Unknown):
        draft.no_entrypoint = ("trainable", shown(trainable))
        return
    module, _, function = (trainable.text if isinstance(trainable, Unknown) else "train").rpartition(".")
    draft.call("trainable", module.replace(".", "/") or stem, function)


def _has_search(space: Any) -> bool:
    if isinstance(space, dict):
        return any(map(_has_search, space.values()))
    return isinstance(space, Call) and tune_name(space) is not None


def _keywords(value: Any) -> dict[str, Any]:
    return dict(value.keywords) if isinstance(value, Call) else {}
