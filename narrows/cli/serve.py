"""`narrows serve`: the service."""

from typing import Any

from narrows.cli.options import with_settings
from narrows.errors import CommandError


@with_settings("serve")
def serve(
    artifacts: str | None,
    max_artifact_mib: int,
    samplers: list[str] | None,
    sampler_memory_mib: int,
    token: str | None,
    **settings: Any,
) -> None:
    """Run the service until SIGTERM or Ctrl-C. It prints a line with its address when it is ready."""
    from service.web import server
    from service.web.listening import ServeError
    from storage import StorageError

    try:
        server.serve(
            artifacts=artifacts or None,
            max_artifact_bytes=max_artifact_mib * 1024**2,
            samplers=samplers or (),
            sampler_memory_bytes=sampler_memory_mib * 1024**2,
            token=token or None,
            **settings,
        )
    except (ServeError, StorageError) as error:
        raise CommandError(str(error)) from error
