"""Tokens as the API shows them. A secret is shown once, in the answer that creates its token."""

from typing import Annotated, Literal

from pydantic import Field

from service.schemas.fields import NAME_PATTERN, NAME_RULE, Answer, StrictBody, Timestamp

Scope = Literal["read", "submit", "work", "admin"]
"""read: see everything; submit: read and change studies; work: the calls of workers; admin: everything, also tokens."""

MAX_EXPIRES_SECONDS = 100 * 365 * 86_400

TokenName = Annotated[
    str,
    Field(
        pattern=NAME_PATTERN,
        description=f"Name of the token: {NAME_RULE}.",
        examples=["lab-gpu"],
    ),
]
Scopes = Annotated[
    list[Scope],
    Field(
        min_length=1,
        max_length=16,
        description="The calls that the token allows. submit includes read; admin includes everything.",
        examples=[["work"]],
    ),
]


class NewToken(StrictBody):
    """A token to create."""

    name: TokenName
    scopes: Scopes
    expires_in_seconds: int | None = Field(
        None,
        ge=1,
        le=MAX_EXPIRES_SECONDS,
        description="Lifetime in seconds; null for a token that does not expire.",
        examples=[2_592_000],
    )


class Token(Answer):
    """A token, without its secret."""

    name: TokenName
    scopes: Scopes
    created_at: Timestamp = Field(description="When the token was created.", examples=["2026-01-02T03:04:05Z"])
    expires_at: Timestamp | None = Field(
        description="When the token expires; null if it does not expire.", examples=["2026-02-01T03:04:05Z"]
    )
    revoked_at: Timestamp | None = Field(
        description="When the token was revoked; null if it was not revoked.", examples=[None]
    )
    last_used_at: Timestamp | None = Field(
        description="When the token was last used, to the minute; null if it never was.",
        examples=["2026-01-02T04:00:00Z"],
    )


class CreatedToken(Token):
    """A new token with its secret."""

    token: str = Field(
        description="The secret that callers send. It is stored nowhere, so no other answer shows it.",
        examples=["narrows_Zm9yIGRvY3VtZW50YXRpb24gb25seQ"],
    )


class TokenList(Answer):
    """All tokens, expired and revoked ones included."""

    tokens: list[Token] = Field(description="All tokens, oldest first.", examples=[[]])
