"""Routes that workers call all the time, without FastAPI's general machinery between the bytes and the call.

A valid request is parsed by pydantic straight from its bytes, and its answer written straight to bytes. Whatever is not
valid goes the usual way, which says what is wrong with it; the OpenAPI document is FastAPI's own.
"""

import inspect
from collections.abc import Callable, Coroutine
from typing import Any, get_type_hints

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, TypeAdapter, ValidationError

from service.dependencies import registry_of

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
JSON_TYPE = "application/json"


class QuickRoute(APIRoute):
    """For coroutines of `registry`, and of `body`, `request` and parameters of the path as they like."""

    def get_route_handler(self) -> Handler:
        usual = super().get_route_handler()
        endpoint = self.endpoint
        names = set(inspect.signature(endpoint).parameters)
        body_type: type[BaseModel] | None = get_type_hints(endpoint).get("body")
        path_types = {
            name: TypeAdapter(annotation)
            for name, annotation in get_type_hints(endpoint, include_extras=True).items()
            if name in names - {"body", "registry", "request"}
        }

        async def handle(request: Request) -> Response:
            arguments: dict[str, Any] = {"registry": registry_of(request)}
            try:
                for name, path_type in path_types.items():
                    arguments[name] = path_type.validate_python(request.path_params[name])
                if body_type is not None:
                    if request.headers.get("content-type") != JSON_TYPE:
                        return await usual(request)
                    arguments["body"] = body_type.model_validate_json(await request.body())
            except ValidationError:
                return await usual(request)
            if "request" in names:
                arguments["request"] = request
            answer: BaseModel = await endpoint(**arguments)
            return Response(answer.model_dump_json(), media_type=JSON_TYPE)

        return handle
