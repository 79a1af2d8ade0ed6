"""Answers the dashboard's views of large studies, and all plots, from processes of their own with limits."""

import json
import re
from functools import partial

from anyio import CapacityLimiter, to_thread
from optuna.storages import BaseStorage
from starlette.responses import Response
from starlette.types import Scope

from service.errors import InvalidError, NotFoundError, OverloadedError
from service.web.dashboard import view_process
from service.web.dashboard.view_process import ViewRequest
from service.web.own_process import Limits, OwnProcessError, OwnProcesses

VIEW = re.compile(r"/(?:csv|api/studies)/([^/]+?)(/plot/[^/]+|/param_importances)?\n?/*")
"""Paths of views with the study's id. The dashboard ignores slashes at the end of a path, and a newline before them."""
STUDY_ID = re.compile("[0-9]{1,18}")
MAX_TRIALS_IN_SERVICE = 1_000
"""A larger study takes the dashboard more than a second, at each of the page's calls."""
MAX_SHOWN_TRIALS = 10_000
VIEW_LIMITS = Limits(seconds=60.0, memory_bytes=3 * 1024**3)
MAX_STUDY_BYTES = 128 * 1024**2
MAX_PLOT_BYTES = 32 * 1024**2
"""Most bytes of an answer. The service holds it until the client has read it."""
VIEW_PROCESSES = 2
MAX_UNFINISHED = 20
"""Views that are computed or wait for it: an open page asks again and again, whether it has had an answer or not."""


class StudyViews:
    """Computes views of the studies in a storage, at most VIEW_PROCESSES at a time."""

    def __init__(self, storage: BaseStorage, own_processes: OwnProcesses) -> None:
        self._storage = storage
        self._own_processes = own_processes
        self._processes = CapacityLimiter(VIEW_PROCESSES)

    async def answer(self, scope: Scope) -> Response | None:
        """The answer to a request, or None if the dashboard is to answer it in the service.

        Raises NotFoundError, InvalidError, OverloadedError and ShuttingDownError.
        """
        match = VIEW.fullmatch(scope["path"])
        if match is None:
            return None
        if not STUDY_ID.fullmatch(match[1]):
            raise NotFoundError(f"no study of this id: {match[1]}")
        study_id, is_plot = int(match[1]), match[2] is not None
        if not is_plot and await to_thread.run_sync(self._n_trials, study_id) <= MAX_TRIALS_IN_SERVICE:
            return None
        if self._n_unfinished() >= MAX_UNFINISHED:
            raise OverloadedError(f"at most {MAX_UNFINISHED} views of the dashboard are computed or wait for that")
        call = partial(self._view, study_id, is_plot, scope["path"], scope["query_string"].decode("latin-1"))
        return await to_thread.run_sync(call, limiter=self._processes)

    def _n_trials(self, study_id: int) -> int:
        """Number of trials of a study, 0 if there is no such study."""
        try:
            return self._storage.get_n_trials(study_id)
        except KeyError:
            return 0

    def _n_unfinished(self) -> int:
        state = self._processes.statistics()
        return state.borrowed_tokens + state.tasks_waiting

    def _view(self, study_id: int, is_plot: bool, path: str, query: str) -> Response:
        storage = self._storage
        field, shown = ("plot", "plotted") if is_plot else ("study", "shown")
        try:
            name, directions = storage.get_study_name_from_id(study_id), list(storage.get_study_directions(study_id))
            user_attrs, system_attrs = storage.get_study_user_attrs(study_id), storage.get_study_system_attrs(study_id)
            trials = storage.get_all_trials(study_id, deepcopy=False)
        except KeyError as error:
            raise NotFoundError(f"no study of this id: {study_id}") from error
        if len(trials) > MAX_SHOWN_TRIALS:
            problem = (
                f"a study of more than {MAX_SHOWN_TRIALS} trials is not {shown} here: it has {len(trials)}; "
                "GET /v1/studies/STUDY/trials and 'narrows export STUDY' return them all"
            )
            raise InvalidError([(field, problem)])
        max_bytes = MAX_PLOT_BYTES if is_plot else MAX_STUDY_BYTES
        request = ViewRequest(path, query, max_bytes, study_id, name, directions, user_attrs, system_attrs)
        try:
            given = view_process.pickled(request, trials)
            answer = self._own_processes.call(view_process.__name__, given, VIEW_LIMITS)
        except OwnProcessError as error:
            limit = f"{VIEW_LIMITS.seconds:g} s and {VIEW_LIMITS.memory_bytes / 1024**3:g} GiB"
            raise InvalidError(
                [(field, f"this {field} of {len(trials)} trials needs more than {limit}: {error}")]
            ) from error
        head, _, body = answer.partition(b"\n")
        known = json.loads(head)
        if known["n_bytes"] > max_bytes:
            rule = f"a {field} must have at most {max_bytes} bytes here"
            raise InvalidError([(field, f"{rule}: this one of {len(trials)} trials has {known['n_bytes']}")])
        return Response(body, known["status"], known["headers"])
