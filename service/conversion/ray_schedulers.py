"""The conversion of Ray Tune's search algorithms and schedulers to samplers and pruners."""

from typing import Any

from service.conversion.draft import HEAD, Draft, shown
from service.conversion.numbers import is_int, is_number
from service.conversion.python_source import Call

SAMPLERS = {
    "BasicVariantGenerator": "random",
    "OptunaSearch": "tpe",
    "HyperOptSearch": "tpe",
    "TuneBOHB": "tpe",
    "BayesOptSearch": "gp",
    "AxSearch": "gp",
}
HALVING = ("ASHAScheduler", "AsyncHyperBandScheduler")
HYPERBAND = ("HyperBandScheduler", "HyperBandForBOHB")
LATER = {
    **dict.fromkeys(HALVING, ("max_t", "grace_period", "reduction_factor", "brackets", "stop_last_trials")),
    **dict.fromkeys(HYPERBAND, ("max_t", "reduction_factor", "stop_last_trials")),
    "MedianStoppingRule": ("grace_period", "min_samples_required", "min_time_slice", "hard_stop"),
}
"""Options of schedulers that follow time_attr, metric and mode, in the order of Ray 2.60."""
ONE_LATER = "Ray counts reports from 1 and a study steps from 0, so each look at a trial comes one report later here."


def read_search(draft: Draft, search: Any) -> None:
    """Set the sampler. Without a search algorithm Ray samples at random."""
    if search is None:
        return
    if isinstance(search, Call) and search.short == "ConcurrencyLimiter":
        draft.note(HEAD, "ConcurrencyLimiter is left out: as many trials train as workers have places.")
        search = search.keywords.get("searcher", next(iter(search.arguments), None))
    if not isinstance(search, Call) or search.short not in SAMPLERS:
        found = search.short if isinstance(search, Call) else search
        draft.refuse("search_alg", f"must be one of {', '.join(SAMPLERS)}: {found}; leave it out and choose a sampler")
        return
    draft.sampler = {"name": SAMPLERS[search.short]}
    options = [*map(shown, search.arguments), *(f"{name}={shown(value)}" for name, value in search.keywords.items())]
    left_out = f"; its options are left out: {', '.join(options)}" if options else ""
    draft.note("sampler", f"For {search.short}{left_out}.")


def read_scheduler(draft: Draft, scheduler: Any) -> None:
    """Set the pruner, or add an error about the scheduler."""
    if scheduler is None:
        draft.note("pruner", "Ray's default stops no trial early.")
        return
    if not isinstance(scheduler, Call):
        draft.refuse("scheduler", f"must be a call of a scheduler: {shown(scheduler)}")
        return
    options, names = options_of(scheduler), _names(scheduler)
    time_attr = options.get("time_attr", "time_total_s" if scheduler.short == "MedianStoppingRule" else None)
    if scheduler.short == "FIFOScheduler":
        return
    if scheduler.short not in (*HALVING, *HYPERBAND, "MedianStoppingRule"):
        known = "take ASHAScheduler, HyperBandScheduler or MedianStoppingRule, or leave it out"
        draft.refuse("scheduler", f"{scheduler.short} has no counterpart (a pruner only ends trials early): {known}")
        return
    twice = scheduler.keywords.keys() & set(names[: len(scheduler.arguments)])
    if len(scheduler.arguments) > len(names) or options.keys() - set(names) or twice:
        found = ", ".join([*map(shown, scheduler.arguments), *(f"{name}=…" for name in scheduler.keywords)])
        draft.refuse("scheduler", f"{scheduler.short} takes {', '.join(names)}: {found}")
        return
    if time_attr not in (None, "training_iteration"):
        draft.refuse("scheduler.time_attr", f"must be training_iteration, a pruner looks at steps: {shown(time_attr)}")
        return
    unread = {"time_attr", "metric", "mode", "stop_last_trials", "hard_stop"}
    unread |= {"max_t"} if scheduler.short in HALVING and options.get("brackets", 1) == 1 else set()
    for name, value in options.items():
        if name not in unread and not is_number(value):
            draft.refuse(f"scheduler.{name}", f"must be a number: {shown(value)}")
            return
    if scheduler.short == "MedianStoppingRule":
        draft.pruner = {
            "name": "median",
            "n_startup_trials": options.get("min_samples_required", 3),
            "n_warmup_steps": int(options.get("grace_period", 60)),
        }
        draft.note("pruner", "MedianStoppingRule compares running means, the median pruner the best value so far.")
    else:
        _read_halving(draft, scheduler.short, options)
    for name in ("stop_last_trials", "hard_stop", "min_time_slice"):
        if name in options:
            draft.note("pruner", f"{name} is left out: {shown(options[name])}")
    draft.note("pruner", ONE_LATER)


def _read_halving(draft: Draft, name: str, options: dict[str, Any]) -> None:
    factor, max_t = options.get("reduction_factor", 4 if name in HALVING else 3), options.get("max_t", 100)
    first, brackets = options.get("grace_period", 1), options.get("brackets", 1)
    if factor != int(factor) or factor < 2:
        draft.refuse("scheduler.reduction_factor", f"must be a whole number, 2 or more, here: {factor}")
        return
    if not is_int(first) or (not is_int(max_t) and not (name in HALVING and brackets == 1)):
        draft.refuse("scheduler", f"must count whole reports: grace_period={first}, max_t={max_t}")
        return
    factor, max_t = int(factor), 81 if name in HYPERBAND and "max_t" not in options else max_t
    if name in HALVING and brackets == 1:
        draft.pruner = {"name": "successive_halving", "min_resource": first, "reduction_factor": factor}
    else:
        draft.pruner = {"name": "hyperband", "min_resource": first, "max_resource": max_t, "reduction_factor": factor}
        draft.note("pruner", f"{name} with its brackets; Optuna chooses their number by itself.")
    draft.note(
        "pruner", f"Ray ends every trial after {shown(max_t)} reports (max_t); here the code comes to its own end."
    )


def options_of(scheduler: Call) -> dict[str, Any]:
    """Return the options that a scheduler is given, by name. `read_scheduler` refuses unknown ones."""
    return scheduler.named(_names(scheduler))


def _names(scheduler: Call) -> tuple[str, ...]:
    return () if scheduler.short not in LATER else ("time_attr", "metric", "mode", *LATER[scheduler.short])
