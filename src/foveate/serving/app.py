"""The web application: the simple way to predict, clicks, texts, and the page."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from importlib import resources
from typing import Annotated, Any, TypeVar

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.exceptions import HTTPException

import foveate
from foveate import atomic_io
from foveate.errors import FoveateError
from foveate.serving import uploads
from foveate.serving.batching import too_late
from foveate.serving.guard import Guard, error_parts, note
from foveate.serving.limits import Limits, RequestError, Slot
from foveate.serving.metrics import CONTENT_TYPE, Metrics
from foveate.serving.model import ServedModel, png, to_base64
from foveate.wording import escape_controls

T = TypeVar("T")

MAX_GENERATED = 16
MAX_CLICKS = 200
_FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/marks.js": ("marks.js", "text/javascript; charset=utf-8"),
    "/docs": ("docs.html", "text/html; charset=utf-8"),
    "/docs.js": ("docs.js", "text/javascript; charset=utf-8"),
}
_IMAGE_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "image/*": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "image": {"type": "array", "items": {"type": "string", "format": "binary"}}
                    },
                }
            },
        },
    }
}
ModelName = Annotated[
    str | None, Query(alias="model", description="The name of the model; by default the first.")
]


class Clicks(BaseModel):
    """The prompts for one object."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    session: str = Field(max_length=64, description="The session that /encode gave.")
    clicks: list[tuple[float, float, bool]] = Field(
        [], max_length=MAX_CLICKS, description="x, y and whether the object is there, in pixels."
    )
    box: tuple[float, float, float, float] | None = Field(
        None, description="Left, top, right and bottom, in pixels."
    )


class Text(BaseModel):
    """What to generate."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    text: str = Field(min_length=1, max_length=1000)
    n: int = Field(1, ge=1, le=MAX_GENERATED, description="Number of images.")
    seed: int = Field(0, ge=0, lt=2**63)
    guidance: float | None = Field(None, ge=0, le=20)
    steps: int | None = Field(None, ge=1, le=200)
    stages: bool = Field(False, description="Whether all stages from noise to image are sent.")


class Service:
    """The models of a server, and what their requests share.

    Args:
        models: The models; the first one answers requests that name none.
        limits: What is taken at most.
    """

    def __init__(self, models: Sequence[ServedModel], limits: Limits):
        self.models = {model.name: model for model in models}
        self.limits, self.metrics = limits, Metrics()
        self.pool = ThreadPoolExecutor(min(4, os.cpu_count() or 2), "decode")
        for model in models:
            model.worker.on_batch = self._counter(model.name)

    def _counter(self, name: str) -> Callable[[int, float], None]:
        return lambda images, seconds: self.metrics.predicted(name, images, seconds)

    def find(self, name: str | None) -> ServedModel:
        """The model of a name.

        Raises:
            RequestError: There is none.
        """
        model = next(iter(self.models.values())) if name is None else self.models.get(name)
        if model is None:
            known = ", ".join(self.models)
            raise RequestError(404, f"one of the models {known} is expected")
        return model

    @contextmanager
    def slot(self, request: Request, model: ServedModel) -> Iterator[Slot]:
        """Admit a request to a model; see `Admission.slot`."""
        note(request.scope, model=model.name)
        with model.admission.slot() as slot:
            yield slot

    async def body(self, request: Request, slot: Slot) -> bytes:
        """The body of a request; see `uploads.read_body`."""
        return await uploads.read_body(request, self.limits, slot)

    async def in_pool(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function on a thread, so that other requests go on."""
        return await asyncio.get_running_loop().run_in_executor(self.pool, function, *arguments)

    async def result(self, future: Future[T], slot: Slot) -> T:
        """Wait for a model until the deadline of a request.

        Raises:
            RequestError: It is too late, or the model refuses the request.
        """
        try:
            async with asyncio.timeout(slot.seconds_left):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise too_late() from None
        except FoveateError as error:  # what the user asked cannot be done
            raise RequestError(400, escape_controls(error.message)) from None

    async def values(
        self, model: ServedModel, predictions: Sequence[Any], *, masks: bool = False
    ) -> list[dict[str, Any]]:
        """Each prediction as JSON values."""
        return await self.in_pool(lambda: [model.values(one, masks=masks) for one in predictions])

    def close(self) -> None:
        """Finish what was accepted."""
        for model in self.models.values():
            model.worker.close()
        self.pool.shutdown()


def build_app(service: Service, token: str | None) -> Guard:
    """The application.

    Args:
        service: The models.
        token: What clients must send; None: nothing.
    """
    from foveate.serving.protocol import add_protocol

    app = FastAPI(
        title="foveate", version=foveate.__version__, docs_url=None, redoc_url=None,
        description="Predictions of models trained with foveate.",
    )  # fmt: skip
    app.add_exception_handler(RequestError, _refused)
    app.add_exception_handler(Exception, _broken)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _failed)
    _add_predict(app, service)
    _add_clicks_and_texts(app, service)
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


