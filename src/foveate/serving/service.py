"""The models of a server, and what all requests share: slots, threads, deadlines, JSON."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from fastapi import Request, Response
from pydantic import BaseModel, ValidationError

from foveate import atomic_io
from foveate.data.dataset import Image
from foveate.errors import FoveateError
from foveate.serving import uploads
from foveate.serving.batching import too_late
from foveate.serving.guard import note
from foveate.serving.limits import Limits, RequestError, Slot
from foveate.serving.metrics import Metrics
from foveate.serving.model import ServedModel
from foveate.wording import escape_controls

T = TypeVar("T")

MAX_VALUES = 5_000
"""Values of a JSON body, unless it holds a tensor."""


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

    async def images(self, request: Request, model: ServedModel, slot: Slot) -> list[Image]:
        """The images of a request; see `uploads`."""
        body = await self.body(request, slot)
        kind = request.headers.get("content-type", "")

        def decode() -> list[Image]:
            files = uploads.split_body(body, kind, self.limits)
            return uploads.decode(files, model.predictor.reading, self.limits, slot)

        images = await self.in_pool(decode)
        note(request.scope, images=len(images))
        return images

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

    def close(self, seconds: float = float("inf")) -> list[str]:
        """Finish what was accepted.

        Args:
            seconds: How long to wait for all models together.

        Returns:
            The models that still compute something.
        """
        deadline = time.monotonic() + seconds
        busy = [one.name for one in self.models.values() if not one.worker.close(deadline)]
        self.pool.shutdown(wait=not busy, cancel_futures=True)
        return busy


def parse(schema: type[T], body: bytes, most: int = MAX_VALUES) -> T:
    """Read a JSON body.

    Args:
        schema: What it must be.
        body: The body.
        most: Values that it may have. They are counted before they are read: reading millions
            takes seconds, in which no other request is answered.

    Raises:
        RequestError: It is no JSON, has too many values, or is not as the schema says.
    """
    if sum(body.count(mark) for mark in (b",", b"[", b"{")) > most:
        raise RequestError(413, f"a JSON body of at most {most:,} values is expected")
    assert issubclass(schema, BaseModel)
    try:
        return schema.model_validate_json(body)
    except ValidationError as error:
        raise RequestError(400, describe_problem(error.errors()[0])) from None


def json_response(value: Any) -> Response:
    """Values as strict JSON, as files of predictions have them."""
    return Response(atomic_io.json_line(value), media_type="application/json")


def describe_problem(problem: Mapping[str, Any]) -> str:
    """The first problem of a request in one sentence."""
    where = ".".join(str(part) for part in problem["loc"] if part not in ("query", "body"))
    return escape_controls(f"{where or 'body'}: {problem['msg']}"[:300])
