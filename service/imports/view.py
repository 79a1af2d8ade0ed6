"""Imports as clients see them."""

from typing import Any

from service.errors import ImportNotFoundError
from service.schemas.imports import Import, ImportedTrial, ImportList, ImportWithTrials, LeftOut
from service.study.live_study import LiveStudy
from storage import ImportRecord


def import_list(live: LiveStudy) -> ImportList:
    """All imports of a study, oldest first, without their trials."""
    records = live.store.imports.of_study(live.record.study_id)
    return ImportList(study=live.record.name, imports=[import_view(record) for record in records])


def import_view(record: ImportRecord) -> Import:
    """One import without its trials."""
    return Import(**_fields(record))


def find_import(live: LiveStudy, number: int) -> ImportWithTrials:
    """One import with its trials. Raises ImportNotFoundError."""
    records = live.store.imports.of_study(live.record.study_id)
    if number >= len(records):
        raise ImportNotFoundError(f"study {live.record.name} has no import {number}")
    record = records[number]
    return ImportWithTrials(**_fields(record), trials=[ImportedTrial.model_validate(one) for one in record.trials])


def _fields(record: ImportRecord) -> dict[str, Any]:
    return {
        "number": record.number,
        "source": record.source,
        "requested_by": record.requested_by,
        "imported_at": record.imported_at,
        "n_trials": len(record.trials),
        "left_out": LeftOut(**record.left_out),
    }
