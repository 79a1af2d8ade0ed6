"""MLflow tracking: an experiment for each study, a run for each trial."""

import importlib
import os
import re
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from service.schemas.fields import Scalar
from service.schemas.protocol import Lease
from workers.sinks.metric_fanout import LeaseEnded, MetricsReported

DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
"""Environment variables of MLflow, where they are not set: no telemetry, and short waits for a server that is away."""
STATUS = {"COMPLETE": "FINISHED", "PRUNED": "KILLED", "FAIL": "FAILED", "WAITING": "SCHEDULED"}
STUDY, TRIAL, STATE, ATTEMPT = "narrows.study", "narrows.trial", "narrows.state", "narrows.attempt"
MAX_CHARACTERS = 500


@dataclass
class _Run:
    run_id: str
    last_steps: dict[str, int] = field(default_factory=dict)
    params: set[str] = field(default_factory=set)


class MLflow:
    """Writes one run for each trial, on whichever workers it trains. A step that is repeated is not written again."""

    name = "MLflow"

    def __init__(self, uri: str) -> None:
        for variable, value in DEFAULTS.items():
            os.environ.setdefault(variable, value)
        tracking = importlib.import_module("mlflow.tracking")
        self._entities: Any = importlib.import_module("mlflow.entities")
        self._client: Any = tracking.MlflowClient(uri)
        if not uri.startswith("http"):
            with suppress(Exception):  # the first report says what is wrong
                self._client.search_experiments(max_results=1)  # creates the tables before trials train
        self._experiments: dict[str, str] = {}
        self._runs: dict[str, _Run] = {}

    def write(self, event: MetricsReported | LeaseEnded) -> None:
        """Log an event to the trial's run. Raises what MLflow raises."""
        if isinstance(event, MetricsReported):
            self._log(event, {name: (value, event.step) for name, value in event.metrics.items()})
        elif event.state is None:
            self._runs.pop(event.lease.lease_id, None)
        else:
            self._end(event, event.state)

    def close(self) -> None:
        """Nothing is buffered."""

    def _end(self, event: LeaseEnded, state: str) -> None:
        final = {} if state == "WAITING" else {f"final/{name}": (value, 0) for name, value in event.metrics.items()}
        run = self._log(event, final)
        self._client.set_tag(run.run_id, STATE, state)
        if state == "WAITING":
            self._client.update_run(run.run_id, STATUS[state])
        else:
            self._client.set_terminated(run.run_id, STATUS[state])
        self._runs.pop(event.lease.lease_id, None)

    def _log(self, event: MetricsReported | LeaseEnded, values: dict[str, tuple[float, int]]) -> _Run:
        run = self._run(event.lease)
        now = int(time.time() * 1000)
        named = {_key(name): value for name, value in values.items()}
        new = {name: value for name, value in named.items() if value[1] > run.last_steps.get(name, -1)}
        metrics = [self._entities.Metric(name, value, now, step) for name, (value, step) in new.items()]
        params = {_key(name): value for name, value in event.params.items() if _key(name) not in run.params}
        new_params = [self._entities.Param(name, _text(value)) for name, value in params.items()]
        if metrics or new_params:
            self._client.log_batch(run.run_id, metrics=metrics, params=new_params)
        run.last_steps |= {name: step for name, (_, step) in new.items()}
        run.params |= params.keys()
        return run

    def _run(self, lease: Lease) -> _Run:
        if lease.lease_id not in self._runs:
            experiment = self._experiment(lease.study)
            self._runs[lease.lease_id] = self._earlier_run(lease, experiment) or self._new_run(lease, experiment)
        return self._runs[lease.lease_id]

    def _experiment(self, study: str) -> str:
        if study not in self._experiments:
            found = self._client.get_experiment_by_name(study)
            self._experiments[study] = self._new_experiment(study) if found is None else found.experiment_id
        return self._experiments[study]

    def _new_experiment(self, study: str) -> str:
        """Create the experiment, unless another worker has just done so."""
        try:
            created: str = self._client.create_experiment(study)
        except Exception:
            found = self._client.get_experiment_by_name(study)
            if found is None:
                raise
            return str(found.experiment_id)
        return created

    def _new_run(self, lease: Lease, experiment: str) -> _Run:
        tags = {STUDY: lease.study, TRIAL: str(lease.trial_number), STATE: "RUNNING", ATTEMPT: str(lease.attempt)}
        run = self._client.create_run(experiment, tags=tags, run_name=f"{lease.study} #{lease.trial_number}")
        return _Run(run.info.run_id)

    def _earlier_run(self, lease: Lease, experiment: str) -> _Run | None:
        """The unfinished run of an earlier attempt, with the steps and parameters that it has.

        None for a trial that begins: an unfinished run of its number may belong to a deleted study of the same name.
        """
        if lease.attempt == 1 and lease.resume is None:
            return None
        query = f"tags.`{TRIAL}` = '{lease.trial_number}' and tags.`{STUDY}` = '{lease.study}'"
        runs = self._client.search_runs([experiment], query, max_results=1, order_by=["attributes.start_time DESC"])
        if not runs or runs[0].data.tags.get(STATE) not in ("WAITING", "RUNNING"):
            return None
        run_id = runs[0].info.run_id
        self._client.update_run(run_id, "RUNNING")
        for name, value in ((STATE, "RUNNING"), (ATTEMPT, str(lease.attempt))):
            self._client.set_tag(run_id, name, value)
        histories = {name: self._client.get_metric_history(run_id, name) for name in runs[0].data.metrics}
        last_steps = {name: max(metric.step for metric in history) for name, history in histories.items()}
        return _Run(run_id, last_steps, set(runs[0].data.params))


def _key(name: str) -> str:
    """A name with only the characters that MLflow allows: letters, digits and some signs."""
    return re.sub(r"[^\w\-./ ]", "_", name)[:250]


def _text(value: Scalar) -> str:
    return "null" if value is None else str(value)[:MAX_CHARACTERS]
