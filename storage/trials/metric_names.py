"""Names the objectives of studies for Optuna's tools."""

from collections.abc import Sequence

from storage.optuna_seam.objects import METRIC_NAMES_ATTR
from storage.trials.group_commit_storage import GroupCommitStorage


def name_metrics(storage: GroupCommitStorage, study_id: int, metrics: Sequence[str]) -> None:
    """Set the metric names of a study as Optuna does, unless it has them. Does not wait for the commit."""
    names = list(metrics)
    if storage.get_study_system_attrs(study_id).get(METRIC_NAMES_ATTR) != names:
        with storage.deferred():
            storage.set_study_system_attr(study_id, METRIC_NAMES_ATTR, names)
