import math
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import optuna
from optuna.trial import FrozenTrial

from narrows.html_report.rounds_plot import Bounds, Round
from narrows.html_report.weights import Histogram, histogram_of
from service.client import Client, ServiceError
from service.client.optuna_copy import read, read_only_study
from service.schemas.diagnosis import HUGE, Diagnosis
from service.schemas.final import Final
from service.schemas.results import Curves, Study, Trial

N_BEST = 20
N_CURVES = 200
N_MODELS = 5
N_DIAGNOSED = 10_000
MODEL = "model"
MAX_MODEL_BYTES = 256 * 1024**2


@dataclass(frozen=True)
class Gathered:
    """All that a report tells: `best` are the best trials, best first, `curves` are by number of the trial.

    `as_optuna` is the study as Optuna has it, with intermediate values of the trials with curves alone.
    """

    study: Study
    trials: Sequence[Trial]
    best: Sequence[Trial]
    curves: dict[int, Curves]
    diagnosis: Diagnosis
    as_optuna: optuna.Study
    weights: dict[int, Histogram] = field(default_factory=dict)
    final: Final | None = None
    rounds: Sequence[Round] = ()

    @property
    def has_several_objectives(self) -> bool:
        return len(self.study.definition.objectives) > 1


def gather(client: Client, name: str) -> Gathered:
    """Ask the service for a study, with curves of the best and of the newest trials. Raises ClientError."""
    study = client.study(name)
    diagnosis = client.diagnosis(name, N_DIAGNOSED)  # before the trials, among which are all that it judges
    trials = list(client.trials(name))
    best = best_trials(client, study)
    numbers = dict.fromkeys(trial.number for trial in (*best, *reversed(trials)) if trial.step is not None)
    curves = {number: client.curves(name, number) for number in list(numbers)[:N_CURVES]}
    return Gathered(
        study=study,
        trials=trials,
        best=best,
        curves=curves,
        diagnosis=diagnosis,
        as_optuna=_as_optuna(client, name, curves),
        weights=_weights(client, name, best),
        final=_final(client, name),
        rounds=_rounds(client, name),
    )


def best_trials(client: Client, study: Study) -> list[Trial]:
    if len(study.definition.objectives) > 1:
        return client.pareto(study.name)[:N_BEST]
    return client.best(study.name, N_BEST)


def _as_optuna(client: Client, name: str, drawn: Container[int]) -> optuna.Study:
    study, trials = read(client.export(name, "optuna"))
    return read_only_study(study, (_as_drawn(one, has_curve=one.number in drawn) for one in trials))


def _as_drawn(trial: FrozenTrial, *, has_curve: bool) -> FrozenTrial:
    """Values that no axis can span are infinite, which plots leave out."""
    kept = trial.intermediate_values if has_curve else {}
    trial.intermediate_values = {step: _spanned(value) for step, value in kept.items()}
    if trial.values is not None:
        trial.values = [_spanned(value) for value in trial.values]
    return trial


def _spanned(value: float) -> float:
    return math.copysign(math.inf, value) if abs(value) > HUGE else value


def _final(client: Client, name: str) -> Final | None:
    """The final evaluation, if there is one."""
    try:
        return client.final(name)
    except ServiceError as error:
        if error.code != "final_not_found":
            raise
        return None


def _rounds(client: Client, name: str) -> list[Round]:
    """The ranges of every round of a study that was narrowed."""
    rounds = client.rounds(name)
    if len(rounds) == 1:
        return []
    bounds = [{key: Bounds(low=now.low, high=now.high) for key, now in one.ranges.items()} for one in rounds]
    return [Round(round=one.round, ranges=ranges) for one, ranges in zip(rounds, bounds, strict=True)]


def _weights(client: Client, name: str, best: Sequence[Trial]) -> dict[int, Histogram]:
    """Histograms of the best trials that have kept their models, by number."""
    found: dict[int, Histogram] = {}
    with TemporaryDirectory(prefix="narrows-report-") as folder:
        for trial in best:
            sizes = {artifact.name: artifact.size_bytes for artifact in client.artifacts(name, trial.number)}
            if len(found) == N_MODELS or sizes.get(MODEL, MAX_MODEL_BYTES + 1) > MAX_MODEL_BYTES:
                continue
            path = Path(folder) / f"{trial.number}.safetensors"
            client.download_artifact(name, trial.number, MODEL, path)
            histogram = histogram_of(path)
            path.unlink()
            if histogram is not None:
                found[trial.number] = histogram
    return found
