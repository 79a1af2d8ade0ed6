from service.cli.errors import CommandError
from service.cli.options import DEFAULT, Database, Host, LeaseSeconds, LogLevel, Port, Standby, Token


def serve(
    host: Host = DEFAULT["host"],
    port: Port = DEFAULT["port"],
    database: Database = DEFAULT["database"],
    standby: Standby = DEFAULT["standby"],
    token: Token = DEFAULT["token"],
    lease_seconds: LeaseSeconds = DEFAULT["lease_seconds"],
    log_level: LogLevel = DEFAULT["log_level"],
) -> None:
    """Run the service until SIGTERM or Ctrl-C. It prints one line with its address when it is ready."""
    from service import server
    from storage import StorageError

    try:
        server.serve(
            host=host,
            port=port,
            database=database,
            standby=standby,
            token=token or None,
            lease_seconds=lease_seconds,
            log_level=log_level,
        )
    except (server.ServeError, StorageError) as error:
        raise CommandError(str(error)) from error
