"""What a user runs and imports: the `narrows` command, and the names that `from narrows import …` gives.

Each name is loaded when it is asked for: the client needs httpx and pydantic, `load_definition` PyYAML, and
`load_model` PyTorch.

The package imports `service.schemas` and `service.client`; a few of its modules import more. No other package imports
this one. `tests/docs/test_layers.py` holds these rules and the layers inside this package.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from service.client import Client, ClientError
    from service.schemas.yaml_text import load as load_definition
    from workers.saved.files import load_model
    from workers.user_process.reporting import report

__all__ = ["Client", "ClientError", "load_definition", "load_model", "report"]


def __getattr__(name: str) -> Any:
    """Load a public name on first use."""
    if name == "Client":
        from service.client import Client

        return Client
    if name == "ClientError":
        from service.client import ClientError

        return ClientError
    if name == "load_definition":
        from service.schemas.yaml_text import load

        return load
    if name == "load_model":
        from workers.saved.files import load_model

        return load_model
    if name == "report":
        from workers.user_process.reporting import report

        return report
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
