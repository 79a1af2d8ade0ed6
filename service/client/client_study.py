"""The study that the client returns: the service's answer, and its trials as an Optuna study."""

from typing import TYPE_CHECKING

from pydantic import PrivateAttr

from service.client.paths import study_path
from service.client.transport import Transport
from service.schemas.results import Study

if TYPE_CHECKING:
    import optuna


class ClientStudy(Study):
    """A study as it was when the service answered."""

    _transport: Transport = PrivateAttr()
    _is_new: bool = PrivateAttr(default=False)

    @classmethod
    def bound(cls, transport: Transport, answer: bytes, *, is_new: bool = False) -> "ClientStudy":
        """The study of an answer, which can fetch its trials over `transport`. Raises UnexpectedAnswerError."""
        study = transport.parse(cls, answer)
        study._transport, study._is_new = transport, is_new
        return study

    @property
    def is_new(self) -> bool:
        """Whether the call that returned the study has created it."""
        return self._is_new

    def optuna(self) -> "optuna.Study":
        """An Optuna study with all trials as they are now, for plots, importances and other readers.

        It is a copy, and writing to it raises ReadOnlyError. The user attributes of a trial include its metrics.
        """
        from service.client.optuna_copy import read, read_only_study

        return read_only_study(*read(self._transport.stream(f"{study_path(self.name)}/export", {"format": "optuna"})))
