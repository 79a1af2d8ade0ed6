"""Who the caller is, and what it may do."""

from typing import Literal

from pydantic import Field

from service.schemas.fields import Answer
from service.schemas.tokens import Scope


class Session(Answer):
    """The caller of this request."""

    name: str = Field(
        description="Name of the caller's token; `this machine` for a caller without one.", examples=["lab-gpu"]
    )
    scopes: list[Scope] = Field(
        description="All scopes of the caller, those that others include too, sorted.", examples=[["read", "submit"]]
    )
    by: Literal["token", "session", "local"] = Field(
        description="token: the call has a token; session: a browser that has logged in; local: a caller on the "
        "service's own machine, which may do everything while there are no tokens.",
        examples=["session"],
    )