def _add_predict(app: FastAPI, service: Service) -> None:
    @app.post("/predict", summary="Predict for one image or several", openapi_extra=_IMAGE_BODY)
    async def predict(
        request: Request,
        model_name: ModelName = None,
        masks: Annotated[
            bool, Query(description="Whether masks are added as PNG files in base64.")
        ] = False,
    ) -> Response:
        """The image is the body, or there are several as parts of multipart/form-data.

        One image gives an object, several give a list. With `Accept: image/png` one image is sent
        back with its prediction drawn.
        """
        model = service.find(model_name)
        with service.slot(request, model) as slot:
            drawn = request.headers.get("accept", "").startswith("image/png")
            body = await service.body(request, slot)
            kind = request.headers.get("content-type", "")
            images = await service.in_pool(_decode, body, kind, model, service.limits, slot)
            del body
            note(request.scope, images=len(images))
            if drawn and len(images) > 1:
                raise RequestError(406, "one image is expected to be drawn, got several")
            future = model.predict(images, slot.deadline)
            predictions = await service.result(future, slot)
            if drawn:
                drawing = await service.in_pool(model.drawing, images[0], predictions[0])
                return Response(drawing, media_type="image/png")
            values = await service.values(model, predictions, masks=masks)
            return json_response(values[0] if len(values) == 1 else values)


def _add_clicks_and_texts(app: FastAPI, service: Service) -> None:
    @app.post("/encode", summary="Encode an image for clicks", openapi_extra=_IMAGE_BODY)
    async def encode(request: Request, model_name: ModelName = None) -> Response:
        """Gives a session, which /click takes as long as it is not the oldest of many."""
        model = service.find(model_name)
        with service.slot(request, model) as slot:
            body = await service.body(request, slot)
            kind = request.headers.get("content-type", "")
            images = await service.in_pool(_decode, body, kind, model, service.limits, slot)
            if len(images) > 1:
                raise RequestError(400, "one image is expected, got several")
            call = model.worker.call(lambda: model.encode(images[0]), slot.deadline)
            session = await service.result(call, slot)
            height, width = images[0].shape[:2]
            return json_response({"session": session, "width": width, "height": height})

    @app.post("/click", summary="Segment the object under clicks", openapi_extra=_body_of(Clicks))
    async def click(request: Request, model_name: ModelName = None) -> Response:
        """All clicks on one object are sent each time, in their order."""
        model = service.find(model_name)
        with service.slot(request, model) as slot:
            asked = parse(Clicks, await service.body(request, slot))
            if not asked.clicks and asked.box is None:
                raise RequestError(400, "a click or a box is expected")
            call = model.worker.call(
                lambda: model.click(asked.session, tuple(asked.clicks), asked.box), slot.deadline
            )
            return json_response(await service.result(call, slot))

    @app.post("/generate", summary="Generate images from a text", openapi_extra=_body_of(Text))
    async def generate(request: Request, model_name: ModelName = None) -> Response:
        """PNG files in base64, or one PNG with `Accept: image/png`."""
        model = service.find(model_name)
        with service.slot(request, model) as slot:
            asked = parse(Text, await service.body(request, slot))
            call = model.worker.call(
                lambda: model.generate(
                    asked.text, asked.n, asked.seed, asked.guidance, asked.steps
                ),
                slot.deadline,
            )
            generated = await service.result(call, slot)
            if request.headers.get("accept", "").startswith("image/png"):
                if asked.n > 1:
                    raise RequestError(406, "one image is expected to be sent, got several")
                content = await service.in_pool(png, generated[0][-1])
                return Response(content, media_type="image/png")
            sent = [stages if asked.stages else stages[-1:] for stages in generated]
            encoded = await service.in_pool(
                lambda: [[to_base64(png(stage)) for stage in stages] for stages in sent]
            )
            return json_response({"text": asked.text, "seed": asked.seed, "images": encoded})


def _decode(
    body: bytes, content_type: str, model: ServedModel, limits: Limits, slot: Slot
) -> list[Any]:
    files = uploads.split_body(body, content_type, limits)
    return uploads.decode(files, model.predictor.reading, limits, slot)


def parse(schema: type[T], body: bytes) -> T:
    """Read a JSON body.

    Raises:
        RequestError: It is no JSON, or not as the schema says.
    """
    assert issubclass(schema, BaseModel)
    try:
        return schema.model_validate_json(body)
    except ValidationError as error:
        raise RequestError(400, _problem(error.errors()[0])) from None


def json_response(value: Any) -> Response:
    """Values as strict JSON, as files of predictions have them."""
    return Response(atomic_io.json_line(value), media_type="application/json")


def _body_of(schema: type[BaseModel]) -> dict[str, Any]:
    content = {"application/json": {"schema": schema.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}


def _problem(problem: Mapping[str, Any]) -> str:
    """The first problem of a request in one sentence."""
    where = ".".join(str(part) for part in problem["loc"] if part not in ("query", "body"))
    return escape_controls(f"{where or 'body'}: {problem['msg']}"[:300])


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
    return _error_response(RequestError(400, _problem(error.errors()[0])))


async def _failed(request: Request, error: Exception) -> Response:  # noqa: ARG001
    assert isinstance(error, HTTPException)
    words = {404: "there is nothing at this address", 405: "another method is expected here"}
    message = words.get(error.status_code, str(error.detail))
    return _error_response(RequestError(error.status_code, message))


def _error_response(error: RequestError) -> Response:
    body, headers = error_parts(error)
    return Response(body, error.status, headers)
