"""The shape of every error: RFC 9457 problem details."""

from pydantic import Field

from service.schemas.fields import Answer


class FieldProblem(Answer):
    field: str = Field(description="Dotted name of the field.", examples=["search_space.dropout"])
    message: str = Field(description="The rule and the value.", examples=["low must be below high: low=0.1, high=0.01"])


class Problem(Answer):
    """An error."""

    type: str = Field("about:blank", description="URI of the kind of problem.", examples=["about:blank"])
    title: str = Field(description="The kind of problem in words.", examples=["Unprocessable content"])
    status: int = Field(description="HTTP status.", examples=[422])
    detail: str = Field(description="What went wrong, in one line.", examples=["search_space.dropout: …"])
    code: str = Field(description="Stable name of the error.", examples=["invalid"])
    errors: list[FieldProblem] | None = Field(
        None, description="For invalid input: what is wrong with which field.", examples=[None]
    )
    request_id: str | None = Field(
        None,
        description="For errors of the service (5xx): the request's id, under which its log has more.",
        examples=["5f0c9a61d2e84b37"],
    )
