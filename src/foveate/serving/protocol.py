"""The Open Inference Protocol, version 2, as KServe, Triton and their clients speak it.

A model takes the tensor `image`: files of images in base64 (BYTES, [N]) or pixels (UINT8 and
others, [H, W, C] or [N, H, W, C]). It gives the tensor `prediction`: for each image the JSON text
that /predict gives. A model that generates takes `text` (BYTES, [N]) and gives `image`, PNG files
in base64. Specification: https://github.com/kserve/open-inference-protocol
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from fastapi import FastAPI, Request, Response
from numpy.typing import NDArray
from pydantic import BaseModel, Field

import foveate
from foveate import atomic_io
from foveate.data.dataset import Image
from foveate.errors import BadImage
from foveate.serving import uploads
from foveate.serving.guard import note
from foveate.serving.limits import Limits, RequestError, Slot
from foveate.serving.model import ServedModel, png, to_base64
from foveate.serving.routes import MAX_GENERATED
from foveate.serving.service import Service, json_response, parse

_TYPES = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "FP32": np.float32,
    "FP64": np.float64,
}
MAX_NUMBERS = 4_000_000
"""Values of a tensor that is sent as JSON: Python holds each as an object of its own."""


class Tensor(BaseModel):
    """An input of a request."""

    name: str = Field(max_length=100)
    shape: list[int] = Field(max_length=4)
    datatype: str = Field(max_length=10)
    data: list[Any]
    parameters: dict[str, Any] = {}


class Output(BaseModel):
    """An output that a client asks for."""

    name: str = Field(max_length=100)
    parameters: dict[str, Any] = {}


class InferRequest(BaseModel):
    """The body of a request."""

    id: str | None = Field(None, max_length=100)
    inputs: list[Tensor] = Field(min_length=1, max_length=1)
    outputs: list[Output] | None = Field(None, max_length=1)
    parameters: dict[str, Any] = {}


def add_protocol(app: FastAPI, service: Service) -> None:
    """Add the routes below /v2."""

    @app.get("/v2/health/live", summary="Whether the server runs")
    async def live() -> Response:
        return json_response({"live": True})

    @app.get("/v2/health/ready", summary="Whether all models can predict")
    async def ready() -> Response:
        return _readiness(list(service.models.values()), {})

    @app.get("/v2", summary="What the server is")
    async def server() -> Response:
        return json_response({"name": "foveate", "version": foveate.__version__, "extensions": []})

    @app.get("/v2/models/{name}", summary="What a model takes and gives")
    async def metadata(name: str) -> Response:
        model = service.find(name)
        taken, given = _tensors(model)
        return json_response(
            {
                "name": model.name,
                "platform": "foveate",
                "inputs": [taken],
                "outputs": [given],
            }
        )

    @app.get("/v2/models/{name}/ready", summary="Whether a model can predict")
    async def model_ready(name: str) -> Response:
        model = service.find(name)
        return _readiness([model], {"name": model.name})

    @app.post("/v2/models/{name}/infer", summary="Predict, by the Open Inference Protocol")
    async def infer(name: str, request: Request) -> Response:
        model = service.find(name)
        with service.slot(request, model) as slot:
            body = await service.body(request, slot)
            slot.hold(32 * body.count(b","))  # Python's objects for the values
            asked = await service.in_pool(parse, InferRequest, body, 2 * MAX_NUMBERS)
            del body
            taken, given = _tensors(model)
            tensor = asked.inputs[0]
            if tensor.name != taken["name"]:
                raise RequestError(400, f"the input {taken['name']} is expected")
            if asked.outputs and asked.outputs[0].name != given["name"]:
                raise RequestError(400, f"the output {given['name']} is the only one")
            compute = _generate if model.generates else _predict
            data = await compute(service, model, request, tensor, slot)
            output = {**given, "shape": [len(data)], "data": data}
            id = {} if asked.id is None else {"id": asked.id}
            return json_response({"model_name": model.name, **id, "outputs": [output]})


def _readiness(models: Sequence[ServedModel], about: dict[str, Any]) -> Response:
    """Whether models can predict: they are loaded, but their files may have changed since."""
    ready = all(model.is_unchanged for model in models)
    response = json_response({**about, "ready": ready})
    response.status_code = 200 if ready else 503
    return response


def _tensors(model: ServedModel) -> tuple[dict[str, Any], dict[str, Any]]:
    """The input and the output of a model."""
    names = ("text", "image") if model.generates else ("image", "prediction")
    taken, given = ({"name": name, "datatype": "BYTES", "shape": [-1]} for name in names)
    return taken, given


async def _predict(
    service: Service, model: ServedModel, request: Request, tensor: Tensor, slot: Slot
) -> list[str]:
    images = await service.in_pool(_images, tensor, model, service.limits, slot)
    note(request.scope, images=len(images))
    predictions = await service.result(model.predict(images, slot.deadline), slot)
    values = await service.values(model, predictions)
    return [atomic_io.json_line(value).decode().rstrip("\n") for value in values]


async def _generate(
    service: Service, model: ServedModel, request: Request, tensor: Tensor, slot: Slot
) -> list[str]:
    note(request.scope, texts=len(tensor.data))
    texts = _flat_texts(tensor, MAX_GENERATED)
    calls = [
        model.worker.call(partial(model.generate, text, 1, 0, None, None), slot.deadline)
        for text in texts
    ]
    made = await asyncio.gather(*(service.result(call, slot) for call in calls))
    return [to_base64(png(stages[-1])) for (stages,) in made]


def _flat_texts(tensor: Tensor, most: int) -> list[str]:
    """The data of a tensor of texts, [N] or [N, 1].

    Raises:
        RequestError: These are no texts, or too many.
    """
    flat = [one for row in tensor.data for one in (row if isinstance(row, list) else [row])]
    if tensor.datatype != "BYTES" or not all(isinstance(one, str) for one in flat):
        raise RequestError(400, "texts of the datatype BYTES are expected")
    if not flat or len(flat) != math.prod(tensor.shape):
        raise RequestError(400, "as many values are expected as the shape says")
    if len(flat) > most:
        raise RequestError(413, f"at most {most} values are expected")
    return flat


def _images(tensor: Tensor, model: ServedModel, limits: Limits, slot: Slot) -> list[Image]:
    """The images of a tensor."""
    if tensor.datatype == "BYTES":
        try:
            files = [
                base64.b64decode(text, validate=True) for text in _flat_texts(tensor, limits.images)
            ]
        except (binascii.Error, ValueError):
            raise RequestError(400, "image files in base64 are expected") from None
        return uploads.decode(files, model.predictor.reading, limits, slot)
    from foveate.inference.inputs import to_image

    values = _numbers(tensor)
    batch = values if values.ndim == 4 else values[None]
    if len(batch) > limits.images:
        raise RequestError(413, f"at most {limits.images} images are expected")
    slot.hold(values.nbytes)
    channels, reading = model.predictor.channels, model.predictor.reading
    try:
        return [to_image(image, channels, reading=reading) for image in batch]
    except BadImage as error:
        raise uploads.bad_image(error) from None


def _numbers(tensor: Tensor) -> NDArray[Any]:
    """The array of a tensor of numbers, whose data may be flat or nested.

    Raises:
        RequestError: It is none.
    """
    kind = _TYPES.get(tensor.datatype)
    if kind is None:
        expected = ", ".join(["BYTES", *_TYPES])
        raise RequestError(400, f"one of the datatypes {expected} is expected")
    shape = tensor.shape
    sound = len(shape) in (3, 4) and all(0 < side <= MAX_NUMBERS for side in shape)
    if not sound or math.prod(shape) > MAX_NUMBERS:
        raise RequestError(
            400,
            "an image [H, W, C] or images [N, H, W, C] are expected, of at most "
            f"{MAX_NUMBERS:,} values; larger ones can be sent as files",
        )
    try:
        values = np.array(tensor.data)
        is_float = kind in (np.float32, np.float64)
        # Neither texts nor, for whole numbers, fractions: they would be cut off in silence.
        kinds = "biuf" if is_float else "biu"
        if values.dtype.kind not in kinds or values.size != math.prod(shape):
            raise ValueError
        largest = 1 if kind is np.bool_ else None if is_float else np.iinfo(kind).max
        if largest is not None and not (values.min() >= 0 and values.max() <= largest):
            raise ValueError
        return values.reshape(shape).astype(kind)
    except (ValueError, TypeError, OverflowError):
        raise RequestError(
            400, f"as many numbers of the type {tensor.datatype} are expected as the shape says"
        ) from None
