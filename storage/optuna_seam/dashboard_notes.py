"""Notes as the Optuna dashboard keeps them: in the system attributes of a study."""

from typing import Any

from optuna.storages import BaseStorage


def save_dashboard_note(
    storage: BaseStorage, study_id: int, trial_id: int | None, version: int, body: str
) -> dict[str, Any] | None:
    """Save a note about a trial, or about the study itself if `trial_id` is None.

    Returns None once it is saved. If `version` is not the stored version plus 1, nothing is saved and the stored note
    (`version` and `body`) is returned.
    """
    from optuna_dashboard import (
        _note,  # imports scikit-learn and pandas: only those who look at the dashboard pay for it
    )

    attributes = storage.get_study_system_attrs(study_id)
    if _note.version_is_incremented(attributes, trial_id, version):
        _note.save_note_with_version(storage, study_id, trial_id, version, body)
        return None
    stored: dict[str, Any] = _note.get_note_from_system_attrs(attributes, trial_id)
    return stored
