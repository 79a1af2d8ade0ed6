"""The version of a study's trials, by which a caller knows whether an answer of before still holds."""

import secrets

from service.study.live_study import LiveStudy

_RUN = secrets.token_hex(4)


def version_of(live: LiveStudy) -> str:
    """A text that changes with every change of the study's trials, reports and events, and with each start.

    Read it before the data: then an answer may be newer than its version, but never older.
    """
    study_id = live.record.study_id
    n_changes = live.store.optuna.n_changes(study_id)
    return f"{_RUN}-{study_id}-{n_changes}-{live.events.n_events}-{len(live.late_results)}"
