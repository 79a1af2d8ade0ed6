"""The shape of every error: RFC 9457 problem details."""

from pydantic import Field

from service.schemas.fields import Answer


class FieldProblem(Answer):
    """A field of the input that breaks a rule."""

    field: str = Field(description="Dotted name of the field.", examples=["search_space.dropout"])
    message: str = Field(
        description="The rule that the field breaks, and its value.",
        examples=["low must be below high: low=0.1, high=0.01"],
    )
    line: int | None = Field(
        None,
        description="Line of the field in a YAML body, from 1; left out for other bodies, and where it is not known.",
        examples=[12],
    )


class Problem(Answer):
    """An error, as RFC 9457 has it."""

    type: str = Field("about:blank", description="URI of the kind of problem.", examples=["about:blank"])
    title: str = Field(description="The HTTP status in words.", examples=["Unprocessable content"])
    status: int = Field(description="HTTP status.", examples=[422])
    detail: str = Field(
        description="What went wrong, in one line, with the first field that is wrong.",
        examples=["search_space.dropout: …"],
    )
    code: str = Field(description="Stable name of the error, for programs.", examples=["invalid"])
    errors: list[FieldProblem] | None = Field(
        None, description="Every wrong field of an invalid input; left out for other errors.", examples=[None]
    )
    request_id: str | None = Field(
        None,
        description="Id of the request, to find it in the service's log; left out unless the status is 5xx.",
        examples=["5f0c9a61d2e84b37"],
    )
