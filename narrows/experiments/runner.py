"""Runs the studies of an experiment on a service: the variants side by side, the searches one after another."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from narrows.errors import CommandError
from narrows.experiments.definition import Experiment, Search, Variant
from narrows.experiments.figures import EvaluatedModel
from narrows.experiments.saved import Saved, save_and_load
from narrows.experiments.searches import EpochSeconds
from narrows.experiments.studies import study_definition
from service.client import Client
from service.schemas.final import Final
from service.schemas.results import Study, Trial

Answer = TypeVar("Answer", Study, Final)

POLL_SECONDS = 0.2
BEST_TRIAL_ONLY = {"top_k": 1, "n_seeds": 1}
AGAIN = {"force": True, "reason": "to compare the search's best trial with the winner of its confirmation"}


@dataclass(frozen=True)
class Measured:
    """One study of an experiment, searched and evaluated.

    best: the evaluation of its best trial without confirmation, if the experiment measures the winner's bias.
    epoch_seconds: those of the trials; empty for a variant.
    saved: the check of its best model, if the experiment has one.
    """

    variant: Variant
    seed: int
    trials: list[Trial]
    final: Final
    model: EvaluatedModel
    best: Final | None = None
    epoch_seconds: EpochSeconds = field(default_factory=dict)
    saved: Saved | None = None


@dataclass(frozen=True)
class Runner:
    """Runs experiments.

    check: raises CommandError when the service or the workers have ended.
    say: prints a line of progress.
    data_dir: folder of the data sets.
    """

    client: Client
    check: Callable[[], None]
    say: Callable[[str], None]
    data_dir: str
    sleep: Callable[[float], None] = time.sleep

    def run(self, name: str, experiment: Experiment) -> list[list[Measured]]:
        """Return for each variant and then each search what was measured with every seed.

        Raises CommandError when a study has no test figure.
        """
        variants = [*experiment.variants, *experiment.searches]
        by_seed = [list(self._run_seed(name, experiment, seed)) for seed in range(experiment.seeds)]
        return [[measured[place] for measured in by_seed] for place, _ in enumerate(variants)]

    def _run_seed(self, name: str, experiment: Experiment, seed: int) -> Iterator[Measured]:
        yield from self._measure(f"{name}-{seed}-variant", experiment, experiment.variants, seed)
        for number, search in enumerate(experiment.searches):
            yield from self._measure(f"{name}-{seed}-search-{number}", experiment, [search], seed)

    def _measure(self, name: str, experiment: Experiment, group: Sequence[Variant], seed: int) -> Iterator[Measured]:
        studies = [f"{name}-{number}" for number, _ in enumerate(group)]
        for study, variant in zip(studies, group, strict=True):
            self.client.create_study(study_definition(study, experiment, variant, seed))
        best_finals: dict[str, Final] = {}
        for study, variant in zip(studies, group, strict=True):
            self._search(study, variant.label)
            request: dict[str, Any] = experiment.confirmation.model_dump()
            if experiment.winner_bias and isinstance(variant, Search):
                self.client.begin_final(study, BEST_TRIAL_ONLY)
                best_finals[study] = self._evaluated(study, variant.label)
                request |= AGAIN
            self.client.begin_final(study, request)
        for study, variant in zip(studies, group, strict=True):
            is_saved = experiment.saved_model and isinstance(variant, Search)
            saved = save_and_load(self.client, study, self.data_dir) if is_saved else None
            yield self._measured(study, variant, seed, best_finals.get(study), saved)

    def _search(self, study: str, label: str) -> None:
        if self._until(lambda: self.client.study(study)).best is None:
            reasons = {trial.reason for trial in self.client.trials(study) if trial.reason}
            raise CommandError(f"{label}: no trial is complete: {'; '.join(sorted(reasons))}")

    def _evaluated(self, study: str, label: str) -> Final:
        final = self._until(lambda: self.client.final(study))
        if final.test_said is None:
            raise CommandError(f"{label}: no test figure: {final.failure}")
        return final

    def _measured(self, study: str, variant: Variant, seed: int, best: Final | None, saved: Saved | None) -> Measured:
        final = self._evaluated(study, variant.label)
        assert final.test_said is not None, "_evaluated returns only evaluations with a test score"
        assert final.tested_trial is not None, "every test score belongs to a trial"
        self.say(f"{variant.label}, seed {seed}: test accuracy {final.test_said.accuracy:.4f}")
        tested = self.client.trial(final.linked_study, final.tested_trial)
        curves = self.client.curves(final.linked_study, final.tested_trial).metrics["validation_loss"]
        model = EvaluatedModel(tested.metrics, [value for value in curves if value is not None], final.test_said)
        trials = list(self.client.trials(study))
        timed = trials if isinstance(variant, Search) else []
        epoch_seconds = {trial.number: self._epoch_seconds(study, trial) for trial in timed}
        return Measured(variant, seed, trials, final, model, best, epoch_seconds, saved)

    def _epoch_seconds(self, study: str, trial: Trial) -> Sequence[float | None]:
        return self.client.curves(study, trial.number).metrics.get("seconds", [])

    def _until(self, fetch: Callable[[], Answer]) -> Answer:
        while True:
            self.check()
            answer = fetch()
            if isinstance(answer, Study) and answer.state == "paused" and answer.state_reason is not None:
                raise CommandError(f"{answer.name} is paused: {answer.state_reason}")
            if answer.state not in ("running", "paused"):
                return answer
            self.sleep(POLL_SECONDS)
