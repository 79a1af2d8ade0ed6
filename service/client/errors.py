"""The errors that calls raise.

* ClientError
  + UnreachableError
  + UnexpectedAnswerError
  + ServiceError
  + MissingPackageError
"""

from service.schemas.problem import Problem


class ClientError(Exception):
    """A call to the service failed. The message is one readable line."""


class UnreachableError(ClientError):
    """There was no connection, or no answer in time."""


class UnexpectedAnswerError(ClientError):
    """The answer is not one that Narrows sends."""


class ServiceError(ClientError):
    """The service refused the call. The message is the reason."""

    def __init__(self, problem: Problem, retry_after_seconds: float | None = None) -> None:
        super().__init__(problem.detail)
        self.problem = problem
        self.retry_after_seconds = retry_after_seconds

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.problem.status

    @property
    def code(self) -> str:
        """The stable name of the error."""
        return self.problem.code


class MissingPackageError(ClientError):
    """The call needs a package that is not installed. The message names it."""
