"""Advise what to change next, by the verdicts of the trials and by where they lie in the search space."""

from collections.abc import Callable, Iterator
from statistics import median

from pydantic import ValidationError

from service.diagnosis.evidence import Evidence, NumericParameter, numeric_values, relative_positions
from service.diagnosis.verdicts import MIN_EPOCHS
from service.schemas.diagnosis import Advice
from service.schemas.study.checks import definition_errors
from service.schemas.study.definition import Definition
from service.schemas.study.models import CustomModel
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
"""A rate whose high bound is at least this is not advised to be raised."""


def advise(evidence: Evidence) -> list[Advice]:
    """Return advice for a study, the most important first; never empty."""
    n_clear = len(evidence.clear)
    if n_clear < MIN_CLEAR:
        short = list(_too_short(evidence))
        waiting = f"Trials that can be judged so far: {n_clear}; advice needs {MIN_CLEAR}."
        return short or [Advice(field=None, message=waiting)]
    rules: tuple[Callable[[Evidence], Iterator[Advice]], ...] = (
        _diverging,
        _overfitting,
        _underfitting,
        _improving,
        _edges,
        _too_short,
    )
    if evidence.definition.is_user_code:  # the other rules look at training fields, which an entrypoint does not have
        rules = (_edges, _too_short)
    return [advice for rule in rules for advice in rule(evidence)] or [Advice(field=None, message=NOTHING)]


def _diverging(evidence: Evidence) -> Iterator[Advice]:
    if evidence.share("diverged") < SOMETIMES:
        return
    finding = f"{_count(evidence, 'diverged')} diverged"
    parameter = evidence.definition.search_space.get("learning_rate")
    if parameter is None:
        rate = evidence.training.learning_rate
        yield Advice(field="training.learning_rate", message=f"{finding}: lower learning_rate (now {rate:g})")
    elif isinstance(parameter, CategoricalParameter):
        choices = ", ".join(map(str, parameter.choices))
        message = f"{finding}: lower the choices of learning_rate (now {choices})"
        yield Advice(field="search_space.learning_rate", message=message)
    elif evidence.lean("learning_rate", "diverged") > 0:
        change = f"at the upper end of learning_rate: lower its high bound (now {parameter.high:g})"
        message = f"{finding}, {change}{_best_end(evidence, 'learning_rate', 1)}"
        yield Advice(field="search_space.learning_rate", message=message)
    else:
        yield _clip(evidence, f"{finding}, at any learning_rate")


def _clip(evidence: Evidence, finding: str) -> Advice:
    if "gradient_clip" in evidence.definition.search_space:
        return Advice(field="search_space.gradient_clip", message=f"{finding}: search smaller values of gradient_clip")
    now = evidence.training.gradient_clip
    change = "set gradient_clip to 1" if now is None else f"lower gradient_clip (now {now:g})"
    return Advice(field="training.gradient_clip", message=f"{finding}: {change}")


def _overfitting(evidence: Evidence) -> Iterator[Advice]:
    if evidence.share("overfitting") < OFTEN:
        return
    finding = f"{_count(evidence, 'overfitting')} overfit"
    searched = evidence.ranges(lambda name: training_field(name) in REGULARIZERS)
    helpful = [name for name in searched if evidence.lean(name, "overfitting") <= 0 and _can_be_raised(name, searched)]
    if helpful:
        bounds = _bounds(helpful, searched)
        yield Advice(field=f"search_space.{helpful[0]}", message=f"{finding}: raise the bounds of {bounds}")
    dropout = "model.dropout" if isinstance(evidence.training.model, CustomModel) else "dropout"
    fields = {training_field(name) for name in evidence.definition.search_space}
    missing = [name for name in ("weight_decay", dropout) if training_field(name) not in fields]
    if missing:
        more = "search" if not helpful else "also search"
        yield Advice(field="search_space", message=f"{finding}: {more} {' and '.join(missing)}, which no trial varies")
    training = evidence.training
    if training.early_stopping is None and "early_stopping.patience" not in evidence.definition.search_space:
        message = f"{finding}: set early_stopping, which ends them sooner and keeps the weights of the best epoch"
        yield Advice(field="training.early_stopping", message=message)


def _underfitting(evidence: Evidence) -> Iterator[Advice]:
    if evidence.share("underfitting") < OFTEN:
        return
    finding = f"{_count(evidence, 'underfitting')} underfit"
    causes = list(_causes_of_underfitting(evidence, finding))
    yield from causes
    if not causes:
        widths = list(evidence.ranges(_is_of_model))
        larger = f"raise the high bounds of {', '.join(widths)}" if widths else "try a larger model"
        yield Advice(field=f"search_space.{widths[0]}" if widths else "training.model", message=f"{finding}: {larger}")


def _causes_of_underfitting(evidence: Evidence, finding: str) -> Iterator[Advice]:
    """Advice for each parameter with the underfitting trials at an end of its range that explains them."""
    for name, parameter in evidence.ranges().items():
        lean = evidence.lean(name, "underfitting")
        is_regularizer = training_field(name) in REGULARIZERS
        if lean > 0 and (is_regularizer or name in ("learning_rate", "batch_size")):
            change = f"at the upper end of {name}: lower its high bound (now {parameter.high:g})"
        elif lean < 0 and (name == "learning_rate" or _is_of_model(name)):
            change = f"at the lower end of {name}: raise its low bound (now {parameter.low:g})"
        else:
            continue
        yield Advice(field=f"search_space.{name}", message=f"{finding}, {change}{_best_end(evidence, name, lean)}")


