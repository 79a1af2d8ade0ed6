"""What to change next, by the verdicts and by where the trials lie in the search space."""

from collections.abc import Callable, Iterator
from statistics import median

from pydantic import ValidationError

from service.diagnosis.evidence import Evidence, Range, numbers, places
from service.diagnosis.verdicts import MIN_EPOCHS
from service.schemas.diagnosis import Advice
from service.schemas.study.checks import definition_errors
from service.schemas.study.definition import Definition
from service.schemas.study.models import OwnModel
from service.schemas.study.search_space import CategoricalParameter, IntParameter
from service.schemas.study.training import training_field

MIN_CLEAR = 5
MIN_COMPLETE_FOR_EDGES = 10
EDGE_SHARE = 0.05
OFTEN = 0.25
SOMETIMES = 0.05
NOTHING = "Nothing stands out: the trials neither overfit, underfit nor diverge often, and no best value is at an edge."

REGULARIZERS = (
    "weight_decay",
    "dropout",
    "input_dropout",
    "noise_std",
    "hidden_noise_std",
    "l1_decay",
    "label_smoothing",
)
RATES = ("dropout", "input_dropout", "label_smoothing")
RATE_LIMIT = 0.8
"""A rate whose bound is this high need not be raised."""


def advise(evidence: Evidence) -> list[Advice]:
    """Advice for a study, the most important first; never empty."""
    n_clear = len(evidence.clear)
    if n_clear < MIN_CLEAR:
        short = list(_too_short(evidence))
        waiting = f"Trials that can be judged so far: {n_clear}; advice takes {MIN_CLEAR}."
        return short or [Advice(field=None, message=waiting)]
    rules: tuple[Callable[[Evidence], Iterator[Advice]], ...] = (
        _diverging,
        _overfitting,
        _underfitting,
        _improving,
        _edges,
        _too_short,
    )
    if evidence.definition.is_user_code:  # the others speak of training fields
        rules = (_edges, _too_short)
    found = [advice for rule in rules for advice in rule(evidence)]
    return found or [Advice(field=None, message=NOTHING)]


def _diverging(evidence: Evidence) -> Iterator[Advice]:
    if evidence.share("diverged") < SOMETIMES:
        return
    said = f"{_count(evidence, 'diverged')} diverged"
    parameter = evidence.definition.search_space.get("learning_rate")
    if parameter is None:
        rate = evidence.training.learning_rate
        yield Advice(field="training.learning_rate", message=f"{said}: lower learning_rate (now {rate:g})")
    elif isinstance(parameter, CategoricalParameter):
        choices = ", ".join(map(str, parameter.choices))
        message = f"{said}: lower the choices of learning_rate (now {choices})"
        yield Advice(field="search_space.learning_rate", message=message)
    elif evidence.lean("learning_rate", "diverged") > 0:
        change = f"at the upper end of learning_rate: lower its high bound (now {parameter.high:g})"
        message = f"{said}, {change}{_best_end(evidence, 'learning_rate', 1)}"
        yield Advice(field="search_space.learning_rate", message=message)
    else:
        yield _clip(evidence, f"{said}, at any learning_rate")


def _clip(evidence: Evidence, said: str) -> Advice:
    if "gradient_clip" in evidence.definition.search_space:
        return Advice(field="search_space.gradient_clip", message=f"{said}: search smaller values of gradient_clip")
    now = evidence.training.gradient_clip
    change = "set gradient_clip to 1" if now is None else f"lower gradient_clip (now {now:g})"
    return Advice(field="training.gradient_clip", message=f"{said}: {change}")


def _overfitting(evidence: Evidence) -> Iterator[Advice]:
    if evidence.share("overfitting") < OFTEN:
        return
    said = f"{_count(evidence, 'overfitting')} overfit"
    searched = evidence.ranges(lambda name: training_field(name) in REGULARIZERS)
    helpful = [name for name in searched if evidence.lean(name, "overfitting") <= 0 and _can_be_raised(name, searched)]
    if helpful:
        bounds = _bounds(helpful, searched)
        yield Advice(field=f"search_space.{helpful[0]}", message=f"{said}: raise the bounds of {bounds}")
    dropout = "model.dropout" if isinstance(evidence.training.model, OwnModel) else "dropout"
    fields = {training_field(name) for name in evidence.definition.search_space}
    missing = [name for name in ("weight_decay", dropout) if training_field(name) not in fields]
    if missing:
        more = "search" if not helpful else "also search"
        yield Advice(field="search_space", message=f"{said}: {more} {' and '.join(missing)}, which no trial varies")
    training = evidence.training
    if training.early_stopping is None and "early_stopping.patience" not in evidence.definition.search_space:
        message = f"{said}: set early_stopping, which ends them sooner and keeps the weights of the best epoch"
        yield Advice(field="training.early_stopping", message=message)


def _underfitting(evidence: Evidence) -> Iterator[Advice]:
    if evidence.share("underfitting") < OFTEN:
        return
    said = f"{_count(evidence, 'underfitting')} underfit"
    found = list(_causes_of_underfitting(evidence, said))
    yield from found
    if not found:
        widths = list(evidence.ranges(_is_of_model))
        larger = f"raise the high bounds of {', '.join(widths)}" if widths else "try a larger model"
        yield Advice(field=f"search_space.{widths[0]}" if widths else "training.model", message=f"{said}: {larger}")


