"""Numbers, times, parameters and final evaluations in words."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from service.schemas.fields import Scalar
from service.schemas.final import Final
from service.schemas.results import Study
from service.schemas.worker_seconds import WorkerSeconds


def counted(n: int, noun: str) -> str:
    """A number of things: 1 trial, 2 trials."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def share_of_time(workers: Iterable[WorkerSeconds]) -> str:
    """What workers have spent their time on, in shares: `training 80 %, idle 5 %, …; 3 % of lanes empty`."""
    totals = Counter[str]()
    for worker in workers:
        totals.update(worker.model_dump())
    used, empty = totals.pop("used_lanes", 0.0), totals.pop("empty_lanes", 0.0)
    whole = sum(totals.values())
    if not whole:
        return "nothing yet"
    shares = ", ".join(f"{name} {seconds / whole:.0%}" for name, seconds in totals.items())
    return f"{shares}; {empty / (used + empty) if empty else 0:.0%} of lanes empty"


def number(value: Scalar, digits: int = 4) -> str:
    """A value, rounded to `digits` significant digits if it is a float."""
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def seconds(value: float | None) -> str:
    """A duration: 3.2 s, 45 s, 4:05 or 1:02:03; empty for None."""
    if value is None:
        return ""
    if value < 60:
        return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def utc(moment: datetime | None) -> str:
    """A time to the minute; empty for None."""
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M}"


def params_line(params: dict[str, Scalar]) -> str:
    """The parameters of a trial in one line."""
    return "  ".join(f"{name}={number(value, 3)}" for name, value in params.items())


def metrics_of(study: Study) -> list[str]:
    """The metrics of the objectives, in order."""
    return [objective.metric for objective in study.definition.objectives]


def sentences(final: Final, *, service_stays: bool = True) -> list[str]:
    """The result of a final evaluation, or how far it is, in lines.

    Without `service_stays` no line names a command that asks the service.
    """
    if final.state == "running":
        return [f"{progress(final)}; narrows final {final.study} shows the rest"]
    if final.test_said is None:
        return [f"No test score: {final.failure}"]
    score, best = final.test_said, final.candidates[0]
    lead = {True: "better than the runner-up", False: "not distinguishable from the runner-up"}
    verdict = f": {lead[final.distinguishable]}" if final.distinguishable is not None else ""
    read = f"The test split was read again, because: {final.reason}" if final.forced else "The test split was read once"
    data = "the training and validation data" if final.train_on_validation else "the training data"
    out = [one for one in final.candidates if one.violated]
    return [
        f"The winner is trial {final.winner}{verdict} ({final.comparison})",
        f"{final.metric} {number(best.validation_said)} in the search, confirmed mean {number(best.confirmed_mean)}",
        f"Test accuracy {number(score.accuracy)} (95 % interval {number(score.accuracy_low)} to "
        f"{number(score.accuracy_high)}, {score.n_images} images), loss {number(score.loss)}",
        f"{read}. The tested model was trained on {data}",
        *([f"To keep it: narrows model {final.linked_study} --trial {final.tested_trial} --out FILE"] * service_stays),
        *(f"Trial {one.trial_number} cannot win: trained again it violates {', '.join(one.violated)}" for one in out),
    ]


def progress(final: Final) -> str:
    """How many trials of a running final evaluation have ended."""
    n_confirmations = final.trials_total - 1
    if final.winner is not None:
        return f"{final.study}: trial {final.winner} is confirmed, its test runs"
    return f"{final.study}: {final.trials_done}/{n_confirmations} confirmations done"


def used_of(study: Study) -> list[str]:
    """How much of each of its limits a study has used."""
    limit, n_epochs, hours = study.definition, study.epochs_trained, study.device_hours
    epochs = [] if n_epochs is None else [f"{n_epochs:,}/{limit.max_total_epochs:,} epochs"]
    return epochs if hours is None else [*epochs, f"{hours:.4g}/{limit.max_device_hours:g} device hours"]
