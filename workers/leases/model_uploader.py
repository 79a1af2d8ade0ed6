"""Which trained models are kept with their trials, as the artifact `model`."""

import logging
from collections.abc import Callable

from service.client import Client, ClientError
from service.client.retries import Retries
from service.schemas.protocol import Lease
from workers.leases.study_facts import StudyFacts, StudyFactsCache
from workers.options import KeepModels

logger = logging.getLogger("narrows.worker")

MODEL = "model"
Values = tuple[float, ...]


class ModelUploader:
    """Uploads the models of finished trials: all, none, or those that are as good as any that this process knows of.

    It knows of the best when the study was first asked for and of what it trained since. So the best trial of a study
    always has its model, and some that were beaten later have theirs. One that violates a constraint is never good, one
    that is tested in a final evaluation always.
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
        """Upload the model if it is to be kept; without success its trial completes all the same.

        `is_feasible`: the trial's own code has set no constraint that it violates.
        """
        if self._mode == "none" or not self._is_wanted(lease, metrics, is_feasible):
            return
        try:
            model = content()
            self._retries(lambda: self._client.upload_artifact(lease.lease_id, MODEL, model))
        except (ClientError, OSError) as error:
            logger.warning("%s #%d: its model is not kept: %s", lease.study, lease.trial_number, error)

    def _is_wanted(self, lease: Lease, metrics: dict[str, float], is_feasible: bool) -> bool:
        if self._mode == "all" or lease.test:
            return True
        facts = self._studies.facts(lease.study)
        if facts is None:
            return True
        return is_feasible and _keeps(facts, metrics) and self._is_good(lease.study, facts, metrics)

    def _is_good(self, study: str, facts: StudyFacts, metrics: dict[str, float]) -> bool:
        """Whether nothing known is better in every objective, and better at all; it is known from now on."""
        if any(objective.metric not in metrics for objective in facts.objectives):
            return True
        values = _upwards(facts, tuple(metrics[objective.metric] for objective in facts.objectives))
        known = self._best.setdefault(study, [] if facts.best is None else [_upwards(facts, facts.best)])
        if any(_beats(other, values) for other in known):
            return False
        known[:] = [other for other in known if not _beats(values, other)]
        if values not in known:
            known.append(values)
        return True


def _keeps(facts: StudyFacts, metrics: dict[str, float]) -> bool:
    """Whether no constraint is violated, as far as these metrics tell."""
    known = [one.distances(metrics[one.metric]) for one in facts.constraints if one.metric in metrics]
    return all(distance <= 0 for distances in known for distance in distances.values())


def _upwards(facts: StudyFacts, values: Values) -> Values:
    """So that larger is better."""
    signs = [1.0 if objective.direction == "maximize" else -1.0 for objective in facts.objectives]
    return tuple(sign * value for sign, value in zip(signs, values, strict=True))


def _beats(one: Values, other: Values) -> bool:
    return one != other and all(a >= b for a, b in zip(one, other, strict=True))