def _causes_of_underfitting(evidence: Evidence, said: str) -> Iterator[Advice]:
    """Parameters at one end of which the underfitting trials lie."""
    for name, parameter in evidence.ranges(lambda _: True).items():
        lean = evidence.lean(name, "underfitting")
        is_regularizer = training_field(name) in REGULARIZERS
        if lean > 0 and (is_regularizer or name in ("learning_rate", "batch_size")):
            change = f"at the upper end of {name}: lower its high bound (now {parameter.high:g})"
        elif lean < 0 and (name == "learning_rate" or _is_of_model(name)):
            change = f"at the lower end of {name}: raise its low bound (now {parameter.low:g})"
        else:
            continue
        yield Advice(field=f"search_space.{name}", message=f"{said}, {change}{_best_end(evidence, name, lean)}")


def _improving(evidence: Evidence) -> Iterator[Advice]:
    found = [trial for trial in evidence.best if trial.judgement.figures is not None]
    improving = [trial for trial in found if trial.judgement.figures is not None and trial.judgement.figures.improving]
    if len(found) < MIN_EPOCHS or len(improving) * 2 <= len(found):
        return
    said = f"{len(improving)} of the best {len(found)} trials still got better when they ended"
    if "epochs" in evidence.definition.search_space:
        yield Advice(field="search_space.epochs", message=f"{said}: raise the high bound of epochs")
    else:
        n_epochs = evidence.training.epochs
        yield Advice(field="training.epochs", message=f"{said}: raise epochs (now {n_epochs})")


def _edges(evidence: Evidence) -> Iterator[Advice]:
    if evidence.n_complete < MIN_COMPLETE_FOR_EDGES:
        return
    for name, parameter in evidence.ranges(lambda _: True).items():
        lie = places(parameter, name, evidence.best)
        if len(lie) < len(evidence.best):
            continue  # a conditional parameter, which the best trials do not all have
        said = f"the best {len(lie)} trials have {name} at its"
        raised, lowered = _beyond(parameter)
        if min(lie[0], median(lie)) > 1 - EDGE_SHARE and (
            _can_be_raised(name, {name: parameter}) and _may_be(evidence.definition, name, high=raised)
        ):
            message = f"{said} high bound ({parameter.high:g}): raise it"
            yield Advice(field=f"search_space.{name}", message=message)
        elif max(lie[0], median(lie)) < EDGE_SHARE and (
            parameter.low > 0 and _may_be(evidence.definition, name, low=lowered)
        ):
            yield Advice(field=f"search_space.{name}", message=f"{said} low bound ({parameter.low:g}): lower it")


def _too_short(evidence: Evidence) -> Iterator[Advice]:
    ended = [trial for trial in evidence.trials if trial.rank is not None or trial.is_pruned]
    short = [trial for trial in ended if 0 < trial.n_epochs < MIN_EPOCHS]
    if len(short) < MIN_CLEAR or len(short) * 2 <= len(evidence.trials):
        return
    said = f"{len(short)} of {len(evidence.trials)} trials ended within {MIN_EPOCHS - 1} epochs, too soon to be judged"
    definition = evidence.definition
    if sum(trial.is_pruned for trial in short) * 2 > len(short):
        option = definition.pruner.grace_option
        how = "" if option is None else f" ({option})"
        yield Advice(field="pruner", message=f"{said}: let them go on for longer before they are pruned{how}")
    elif definition.is_user_code:
        yield Advice(field=None, message=f"{said}: report more steps of each")
    else:
        yield from _longer(evidence, said)


def _longer(evidence: Evidence, said: str) -> Iterator[Advice]:
    """For complete trials of built-in training that are short."""
    epochs = evidence.ranges(lambda name: name == "epochs").get("epochs")
    n_epochs = evidence.training.epochs
    if epochs is not None and epochs.low < MIN_EPOCHS:
        yield Advice(field="search_space.epochs", message=f"{said}: raise the low bound of epochs (now {epochs.low:g})")
    elif "epochs" not in evidence.definition.search_space and n_epochs < MIN_EPOCHS:
        yield Advice(field="training.epochs", message=f"{said}: raise epochs (now {n_epochs})")
    elif evidence.training.early_stopping is not None:
        yield Advice(field="training.early_stopping", message=f"{said}: raise early_stopping.patience")


def _is_of_model(name: str) -> bool:
    """Whether a parameter says how large a model is."""
    return training_field(name) == "model"


def _can_be_raised(name: str, ranges: dict[str, Range]) -> bool:
    return training_field(name) not in RATES or ranges[name].high < RATE_LIMIT


def _beyond(parameter: Range) -> tuple[float, float]:
    """A higher high bound and a lower low one, as near as makes sense to try."""
    if isinstance(parameter, IntParameter) or parameter.step is not None:
        step = parameter.step or 1
        return parameter.high + step, parameter.low - step
    return parameter.high + (parameter.high - parameter.low) / 10, parameter.low / 2


def _may_be(definition: Definition, name: str, **bound: float) -> bool:
    """Whether a definition may have this bound, which its training field may refuse."""
    now = definition.search_space[name]
    try:
        parameter = type(now).model_validate({**now.model_dump(), **bound})
    except ValidationError:
        return False
    return not definition_errors(
        definition.model_copy(update={"search_space": definition.search_space | {name: parameter}})
    )


def _bounds(names: list[str], ranges: dict[str, Range]) -> str:
    return " and ".join(f"{name} (now {ranges[name].low:g} to {ranges[name].high:g})" for name in names)


def _best_end(evidence: Evidence, name: str, sign: int) -> str:
    """How far towards the high (1) or low (-1) end of a range the best trials go, as the rest of a sentence."""
    values = numbers(name, evidence.best)
    if not values:
        return ""
    end, word = (max(values), "above") if sign > 0 else (min(values), "below")
    return f"; none of the best trials is {word} {end:.2g}"


def _count(evidence: Evidence, verdict: str) -> str:
    n = sum(trial.verdict == verdict for trial in evidence.clear)
    return f"{n} of {len(evidence.clear)} trials"
