"""Our own tables. They refer to ids in Optuna's tables of the same database, but never change Optuna's schema.

A change here needs a migration in `storage/migrations/versions`.
"""

from sqlalchemy import BigInteger, Column, Double, Index, Integer, MetaData, String, Table, Text

from storage.tables.columns import Floats, JsonText, UtcDateTime

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)

studies = Table(
    "narrows_studies",
    metadata,
    Column("name", String(128), primary_key=True),
    # Never null, because the row is committed together with Optuna's; the first migration allows null.
    Column("study_id", Integer, unique=True),
    Column("definition", JsonText, nullable=False),
    Column("state", String(16), nullable=False),
    Column("n_trials", BigInteger, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    Column("finished_reason", Text),
    Column("state_reason", Text),
    Column("resumed_at", UtcDateTime),
    Column("max_total_epochs", BigInteger),
    Column("max_device_hours", Double),
)

leases = Table(
    "narrows_leases",
    metadata,
    Column("lease_id", String(64), primary_key=True),
    Column("study_id", Integer, nullable=False, index=True),
    Column("trial_id", Integer, nullable=False, index=True),
    Column("trial_number", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("claim_id", String(64), nullable=False, index=True),
    Column("worker_id", String(200), nullable=False),
    Column("granted_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("outcome", String(16)),
    Column("reason", Text),
    Column("state", String(16)),
)

epochs = Table(
    "narrows_epochs",
    metadata,
    Column("trial_id", Integer, primary_key=True, autoincrement=False),
    Column("step", BigInteger, primary_key=True, autoincrement=False),
    Column("study_id", Integer, nullable=False),
    Column("lease_id", String(64), nullable=False),
    Column("metrics", Floats, nullable=False),
    Column("decision", String(16), nullable=False),
    Index("ix_narrows_epochs_study_id", "study_id"),
)

results = Table(
    "narrows_results",
    metadata,
    Column("trial_id", Integer, primary_key=True, autoincrement=False),
    Column("study_id", Integer, nullable=False, index=True),
    Column("state", String(16), nullable=False),
    Column("values", Floats),
    Column("metrics", Floats, nullable=False),
    Column("reason", Text),
)

artifacts = Table(
    "narrows_artifacts",
    metadata,
    Column("trial_id", Integer, primary_key=True, autoincrement=False),
    Column("name", String(128), primary_key=True),
    Column("study_id", Integer, nullable=False, index=True),
    Column("lease_id", String(64), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("step", BigInteger),
    Column("size_bytes", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("blob_id", String(32), nullable=False, unique=True),
    Column("created_at", UtcDateTime, nullable=False),
)

loose_blobs = Table(
    "narrows_loose_blobs",
    metadata,
    # Blobs without an artifact: being uploaded, or about to be removed. Those that are here at a start are removed.
    Column("blob_id", String(32), primary_key=True),
    Column("since", UtcDateTime, nullable=False),
)

workers = Table(
    "narrows_workers",
    metadata,
    Column("worker_id", String(200), primary_key=True),
    Column("host", String(200), nullable=False),
    Column("device", String(200), nullable=False),
    Column("n_lanes", Integer, nullable=False),
    Column("first_seen_at", UtcDateTime, nullable=False),
    Column("last_seen_at", UtcDateTime, nullable=False, index=True),
    Column("narrows_version", String(100)),
    Column("torch_version", String(100)),
)

tokens = Table(
    "narrows_tokens",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("scopes", JsonText, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    Column("last_used_at", UtcDateTime),
)

sessions = Table(
    "narrows_sessions",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("token_name", String(128), nullable=False),
    Column("seal", String(64), nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("ends_at", UtcDateTime, nullable=False),
)

finals = Table(
    "narrows_finals",
    metadata,
    Column("study_id", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("linked_study_id", Integer, nullable=False, unique=True),
    Column("state", String(16), nullable=False),
    Column("plan", JsonText, nullable=False),
    Column("requested_at", UtcDateTime, nullable=False),
    Column("requested_by", String(200), nullable=False),
    Column("reason", Text),
    Column("ranking", JsonText),
    Column("test", JsonText),
    Column("failure", Text),
    Column("ended_at", UtcDateTime),
)

rounds = Table(
    "narrows_rounds",
    metadata,
    Column("study_id", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("first_trial", Integer, nullable=False),
    Column("began_at", UtcDateTime, nullable=False),
    Column("requested_by", String(200), nullable=False),
    Column("keep_top", Integer, nullable=False),
    Column("margin", Double, nullable=False),
    Column("kept", JsonText, nullable=False),
    Column("ranges", JsonText, nullable=False),
    Column("note", Text),
)

imports = Table(
    "narrows_imports",
    metadata,
    Column("study_id", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("source", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("imported_at", UtcDateTime, nullable=False),
    Column("requested_by", String(200), nullable=False),
    Column("left_out", JsonText, nullable=False),
    Column("distributions", JsonText, nullable=False),
    Column("trials", JsonText, nullable=False),
)

ids = Table(
    "narrows_ids",
    metadata,
    # The next id of a "study" and of a "trial", so that the id of a deleted one is not used again.
    Column("kind", String(16), primary_key=True),
    Column("next_id", BigInteger, nullable=False),
)

owners = Table(
    "narrows_owners",
    metadata,
    # One row: the service that owns the database. A service that finds another token here has lost the database.
    Column("owner", Integer, primary_key=True, autoincrement=False),
    Column("token", String(64), nullable=False),
    Column("since", UtcDateTime, nullable=False),
)
