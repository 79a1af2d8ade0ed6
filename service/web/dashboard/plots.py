"""Answers the dashboard's plots from a process of their own, with limits on trials, time and memory."""

import json
import re
from functools import partial

from anyio import CapacityLimiter, to_thread
from optuna.storages import BaseStorage
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.errors import InvalidError, NotFoundError
from service.web.dashboard import plot_process
from service.web.dashboard.plot_process import PlotRequest
from service.web.own_process import Limits, OwnProcessError, call_apart

PLOT = re.compile(r"/api/studies/([0-9]{1,18})/(plot/[a-z_]+|param_importances)/?")
MAX_PLOTTED_TRIALS = 10_000
PLOT_LIMITS = Limits(seconds=60.0, memory_bytes=3 * 1024**3)
PLOT_PROCESSES = 2


class Plots:
    """Computes plots of the studies in a storage, at most PLOT_PROCESSES at a time."""

    def __init__(self, storage: BaseStorage) -> None:
        self._storage = storage
        self._processes: CapacityLimiter | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request whose path matches PLOT. Raises NotFoundError and InvalidError."""
        match = PLOT.fullmatch(scope["path"])
        assert match is not None, "only such paths come here"
        if self._processes is None:  # it belongs to the event loop that runs now
            self._processes = CapacityLimiter(PLOT_PROCESSES)
        call = partial(self._plot, int(match[1]), match[2], scope["query_string"].decode("latin-1"))
        response = await to_thread.run_sync(call, limiter=self._processes)
        await response(scope, receive, send)

    def _plot(self, study_id: int, view: str, query: str) -> Response:
        try:
            name = self._storage.get_study_name_from_id(study_id)
            trials = self._storage.get_all_trials(study_id, deepcopy=False)
            request = PlotRequest(view, query, name, list(self._storage.get_study_directions(study_id)))
        except KeyError as error:
            raise NotFoundError(f"no study of this id: {study_id}") from error
        if len(trials) > MAX_PLOTTED_TRIALS:
            problem = f"a study of more than {MAX_PLOTTED_TRIALS} trials is not plotted here: it has {len(trials)}"
            raise InvalidError([("plot", problem)])
        try:
            answer = call_apart(plot_process.__name__, plot_process.pickled(request, trials), PLOT_LIMITS)
        except OwnProcessError as error:
            limit = f"{PLOT_LIMITS.seconds:g} s and {PLOT_LIMITS.memory_bytes / 1024**3:g} GiB"
            raise InvalidError(
                [("plot", f"this plot of {len(trials)} trials needs more than {limit}: {error}")]
            ) from error
        head, _, body = answer.partition(b"\n")
        known = json.loads(head)
        return Response(body, known["status"], media_type=known["type"])
