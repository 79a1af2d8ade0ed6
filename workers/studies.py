"""What a worker has to know of the studies whose trials it trains."""

import logging
import threading
from dataclasses import dataclass

from service.client import Client, ClientError, UnreachableError
from service.client.retries import Retries
from service.schemas.definition import Objective
from service.schemas.results import Study

logger = logging.getLogger("narrows.worker")

UNGUIDED = ("random", "qmc", "grid", "brute_force")
"""Samplers that do not look at finished trials."""
TRIALS_PER_LANE = 16


@dataclass(frozen=True)
class Facts:
    """Of one study: what its trials are measured by, the best values when it was asked, and how many train at once.

    A sampler that learns, and a pruner, do so from what has finished, so a process trains at most a sixteenth of such
    a study at a time, and never more than there are trials.
    """

    objectives: tuple[Objective, ...]
    best: tuple[float, ...] | None
    most_lanes: int


class Studies:
    """Asks the service once for each study. Safe for threads."""

    def __init__(self, client: Client, retries: Retries) -> None:
        self._client = client
        self._retries = retries
        self._lock = threading.Lock()
        self._facts: dict[str, Facts | None] = {}

    def facts(self, name: str) -> Facts | None:
        """None for a study that the service does not tell of, or not now."""
        with self._lock:
            if name in self._facts:
                return self._facts[name]
            try:
                facts = facts_of(self._retries(lambda: self._client.study(name)))
            except UnreachableError as error:
                logger.warning("%s: nothing is known of the study yet: %s", name, error)
                return None
            except ClientError as error:
                logger.warning("%s: nothing is known of the study: %s", name, error)
                facts = None
            self._facts[name] = facts
            return facts


def facts_of(study: Study) -> Facts:
    definition = study.definition
    guided = definition.sampler.name not in UNGUIDED or definition.pruner.name != "none"
    best = None if study.best is None or study.best.values is None else tuple(study.best.values)
    most_lanes = max(1, definition.n_trials // TRIALS_PER_LANE) if guided else definition.n_trials
    return Facts(tuple(definition.objectives), best, most_lanes)
