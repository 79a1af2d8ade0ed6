"""Tokens of callers, as the API shows them. The secret is told once, by the call that makes the token."""

from typing import Annotated, Literal

from pydantic import Field

from service.schemas.fields import NAME_PATTERN, Answer, StrictBody, Timestamp

Scope = Literal["read", "submit", "work", "admin"]
"""read: look at everything; submit: read, and change studies; work: what workers call; admin: all of it, and tokens."""

MAX_EXPIRES_SECONDS = 100 * 365 * 86_400

TokenName = Annotated[
    str,
    Field(
        pattern=NAME_PATTERN,
        description="Name of the token: letters, digits, '.', '_' and '-', 128 characters at most.",
        examples=["lab-gpu"],
    ),
]
Scopes = Annotated[
    list[Scope],
    Field(
        min_length=1,
        max_length=16,
        description="What the token opens. submit includes read; admin includes everything.",
        examples=[["work"]],
    ),
]


class NewToken(StrictBody):
    """A token to make."""

    name: TokenName
    scopes: Scopes
    expires_in_seconds: int | None = Field(
        None, ge=1, le=MAX_EXPIRES_SECONDS, description="Lifetime in seconds; null for ever.", examples=[2_592_000]
    )


class Token(Answer):
    """A token, without its secret."""

    name: TokenName
    scopes: Scopes
    created_at: Timestamp = Field(description="When it was made.", examples=["2026-01-02T03:04:05Z"])
    expires_at: Timestamp | None = Field(
        description="When it ends to be valid; null for never.", examples=["2026-02-01T03:04:05Z"]
    )
    revoked_at: Timestamp | None = Field(description="When it was revoked; null if it was not.", examples=[None])
    last_used_at: Timestamp | None = Field(
        description="When it was last shown, to the minute; null if it never was.", examples=["2026-01-02T04:00:00Z"]
    )


class CreatedToken(Token):
    """A token that was just made."""

    token: str = Field(
        description="The secret that callers send. It is kept nowhere: this answer is the only one to show it.",
        examples=["narrows_Zm9yIGRvY3VtZW50YXRpb24gb25seQ"],
    )


class TokenList(Answer):
    tokens: list[Token] = Field(description="All tokens, oldest first.", examples=[[]])
