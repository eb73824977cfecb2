"""The simple way to ask: /predict, and /encode, /click and /generate for those who can."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from foveate.serving.limits import RequestError
from foveate.serving.model import png, to_base64
from foveate.serving.service import Service, json_response, parse

MAX_GENERATED = 16
MAX_CLICKS = 200
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


def add_predict(app: FastAPI, service: Service) -> None:
    """Add the route for images."""

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
            images = await service.images(request, model, slot)
            if drawn and len(images) > 1:
                raise RequestError(406, "one image is expected to be drawn, got several")
            future = model.predict(images, slot.deadline)
            predictions = await service.result(future, slot)
            if drawn:
                drawing = await service.in_pool(model.drawing, images[0], predictions[0])
                return Response(drawing, media_type="image/png")
            values = await service.values(model, predictions, masks=masks)
            return json_response(values[0] if len(values) == 1 else values)


def add_clicks_and_texts(app: FastAPI, service: Service) -> None:
    """Add the routes of promptable models and of models that generate."""

    @app.post("/encode", summary="Encode an image for clicks", openapi_extra=_IMAGE_BODY)
    async def encode(request: Request, model_name: ModelName = None) -> Response:
        """Gives a session, which /click takes as long as it is not the oldest of many."""
        model = service.find(model_name)
        with service.slot(request, model) as slot:
            images = await service.images(request, model, slot)
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


def _body_of(schema: type[BaseModel]) -> dict[str, Any]:
    content = {"application/json": {"schema": schema.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}
