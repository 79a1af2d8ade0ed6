"""The call with which a worker keeps its leases while it has nothing to report."""

from pydantic import Field

from service.schemas.fields import Answer, WorkerBody
from service.schemas.protocol import LeaseId


class Renew(WorkerBody):
    """A request to extend leases."""

    lease_ids: list[LeaseId] = Field(
        min_length=1, max_length=1024, description="Ids of the leases to renew.", examples=[["8f14e45fceea167a"]]
    )


class RenewedLease(Answer):
    """The result of the renewal of one lease."""

    lease_id: LeaseId
    alive: bool = Field(description="Whether the worker still has the lease.", examples=[True])
    expires_in_seconds: float = Field(description="Seconds until the lease expires; 0 if it is lost.", examples=[60.0])


class Renewed(Answer):
    """The answer to Renew."""

    leases: list[RenewedLease] = Field(description="One entry for each lease, in order.", examples=[[]])
