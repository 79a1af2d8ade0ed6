"""How numbers, times, parameters and a final evaluation read in a terminal."""

from datetime import datetime

from service.schemas.fields import Scalar
from service.schemas.final import Final
from service.schemas.results import Study


def number(value: Scalar, digits: int = 4) -> str:
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def seconds(value: float | None) -> str:
    """A duration as people read it: 3.2 s, 45 s, 4:05, 1:02:03."""
    if value is None:
        return ""
    if value < 60:
        return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def utc(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M}"


def params_line(params: dict[str, Scalar]) -> str:
    return "  ".join(f"{name}={number(value, 3)}" for name, value in params.items())


def metrics_of(study: Study) -> list[str]:
    return [objective.metric for objective in study.definition.objectives]


def sentences(found: Final) -> list[str]:
    if found.state == "running":
        return [f"{progress(found)}; narrows final {found.study} shows the rest"]
    if found.test_said is None:
        return [f"No test score: {found.failure}"]
    score, best = found.test_said, found.candidates[0]
    lead = {True: "better than the runner-up", False: "not distinguishable from the runner-up"}
    verdict = f": {lead[found.distinguishable]}" if found.distinguishable is not None else ""
    looked = f"looked at again, because: {found.reason}" if found.forced else "looked at once"
    on = "train and validation data" if found.train_on_validation else "train data"
    model = f"narrows model {found.linked_study} --trial {found.tested_trial} --out FILE"
    out = [one for one in found.candidates if one.violated]
    return [
        f"The winner is trial {found.winner}{verdict} ({found.comparison})",
        f"Validation said {number(best.validation_said)}, confirmed mean {number(best.confirmed_mean)}",
        f"Test said accuracy {number(score.accuracy)} (95 % interval {number(score.accuracy_low)} to "
        f"{number(score.accuracy_high)}, {score.n_images} images), loss {number(score.loss)}",
        f"The model ({model}) was trained on {on}; the test split was {looked}",
        *(f"Trial {one.trial_number} is out: trained again it violates {', '.join(one.violated)}" for one in out),
    ]


def progress(found: Final) -> str:
    n_confirmations = found.trials_total - 1
    if found.winner is not None:
        return f"{found.study}: trial {found.winner} is confirmed, its test runs"
    return f"{found.study}: {found.trials_done}/{n_confirmations} confirmations done"
