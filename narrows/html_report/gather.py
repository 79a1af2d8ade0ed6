"""What a report needs from the service."""

import math
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import optuna
from optuna.trial import FrozenTrial

from narrows.html_report.drawn import drawn_numbers
from narrows.html_report.weights import Histogram, histogram_of
from service.client import Client, ServiceError
from service.client.optuna_copy import read, read_only_study
from service.schemas.diagnosis import HUGE, Diagnosis
from service.schemas.final import Final
from service.schemas.results import Curves, Importances, Study, Trial
from service.schemas.rounds import Round

N_BEST = 20
N_CURVES = 200
N_MODELS = 5
N_DIAGNOSED = 10_000
MODEL = "model"
MAX_MODEL_BYTES = 256 * 1024**2


@dataclass(frozen=True)
class Gathered:
    """The content of a report.

    best: the best trials, best first.
    curves, weights: by trial number.
    as_optuna: the study in Optuna's form. It has the trials to draw, which of a large study are a part, and only trials
    in `curves` have intermediate values.
    importance: of the parameters for the first objective; None to leave its plot out.
    """

    study: Study
    trials: Sequence[Trial]
    best: Sequence[Trial]
    curves: dict[int, Curves]
    diagnosis: Diagnosis
    as_optuna: optuna.Study
    weights: dict[int, Histogram] = field(default_factory=dict)
    final: Final | None = None
    importance: Importances | None = None
    rounds: Sequence[Round] = ()

    @property
    def draws_part(self) -> bool:
        """Whether the plots draw only a part of the trials."""
        return len(self.as_optuna.get_trials(deepcopy=False)) < len(self.trials)

    @property
    def has_several_objectives(self) -> bool:
        """Whether the study has more than one objective."""
        return len(self.study.definition.objectives) > 1


def gather(client: Client, name: str) -> Gathered:
    """Fetch a study, with the curves of its best and of its newest trials. Raises ClientError."""
    study = client.study(name)
    diagnosis = client.diagnosis(name, N_DIAGNOSED)  # fetched before the trials, so that they include every judged one
    trials = list(client.trials(name))
    best = _best_trials(client, study)
    numbers = dict.fromkeys(trial.number for trial in (*best, *reversed(trials)) if trial.step is not None)
    curves = {number: client.curves(name, number) for number in list(numbers)[:N_CURVES]}
    drawn = drawn_numbers(study, trials, {*curves, *(trial.number for trial in best)})
    return Gathered(
        study=study,
        trials=trials,
        best=best,
        curves=curves,
        diagnosis=diagnosis,
        as_optuna=_as_optuna(client, name, curves, drawn),
        weights=_weights(client, name, best),
        final=_final(client, name),
        importance=client.importance(name),
        rounds=_rounds(client, name),
    )


def _best_trials(client: Client, study: Study) -> list[Trial]:
    if len(study.definition.objectives) > 1:
        return client.pareto(study.name)[:N_BEST]
    return client.best(study.name, N_BEST)


def _as_optuna(client: Client, name: str, with_curves: Container[int], drawn: Container[int]) -> optuna.Study:
    study, trials = read(client.export(name, "optuna"), lambda number: number in drawn)
    return read_only_study(study, (_as_drawn(trial, has_curve=trial.number in with_curves) for trial in trials))


def _as_drawn(trial: FrozenTrial, *, has_curve: bool) -> FrozenTrial:
    """Replace values that no axis can span by infinity, which plots leave out."""
    kept = trial.intermediate_values if has_curve else {}
    trial.intermediate_values = {step: _spanned(value) for step, value in kept.items()}
    if trial.values is not None:
        trial.values = [_spanned(value) for value in trial.values]
    return trial


def _spanned(value: float) -> float:
    return math.copysign(math.inf, value) if abs(value) > HUGE else value


def _final(client: Client, name: str) -> Final | None:
    """Return the final evaluation, or None without one."""
    try:
        return client.final(name)
    except ServiceError as error:
        if error.code != "final_not_found":
            raise
        return None


def _rounds(client: Client, name: str) -> list[Round]:
    """Return the ranges of every round; nothing for a study that was never narrowed."""
    rounds = client.rounds(name)
    return rounds if len(rounds) > 1 else []


def _weights(client: Client, name: str, best: Sequence[Trial]) -> dict[int, Histogram]:
    """Return the histograms of the best trials whose models were saved, by trial number."""
    histograms: dict[int, Histogram] = {}
    with TemporaryDirectory(prefix="narrows-report-") as folder:
        for trial in best:
            sizes = {artifact.name: artifact.size_bytes for artifact in client.artifacts(name, trial.number)}
            if len(histograms) == N_MODELS or sizes.get(MODEL, MAX_MODEL_BYTES + 1) > MAX_MODEL_BYTES:
                continue
            path = Path(folder) / f"{trial.number}.safetensors"
            client.download_artifact(name, trial.number, MODEL, path)
            histogram = histogram_of(path)
            path.unlink()
            if histogram is not None:
                histograms[trial.number] = histogram
    return histograms
