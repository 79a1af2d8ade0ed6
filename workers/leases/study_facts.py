"""Facts about studies that a worker has asked the service for, each study once."""

import logging
import threading
from dataclasses import dataclass

from service.client import Client, ClientError, UnreachableError
from service.client.retries import Retries
from service.schemas.results import Study
from service.schemas.study.constraints import Constraint
from service.schemas.study.definition_fields import Objective
from workers.scheduling.lane_cap import lane_cap

logger = logging.getLogger("narrows.worker")


@dataclass(frozen=True)
class StudyFacts:
    """Facts about a study: objectives, constraints, best values at the time of the request, maximum number of lanes.

    best: one value for each objective; None if the service names no best trial.
    max_lanes: trials of the study that one process may train at a time.
    """

    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...]
    best: tuple[float, ...] | None
    max_lanes: int


class StudyFactsCache:
    """Requests each study once. Safe for threads."""

    def __init__(self, client: Client, retries: Retries, n_processes: int = 1) -> None:
        """`n_processes` is the number of worker processes on this machine."""
        self._n_processes = n_processes
        self._client = client
        self._retries = retries
        self._lock = threading.Lock()
        self._facts: dict[str, StudyFacts | None] = {}

    def facts(self, name: str) -> StudyFacts | None:
        """Facts about a study, or None if the service refuses. If it is unreachable, the next call asks it again."""
        with self._lock:
            if name in self._facts:
                return self._facts[name]
            try:
                facts = facts_of(self._retries(lambda: self._client.study(name)), self._n_processes)
            except UnreachableError as error:
                logger.warning("%s: cannot ask for the study yet: %s", name, error)
                return None
            except ClientError as error:
                logger.warning("%s: cannot ask for the study: %s", name, error)
                facts = None
            self._facts[name] = facts
            return facts


def facts_of(study: Study, n_processes: int) -> StudyFacts:
    """Facts about a study, for one of `n_processes` worker processes that train its trials on this machine."""
    definition = study.definition
    best = None if study.best is None or study.best.values is None else tuple(study.best.values)
    max_lanes = lane_cap(definition, n_processes)
    return StudyFacts(tuple(definition.objectives), tuple(definition.constraints), best, max_lanes)
