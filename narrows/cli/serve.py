"""`narrows serve`: the service."""

from narrows.cli.options import (
    DEFAULT,
    Artifacts,
    Database,
    Host,
    LeaseSeconds,
    LogFormat,
    LogLevel,
    MaxArtifactMib,
    Port,
    Standby,
    Token,
)
from narrows.errors import CommandError


def serve(
    host: Host = DEFAULT["host"],
    port: Port = DEFAULT["port"],
    database: Database = DEFAULT["database"],
    artifacts: Artifacts = DEFAULT["artifacts"],
    max_artifact_mib: MaxArtifactMib = DEFAULT["max_artifact_mib"],
    standby: Standby = DEFAULT["standby"],
    token: Token = DEFAULT["token"],
    lease_seconds: LeaseSeconds = DEFAULT["lease_seconds"],
    log_level: LogLevel = DEFAULT["log_level"],
    log_format: LogFormat = DEFAULT["log_format"],
) -> None:
    """Run the service until SIGTERM or Ctrl-C. It prints a line with its address when it is ready."""
    from service.web import server
    from service.web.listening import ServeError
    from storage import StorageError

    try:
        server.serve(
            host=host,
            port=port,
            database=database,
            artifacts=artifacts or None,
            max_artifact_bytes=max_artifact_mib * 1024**2,
            standby=standby,
            token=token or None,
            lease_seconds=lease_seconds,
            log_level=log_level,
            log_format=log_format,
        )
    except (ServeError, StorageError) as error:
        raise CommandError(str(error)) from error
