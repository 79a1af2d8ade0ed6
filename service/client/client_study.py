"""A study as the client gives it: what the service told, and what can be made of it."""

from typing import TYPE_CHECKING

from pydantic import PrivateAttr

from service.client.paths import study_path
from service.client.transport import Transport
from service.schemas.results import Study

if TYPE_CHECKING:
    import optuna


class ClientStudy(Study):
    """A study as it was when the service was asked."""

    _transport: Transport = PrivateAttr()

    @classmethod
    def bound(cls, transport: Transport, answer: bytes) -> "ClientStudy":
        study = transport.parse(cls, answer)
        study._transport = transport
        return study

    def optuna(self) -> "optuna.Study":
        """All its trials as they are now, as an Optuna study: for plots, importances, and whatever reads one.

        It is a copy: to write to it raises ReadOnlyError. The metrics of a trial are among its user attributes.
        """
        from service.client.optuna_copy import read, read_only_study

        return read_only_study(*read(self._transport.stream(f"{study_path(self.name)}/export", {"format": "optuna"})))
