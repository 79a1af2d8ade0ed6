"""Which trained models are kept with their trials, as the artifact `model`."""

import logging
from collections.abc import Callable

from service.client import Client
from service.client.retries import Retries
from service.schemas.protocol import Lease
from workers.leases.study_facts import StudyFacts, StudyFactsCache
from workers.options import KeepModels

logger = logging.getLogger("narrows.worker")

MODEL = "model"
Values = tuple[float, ...]
"""One for each objective of the study."""


class ModelUploader:
    """Uploads the models of finished trials: all, none, or those that no result known to this process beats.

    Known are the best values at the first request for the study, and the trials that this process has trained since.
    The best trial of a study therefore always has a model, and so have some trials that were beaten later. The model of
    a trial that violates a constraint is not uploaded; that of a trial tested in a final evaluation always is.
    """

    def __init__(self, client: Client, studies: StudyFactsCache, mode: KeepModels, retries: Retries) -> None:
        self._client = client
        self._studies = studies
        self._mode = mode
        self._retries = retries
        self._best: dict[str, list[Values]] = {}

    def upload_if_wanted(
        self, lease: Lease, metrics: dict[str, float], content: Callable[[], bytes], *, is_feasible: bool = True
    ) -> None:
        """Upload the model if it is wanted. An upload that fails is logged, and the trial completes without its model.

        `is_feasible`: the trial violates no constraint that its own code has set.
        """
        if self._mode == "none" or not self._is_wanted(lease, metrics, is_feasible):
            return
        try:
            model = content()
            self._retries(lambda: self._client.upload_artifact(lease.lease_id, MODEL, model))
        except Exception as error:  # noqa: BLE001 - a model is an addition: it does not cost the trial its value
            logger.warning("%s #%d: its model is not kept: %s", lease.study, lease.trial_number, error)

    def _is_wanted(self, lease: Lease, metrics: dict[str, float], is_feasible: bool) -> bool:
        if self._mode == "all" or lease.test:
            return True
        facts = self._studies.facts(lease.study)
        if facts is None:
            return True
        return is_feasible and _is_feasible(facts, metrics) and self._is_unbeaten(lease.study, facts, metrics)

    def _is_unbeaten(self, study: str, facts: StudyFacts, metrics: dict[str, float]) -> bool:
        """Whether no known result beats this one, which is known from now on."""
        if any(objective.metric not in metrics for objective in facts.objectives):
            return True
        values = _to_maximize(facts, tuple(metrics[objective.metric] for objective in facts.objectives))
        known = self._best.setdefault(study, [] if facts.best is None else [_to_maximize(facts, facts.best)])
        if any(_beats(other, values) for other in known):
            return False
        known[:] = [other for other in known if not _beats(values, other)]
        if values not in known:
            known.append(values)
        return True


def _is_feasible(facts: StudyFacts, metrics: dict[str, float]) -> bool:
    """Whether no constraint on these metrics is violated."""
    return all(
        value <= 0
        for constraint in facts.constraints
        if constraint.metric in metrics
        for value in constraint.constraint_values(metrics[constraint.metric]).values()
    )


def _to_maximize(facts: StudyFacts, values: Values) -> Values:
    """The objective values with signs by which larger is better."""
    signs = [1.0 if objective.direction == "maximize" else -1.0 for objective in facts.objectives]
    return tuple(sign * value for sign, value in zip(signs, values, strict=True))


def _beats(values: Values, others: Values) -> bool:
    """Whether values are as good in every objective, and better in one."""
    return values != others and all(a >= b for a, b in zip(values, others, strict=True))
