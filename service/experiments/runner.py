"""Run an experiment's studies on a service: the variants side by side, the searches one after another."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from service.cli.errors import CommandError
from service.client import Client
from service.experiments.definition import Experiment, Variant, study_definition
from service.experiments.figures import Model
from service.schemas.final import Final
from service.schemas.results import Study, Trial

Answer = TypeVar("Answer", Study, Final)

POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Measured:
    """A study of an experiment, searched and evaluated."""

    one: Variant
    trials: list[Trial]
    final: Final
    model: Model


@dataclass(frozen=True)
class Runner:
    """`check` raises CommandError when the service or the workers have ended."""

    client: Client
    check: Callable[[], None]
    say: Callable[[str], None]
    sleep: Callable[[float], None] = time.sleep

    def run(self, name: str, experiment: Experiment) -> tuple[list[Measured], list[Measured]]:
        """The variants and the searches, measured. Raises CommandError when one of them has no test figure."""
        variants = list(self._measure(name, experiment, experiment.variants, first=0))
        searches: list[Measured] = []
        for search in experiment.searches:
            searches += self._measure(name, experiment, [search], first=len(variants) + len(searches))
        return variants, searches

    def _measure(self, name: str, experiment: Experiment, group: Sequence[Variant], first: int) -> Iterator[Measured]:
        studies = [f"{name}-{number}" for number, _ in enumerate(group, start=first)]
        for study, one in zip(studies, group, strict=True):
            self.client.create_study(study_definition(study, experiment, one))
        for study, one in zip(studies, group, strict=True):
            self._search(study, one.label)
            self.client.begin_final(study, {"top_k": 1, "n_seeds": experiment.n_seeds})
        for study, one in zip(studies, group, strict=True):
            yield self._measured(study, one)

    def _search(self, study: str, label: str) -> None:
        if self._until(lambda: self.client.study(study)).best is None:
            reasons = {trial.reason for trial in self.client.trials(study) if trial.reason}
            raise CommandError(f"{label}: no trial is complete: {'; '.join(sorted(reasons))}")

    def _measured(self, study: str, one: Variant) -> Measured:
        final = self._until(lambda: self.client.final(study))
        if final.test_said is None or final.tested_trial is None:
            raise CommandError(f"{one.label}: no test figure: {final.failure}")
        self.say(f"{one.label}: test accuracy {final.test_said.accuracy:.4f}")
        tested = self.client.trial(final.linked_study, final.tested_trial)
        curves = self.client.curves(final.linked_study, final.tested_trial).metrics["validation_loss"]
        model = Model(tested.metrics, [value for value in curves if value is not None], final.test_said)
        return Measured(one, list(self.client.trials(study)), final, model)

    def _until(self, fetch: Callable[[], Answer]) -> Answer:
        while True:
            self.check()
            found = fetch()
            if found.state not in ("running", "paused"):
                return found
            self.sleep(POLL_SECONDS)
