"""The calls that workers make about trials and their leases."""

from service.client.paths import lease_path
from service.client.transport import Transport
from service.schemas.code_calls import (
    KnownConstraints,
    KnownUserAttrs,
    NewConstraints,
    NewUserAttrs,
    Suggest,
    Suggested,
)
from service.schemas.protocol import Claim, Claimed, Closed, Complete, Decisions, Fail, Reports
from service.schemas.renewals import Renew, Renewed


class WorkerCalls:
    """The part of `Client` for workers: claims, reports and the ends of leases. A failed call raises a ClientError."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def claim(self, claim: Claim) -> Claimed:
        """Ask for trials. Safe to repeat with the same claim_id."""
        return self._transport.call(Claimed, "POST", "/v1/claims", body=claim, wait_seconds=claim.wait_seconds)

    def report(self, reports: Reports) -> Decisions:
        """Report metrics and get a decision for each report. Safe to repeat."""
        return self._transport.call(Decisions, "POST", "/v1/reports", body=reports)

    def complete(self, lease_id: str, complete: Complete) -> Closed:
        """End a trial with its results. Safe to repeat."""
        return self._transport.call(Closed, "POST", f"{lease_path(lease_id)}/complete", body=complete)

    def fail(self, lease_id: str, fail: Fail) -> Closed:
        """End an attempt that failed. Safe to repeat."""
        return self._transport.call(Closed, "POST", f"{lease_path(lease_id)}/fail", body=fail)

    def release(self, lease_id: str) -> Closed:
        """Give a trial back untouched. Safe to repeat."""
        return self._transport.call(Closed, "POST", f"{lease_path(lease_id)}/release")

    def prune(self, lease_id: str) -> Closed:
        """End a trial that its own code pruned. Safe to repeat."""
        return self._transport.call(Closed, "POST", f"{lease_path(lease_id)}/prune")

    def pause(self, lease_id: str) -> Closed:
        """Pause a trial at the rung where a decision told it to. Safe to repeat."""
        return self._transport.call(Closed, "POST", f"{lease_path(lease_id)}/pause")

    def suggest(self, lease_id: str, suggest: Suggest) -> Suggested:
        """The value of a parameter that an entrypoint asks for. Safe to repeat."""
        return self._transport.call(Suggested, "POST", f"{lease_path(lease_id)}/suggest", body=suggest)

    def set_user_attrs(self, lease_id: str, user_attrs: NewUserAttrs) -> KnownUserAttrs:
        """Set user attributes of a leased trial, and return all of them. Safe to repeat."""
        return self._transport.call(KnownUserAttrs, "POST", f"{lease_path(lease_id)}/user-attrs", body=user_attrs)

    def set_constraints(self, lease_id: str, constraints: NewConstraints) -> KnownConstraints:
        """Set constraint values of a leased trial, and return all of them. Safe to repeat."""
        return self._transport.call(KnownConstraints, "POST", f"{lease_path(lease_id)}/constraints", body=constraints)

    def renew(self, renew: Renew) -> Renewed:
        """Extend leases. Safe to repeat."""
        return self._transport.call(Renewed, "POST", "/v1/leases/renew", body=renew)
