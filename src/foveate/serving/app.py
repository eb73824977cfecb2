"""The web application: all routes, the page, and errors as one sentence of JSON."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

import foveate
from foveate.serving.guard import Guard, error_parts
from foveate.serving.limits import RequestError
from foveate.serving.metrics import CONTENT_TYPE
from foveate.serving.protocol import add_protocol
from foveate.serving.routes import add_clicks_and_texts, add_predict
from foveate.serving.service import Service, describe_problem, json_response

_FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/marks.js": ("marks.js", "text/javascript; charset=utf-8"),
    "/docs": ("docs.html", "text/html; charset=utf-8"),
    "/docs.js": ("docs.js", "text/javascript; charset=utf-8"),
}


def build_app(service: Service, token: str | None) -> Guard:
    """The application.

    Args:
        service: The models.
        token: What clients must send; None: nothing.
    """
    app = FastAPI(
        title="foveate", version=foveate.__version__, docs_url=None, redoc_url=None,
        description="Predictions of models trained with foveate.",
    )  # fmt: skip
    app.add_exception_handler(RequestError, _refused)
    app.add_exception_handler(Exception, _broken)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _failed)
    add_predict(app, service)
    add_clicks_and_texts(app, service)
    add_protocol(app, service)

    @app.get("/models", summary="The models, with what is known of how far to trust them")
    async def models() -> Response:
        return json_response([model.describe() for model in service.models.values()])

    @app.get("/metrics", summary="Counters, in the format of Prometheus")
    async def metrics() -> Response:
        for model in service.models.values():
            service.metrics.admitted(model.name, model.admission.requests)
        return Response(service.metrics.text(), media_type=CONTENT_TYPE)

    for path, (name, media_type) in _FILES.items():
        app.get(path, include_in_schema=False)(_file(name, media_type))
    return Guard(app, service.metrics, token)


def _file(name: str, media_type: str) -> Callable[[], Any]:
    content = resources.files("foveate.serving").joinpath(name).read_bytes()

    async def respond() -> Response:
        return Response(content, media_type=media_type)

    return respond


async def _refused(request: Request, error: Exception) -> Response:  # noqa: ARG001
    assert isinstance(error, RequestError)
    return _error_response(error)


async def _broken(request: Request, error: Exception) -> Response:  # noqa: ARG001
    """The response to a request that met a bug; `Guard` logs the traceback."""
    number = request.scope["foveate"]["request"]
    return _error_response(
        RequestError(500, f"the server failed on this request; its log tells why, at {number}")
    )


async def _invalid(request: Request, error: Exception) -> Response:  # noqa: ARG001
    assert isinstance(error, RequestValidationError)
    return _error_response(RequestError(400, describe_problem(error.errors()[0])))


async def _failed(request: Request, error: Exception) -> Response:  # noqa: ARG001
    assert isinstance(error, HTTPException)
    words = {404: "there is nothing at this address", 405: "another method is expected here"}
    message = words.get(error.status_code, str(error.detail))
    return _error_response(RequestError(error.status_code, message))


def _error_response(error: RequestError) -> Response:
    body, headers = error_parts(error)
    return Response(body, error.status, headers)
