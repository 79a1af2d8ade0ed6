"""Imports as clients see them."""

from service.errors import ImportNotFoundError
from service.schemas.imports import Import, ImportList, ImportWithTrials
from service.study.live_study import LiveStudy
from storage import ImportRecord


def import_list(live: LiveStudy) -> ImportList:
    """All imports of a study, oldest first, without their trials."""
    records = live.store.imports.of_study(live.record.study_id)
    return ImportList(study=live.record.name, imports=[import_view(record) for record in records])


def import_view(record: ImportRecord) -> Import:
    """One import without its trials."""
    return Import.model_validate(record, from_attributes=True)


def find_import(live: LiveStudy, number: int) -> ImportWithTrials:
    """One import with its trials. Raises ImportNotFoundError."""
    records = live.store.imports.of_study(live.record.study_id)
    if number >= len(records):
        raise ImportNotFoundError(f"study {live.record.name} has no import {number}")
    return ImportWithTrials.model_validate(records[number], from_attributes=True)
