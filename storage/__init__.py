"""Storage of studies, trials and all data about them, in a database and a blob store.

The names of this file are the public API: the service imports nothing else of the package. The package imports
SQLAlchemy, Alembic and Optuna, and neither FastAPI nor PyTorch nor `service`, `workers` or `narrows`. Its layers, from
the top: store, trials, database, writing, tables and blobs, then records and the rest. `tests/docs/test_layers.py`
holds these rules.
"""

from storage.batch import Commit
from storage.blobs.blob_store import BlobFile, BlobStore
from storage.blobs.folder_store import FolderStore
from storage.blobs.opening import open_artifacts
from storage.database.opening import open_engine, parse_url
from storage.errors import (
    DATABASE_ERRORS,
    BlobMissingError,
    BlobStoreError,
    BlobStoreFullError,
    DatabaseOwnedError,
    DatabaseUnavailableError,
    DuplicateStudyError,
    InvalidArtifactsError,
    InvalidDatabaseUrlError,
    StorageClosedError,
    StorageError,
    StorageFailedError,
)
from storage.optuna_seam.cmaes import SafeCmaEsSampler
from storage.optuna_seam.dashboard_notes import save_dashboard_note
from storage.optuna_seam.objects import (
    CONSTRAINT_ATTR_PREFIX,
    FIXED_PARAMS_ATTR,
    RUNG_ATTR_PREFIX,
    FrozenStudy,
    bracket_of_trial,
    copy_study,
    count_brackets,
    filtered_study,
    has_brackets,
    set_trial_id,
    storage_of,
    study_id_of,
    trial_id_of,
)
from storage.records import (
    ArtifactRecord,
    Decision,
    EpochRecord,
    FinalRecord,
    FinalState,
    HeldTime,
    ImportRecord,
    LeaseRecord,
    Outcome,
    ResultRecord,
    RoundRecord,
    SessionRecord,
    StudyRecord,
    StudyState,
    TokenRecord,
    TrialStateName,
    WorkerRecord,
)
from storage.store import Store
from storage.trials.group_commit_storage import GroupCommitStorage
from storage.trials.metric_names import name_metrics
from storage.trials.step_values import StepValues
from storage.waiting_rule import wait_rule
