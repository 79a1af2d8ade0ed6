"""Tokens: make, list, revoke."""

import logging
from typing import Annotated

from fastapi import APIRouter, Path

from service.access.tokens import Tokens
from service.schemas.fields import NAME_PATTERN
from service.schemas.tokens import CreatedToken, NewToken, Token, TokenList
from service.web.dependencies import TokensDependency
from storage import TokenRecord

log = logging.getLogger(__name__)

router = APIRouter(prefix="/v1", tags=["tokens"])

NamePath = Annotated[
    str, Path(pattern=NAME_PATTERN, max_length=128, description="Name of the token.", examples=["lab-gpu"])
]


@router.post("/tokens", status_code=201)
def create(tokens: TokensDependency, new: NewToken) -> CreatedToken:
    """Make a token; its secret is in this answer alone. From the first one on, every call needs a token."""
    record, secret = tokens.create(new.name, new.scopes, new.expires_in_seconds)
    log.info("token %s is made: %s", record.name, ", ".join(record.scopes))
    return CreatedToken(token=secret, **_view(tokens, record).model_dump())


@router.get("/tokens")
def list_tokens(tokens: TokensDependency) -> TokenList:
    """All tokens, without their secrets. The one that the service was started with is not among them."""
    return TokenList(tokens=[_view(tokens, record) for record in tokens.every()])


@router.delete("/tokens/{token}")
def revoke(tokens: TokensDependency, token: NamePath) -> Token:
    """Revoke a token, at once and for good; its name may be used again."""
    record = tokens.revoke(token)
    log.info("token %s is revoked", record.name)
    return _view(tokens, record)


def _view(tokens: Tokens, record: TokenRecord) -> Token:
    return Token.model_validate(
        {
            "name": record.name,
            "scopes": record.scopes,
            "created_at": record.created_at,
            "expires_at": record.expires_at,
            "revoked_at": record.revoked_at,
            "last_used_at": tokens.last_used_at(record),
        }
    )
