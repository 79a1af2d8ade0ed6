"""What a call can end with instead of an answer.

* ClientError
  + UnreachableError
  + UnexpectedAnswerError
  + ServiceError
  + MissingPackageError
"""

from service.schemas.problem import Problem


class ClientError(Exception):
    """A call to the service did not go well; the message is one readable line."""


class UnreachableError(ClientError):
    """No answer came: no connection, or none in time."""


class UnexpectedAnswerError(ClientError):
    """An answer came that Narrows does not send."""


class ServiceError(ClientError):
    """The service refused the call, and said why."""

    def __init__(self, problem: Problem, retry_after_seconds: float | None = None) -> None:
        super().__init__(problem.detail)
        self.problem = problem
        self.retry_after_seconds = retry_after_seconds

    @property
    def status(self) -> int:
        return self.problem.status

    @property
    def code(self) -> str:
        return self.problem.code


class MissingPackageError(ClientError):
    """What was asked for needs a package that is not installed; the message names it."""