def _improving(evidence: Evidence) -> Iterator[Advice]:
    best = [trial.judgement.figures for trial in evidence.best if trial.judgement.figures is not None]
    n_improving = sum(figures.improving for figures in best)
    if len(best) < MIN_EPOCHS or n_improving * 2 <= len(best):
        return
    finding = f"{n_improving} of the best {len(best)} trials still got better when they ended"
    if "epochs" in evidence.definition.search_space:
        yield Advice(field="search_space.epochs", message=f"{finding}: raise the high bound of epochs")
    else:
        n_epochs = evidence.training.epochs
        yield Advice(field="training.epochs", message=f"{finding}: raise epochs (now {n_epochs})")


def _edges(evidence: Evidence) -> Iterator[Advice]:
    if evidence.n_complete < MIN_COMPLETE_FOR_EDGES:
        return
    for name, parameter in evidence.ranges().items():
        positions = relative_positions(parameter, name, evidence.best)
        if len(positions) < len(evidence.best):
            continue  # a conditional parameter, which some of the best trials do not have
        finding = f"the best {len(positions)} trials have {name} at its"
        raised, lowered = _beyond(parameter)
        if min(positions[0], median(positions)) > 1 - EDGE_SHARE and (
            _can_be_raised(name, {name: parameter}) and _may_be(evidence.definition, name, high=raised)
        ):
            message = f"{finding} high bound ({parameter.high:g}): raise it"
            yield Advice(field=f"search_space.{name}", message=message)
        elif max(positions[0], median(positions)) < EDGE_SHARE and (
            parameter.low > 0 and _may_be(evidence.definition, name, low=lowered)
        ):
            yield Advice(field=f"search_space.{name}", message=f"{finding} low bound ({parameter.low:g}): lower it")


def _too_short(evidence: Evidence) -> Iterator[Advice]:
    ended = [trial for trial in evidence.trials if trial.rank is not None or trial.is_pruned]
    short = [trial for trial in ended if 0 < trial.n_epochs < MIN_EPOCHS]
    if len(short) < MIN_CLEAR or len(short) * 2 <= len(evidence.trials):
        return
    finding = (
        f"{len(short)} of {len(evidence.trials)} trials ended within {MIN_EPOCHS - 1} epochs, too soon to be judged"
    )
    definition = evidence.definition
    if sum(trial.is_pruned for trial in short) * 2 > len(short):
        option = definition.pruner.grace_option
        how = "" if option is None else f" ({option})"
        yield Advice(field="pruner", message=f"{finding}: let them go on for longer before they are pruned{how}")
    elif definition.is_user_code:
        yield Advice(field=None, message=f"{finding}: report more steps of each")
    else:
        yield from _longer(evidence, finding)


def _longer(evidence: Evidence, finding: str) -> Iterator[Advice]:
    """Advice to train longer, for complete trials of a built-in training with too few epochs to be judged."""
    epochs = evidence.ranges(lambda name: name == "epochs").get("epochs")
    n_epochs = evidence.training.epochs
    if epochs is not None and epochs.low < MIN_EPOCHS:
        yield Advice(
            field="search_space.epochs", message=f"{finding}: raise the low bound of epochs (now {epochs.low:g})"
        )
    elif "epochs" not in evidence.definition.search_space and n_epochs < MIN_EPOCHS:
        yield Advice(field="training.epochs", message=f"{finding}: raise epochs (now {n_epochs})")
    elif evidence.training.early_stopping is not None:
        yield Advice(field="training.early_stopping", message=f"{finding}: raise early_stopping.patience")


def _is_of_model(name: str) -> bool:
    """Whether a parameter is a field of the model, and so of its size."""
    return training_field(name) == "model"


def _can_be_raised(name: str, ranges: dict[str, NumericParameter]) -> bool:
    return training_field(name) not in RATES or ranges[name].high < RATE_LIMIT


def _beyond(parameter: NumericParameter) -> tuple[float, float]:
    """The next higher high bound and the next lower low bound that are worth a try."""
    if isinstance(parameter, IntParameter) or parameter.step is not None:
        step = parameter.step or 1
        return parameter.high + step, parameter.low - step
    return parameter.high + (parameter.high - parameter.low) / 10, parameter.low / 2


def _may_be(definition: Definition, name: str, **bound: float) -> bool:
    """Whether the definition stays valid with this bound; a training field may have limits."""
    now = definition.search_space[name]
    try:
        parameter = type(now).model_validate({**now.model_dump(), **bound})
    except ValidationError:
        return False
    return not definition_errors(
        definition.model_copy(update={"search_space": definition.search_space | {name: parameter}})
    )


def _bounds(names: list[str], ranges: dict[str, NumericParameter]) -> str:
    return " and ".join(f"{name} (now {ranges[name].low:g} to {ranges[name].high:g})" for name in names)


def _best_end(evidence: Evidence, name: str, sign: int) -> str:
    """How far the best trials go towards the high (`sign` 1) or low (-1) end of a range, as the end of a sentence."""
    values = numeric_values(name, evidence.best)
    if not values:
        return ""
    end, word = (max(values), "above") if sign > 0 else (min(values), "below")
    return f"; none of the best trials is {word} {end:.2g}"


def _count(evidence: Evidence, verdict: str) -> str:
    n = sum(trial.verdict == verdict for trial in evidence.clear)
    return f"{n} of {len(evidence.clear)} trials"
