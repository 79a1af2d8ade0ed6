"""What a worker has to know of the studies whose trials it trains."""

import logging
import threading
from dataclasses import dataclass

from service.client import Client, ClientError, UnreachableError
from service.client.retries import Retries
from service.schemas.results import Study
from service.schemas.study.constraints import Constraint
from service.schemas.study.definition_fields import Objective

logger = logging.getLogger("narrows.worker")

IN_TRAINING_TO_SAMPLE, IN_TRAINING_TO_PRUNE = 1 / 8, 1 / 4
"""Share of a study's trials that one machine trains at a time, where the sampler learns, and where the pruner alone.

More at a time finish sooner, but the sampler knows less then, and the pruner gives up fewer.
"""


@dataclass(frozen=True)
class StudyFacts:
    """Of one study: what its trials are measured by and must keep, the best values when it was asked, how many train at
    once.

    A sampler that learns, and a pruner, do so from what has finished, so a process trains its part of a share of such
    a study at a time, and never more than there are trials.
    """

    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...]
    best: tuple[float, ...] | None
    max_lanes: int


class StudyFactsCache:
    """Asks the service once for each study. Safe for threads."""

    def __init__(self, client: Client, retries: Retries, n_processes: int = 1) -> None:
        """`n_processes` is how many train on this machine."""
        self._n_processes = n_processes
        self._client = client
        self._retries = retries
        self._lock = threading.Lock()
        self._facts: dict[str, StudyFacts | None] = {}

    def facts(self, name: str) -> StudyFacts | None:
        """None for a study that the service does not tell of, or not now."""
        with self._lock:
            if name in self._facts:
                return self._facts[name]
            try:
                facts = facts_of(self._retries(lambda: self._client.study(name)), self._n_processes)
            except UnreachableError as error:
                logger.warning("%s: nothing is known of the study yet: %s", name, error)
                return None
            except ClientError as error:
                logger.warning("%s: nothing is known of the study: %s", name, error)
                facts = None
            self._facts[name] = facts
            return facts


def facts_of(study: Study, n_processes: int) -> StudyFacts:
    definition = study.definition
    best = None if study.best is None or study.best.values is None else tuple(study.best.values)
    if definition.sampler.guided:
        share = IN_TRAINING_TO_SAMPLE
    elif definition.pruner.prunes:
        share = IN_TRAINING_TO_PRUNE
    else:
        share = 1.0
    max_lanes = max(1, round(share * definition.n_trials / n_processes))
    return StudyFacts(tuple(definition.objectives), tuple(definition.constraints), best, max_lanes)
