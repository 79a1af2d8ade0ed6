"""Errors of the service, each with the HTTP status and the stable code that clients see.

ServiceError
├── InvalidError              422  invalid              input that breaks a rule; names the fields
├── UnauthorizedError         401  unauthorized         no token, or a wrong one
├── ForbiddenError            403  forbidden            known, but not allowed
├── NotFoundError             404  not_found            no such path
│   ├── StudyNotFoundError         study_not_found
│   ├── TrialNotFoundError         trial_not_found
│   └── LeaseNotFoundError         lease_not_found
└── ConflictError             409  conflict             not in the present state
    ├── StudyExistsError           study_exists         same name, another definition
    ├── StateConflictError         state_conflict       a study's state does not allow it
    ├── BudgetExhaustedError       budget_exhausted     n_trials trials exist already
    ├── ReportConflictError        report_conflict      the same step again with other metrics
    ├── LeaseClosedError           lease_closed         the lease has ended in another way
    └── LeaseLostError             lease_lost           the lease has expired
"""

from collections.abc import Sequence
from http import HTTPStatus


class ServiceError(Exception):
    """Anything that the service answers with a problem."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR
    code = "internal"

    def __init__(self, detail: str, errors: Sequence[tuple[str, str]] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors


class InvalidError(ServiceError):
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "invalid"

    def __init__(self, errors: Sequence[tuple[str, str]]) -> None:
        first, *others = [f"{field}: {message}" for field, message in errors]
        more = f" (and {len(others)} more)" if others else ""
        super().__init__(f"{first}{more}", errors)


class UnauthorizedError(ServiceError):
    status = HTTPStatus.UNAUTHORIZED
    code = "unauthorized"


class ForbiddenError(ServiceError):
    status = HTTPStatus.FORBIDDEN
    code = "forbidden"


class NotFoundError(ServiceError):
    status = HTTPStatus.NOT_FOUND
    code = "not_found"


class StudyNotFoundError(NotFoundError):
    code = "study_not_found"


class TrialNotFoundError(NotFoundError):
    code = "trial_not_found"


class LeaseNotFoundError(NotFoundError):
    code = "lease_not_found"


class ConflictError(ServiceError):
    status = HTTPStatus.CONFLICT
    code = "conflict"


class StudyExistsError(ConflictError):
    code = "study_exists"


class StateConflictError(ConflictError):
    code = "state_conflict"


class BudgetExhaustedError(ConflictError):
    code = "budget_exhausted"


class ReportConflictError(ConflictError):
    code = "report_conflict"


class LeaseClosedError(ConflictError):
    code = "lease_closed"


class LeaseLostError(ConflictError):
    code = "lease_lost"
