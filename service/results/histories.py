"""How the best value of studies has come on, in a few numbers each, for a list of studies."""

import threading
from collections import OrderedDict

from service.results.progress import ENDED, best_steps
from service.results.study_version import version_of
from service.study.live_study import LiveStudy

MAX_KEPT = 1_000


class Histories:
    """Computes histories, and keeps the latest until their studies change."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[int, int], tuple[str, list[float]]] = OrderedDict()
        """By study and number of points: the version of the study, and its history."""

    def of(self, live: LiveStudy, n_points: int) -> list[float]:
        """See `history`."""
        key, version = (live.record.study_id, n_points), version_of(live)
        with self._lock:
            known = self._kept.get(key)
        if known is not None and known[0] == version:
            return known[1]
        found = history(live, n_points)
        with self._lock:
            self._kept[key] = (version, found)
            self._kept.move_to_end(key)
            if len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        return found


def history(live: LiveStudy, n_points: int) -> list[float]:
    """The best value of the first objective so far, at `n_points` at most of the ended trials in their order."""
    ended = live.study.get_trials(deepcopy=False, states=ENDED)
    steps = best_steps(ended, range(len(ended)), 0, live.definition.objectives[0].direction)
    if not steps:
        return []
    values: list[float] = []
    first, last = int(steps[0][0]), len(ended) - 1
    n_values = min(n_points, last - first + 1)
    index = 0
    for point in range(n_values):
        place = first + round(point * (last - first) / max(1, n_values - 1))
        while index + 1 < len(steps) and steps[index + 1][0] <= place:
            index += 1
        values.append(steps[index][1])
    return values
