"""Routes that create, list and revoke tokens."""

import logging
from typing import Annotated

from fastapi import APIRouter, Path

from service.access.tokens import Tokens
from service.schemas.fields import NAME_PATTERN
from service.schemas.tokens import CreatedToken, NewToken, Token, TokenList
from service.web.dependencies import TokensDependency
from service.web.parsed_body import ParsedBodyRoute
from storage import TokenRecord

log = logging.getLogger(__name__)

router = APIRouter(prefix="/v1", tags=["tokens"], route_class=ParsedBodyRoute)

NamePath = Annotated[
    str, Path(pattern=NAME_PATTERN, max_length=128, description="Name of the token.", examples=["lab-gpu"])
]


@router.post("/tokens", status_code=201, name="create", response_description="The token with its secret.")
def create_token(tokens: TokensDependency, new: NewToken) -> CreatedToken:
    """Create a token.

    Its secret appears only in this answer. From the first token on, every call needs one. The name of a valid token
    cannot be used again (409 `token_exists`).
    """
    record, secret = tokens.create(new.name, new.scopes, new.expires_in_seconds)
    log.info("token %s is created: %s", record.name, ", ".join(record.scopes))
    return CreatedToken(token=secret, **_view(tokens, record).model_dump())


@router.get("/tokens", response_description="The tokens, oldest first.")
def list_tokens(tokens: TokensDependency) -> TokenList:
    """List all tokens.

    Secrets are not shown. The token that the service was started with is not in the list.
    """
    return TokenList(tokens=[_view(tokens, record) for record in tokens.all_records()])


@router.delete("/tokens/{token}", name="revoke", response_description="The revoked token.")
def revoke_token(tokens: TokensDependency, token: NamePath) -> Token:
    """Revoke a token.

    It is refused at once and for good; its name may be used again. The call may be repeated: a revoked token stays as
    it is. An unknown name answers 404 `token_not_found`.
    """
    record = tokens.revoke(token)
    log.info("token %s is revoked", record.name)
    return _view(tokens, record)


def _view(tokens: Tokens, record: TokenRecord) -> Token:
    return Token.model_validate(tokens.with_last_use(record), from_attributes=True)
