"""A model that is served: a predictor, the thread that computes it, and the requests it has."""

from __future__ import annotations

import base64
import contextlib
import io
import secrets
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from foveate.annotations import Instances
from foveate.data.dataset import Image
from foveate.errors import SettingError
from foveate.report.drawing import CLASS_COLOURS, class_colour
from foveate.serving.batching import Worker
from foveate.serving.limits import Admission, Limits, RequestError
from foveate.tasks.capabilities import GeneratesImages, WritesMasks, require

if TYPE_CHECKING:
    from foveate.inference.generate import Generator
    from foveate.inference.predictor import Predictor
    from foveate.models.interactive import Box, InteractivePredictor
    from foveate.ops.clicks import Click

MAX_SESSIONS = 16
"""Encoded images that are kept for clicks; then the one that was used longest ago goes."""
WARM_UP_SIDE = 32
"""Side in pixels of the grey image that a model predicts before it is ready."""


@dataclass
class _Session:
    """An encoded image, and the prompts that its predictor has had."""

    predictor: InteractivePredictor
    clicks: tuple[Click, ...] = ()
    box: Box | None = None
    mask: NDArray[np.bool_] | None = None


class ServedModel:
    """One model of a server.

    Args:
        name: What clients call it.
        predictor: The model.
        limits: What it takes at most.

    Attributes:
        name: What clients call it.
        predictor: The model.
        admission: The requests that it has.
        worker: The thread on which everything of the model is computed.
        task: Its task.
        generates: Whether it generates images from text, instead of predicting from images.
        interactive: Whether it takes clicks.
        maps: Whether it predicts the class of each pixel.
    """

    def __init__(self, name: str, predictor: Predictor, limits: Limits):
        self.name, self.predictor = name, predictor
        self.admission = Admission(limits)
        self.worker = Worker(name, self._predict, limits.batch)
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self.generates = self.interactive = self.maps = False

    def load(self) -> None:
        """Load the weights and predict once, so that the first request is as fast as the next.

        Raises:
            FoveateError: The model cannot be used.
        """
        self.worker.call(self._load, float("inf")).result()

    def _load(self) -> None:
        self.task = self.predictor.task
        self.generates = isinstance(self.task, GeneratesImages)
        writes_masks = isinstance(self.task, WritesMasks)
        self.maps = writes_masks and not self.task.annotation.has_boxes
        self._fingerprint = self.predictor.fingerprint
        self._card = dict(self.predictor.card)
        if not self.generates:
            side = WARM_UP_SIDE
            grey = np.full((side, side, self.predictor.channels or 3), 128, np.uint8)
            self.predictor.predict_confident([grey])
            with contextlib.suppress(SettingError):  # which says that it takes no prompts
                self.predictor.set_image(grey)
                self.interactive = True

    @property
    def is_unchanged(self) -> bool:
        """Whether the files of the model are those that were loaded."""
        return self.predictor.fingerprint == self._fingerprint

    def _check_unchanged(self) -> None:
        if not self.is_unchanged:
            raise RequestError(
                503, "the files of the model have changed since it was loaded: restart the server"
            )

    def _predict(self, images: list[Image]) -> Sequence[Any]:
        self._check_unchanged()
        return self.predictor.predict_confident(images)

    # --- what a prediction is written as

    def predict(self, images: list[Image], deadline: float) -> Future[Sequence[Any]]:
        """Predict for images; see `Worker.predict`.

        Raises:
            RequestError: The model predicts nothing from images.
        """
        if self.generates:
            raise RequestError(
                400, f"the model {self.name} generates images: send a text to /generate"
            )
        return self.worker.predict(images, deadline)

    def values(self, prediction: Any, *, masks: bool = False) -> dict[str, Any]:
        """A prediction as `foveate predict --json` writes it.

        Args:
            prediction: An annotation of the task.
            masks: Whether to add its masks as PNG files in base64.

        Raises:
            RequestError: It has no masks.
        """
        values = self.task.to_dict(prediction)
        return {**values, "masks": self._masks(prediction)} if masks else values

    def _masks(self, prediction: Any) -> list[dict[str, Any]]:
        try:
            images = require(self.task, WritesMasks).mask_images(self.task.confident(prediction))
        except SettingError as error:
            raise RequestError(400, error.message) from None
        records: list[dict[str, Any]] = []
        for one in images:
            pillow_image = PIL.Image.fromarray(one.values)
            record: dict[str, Any] = {"name": one.name}
            if one.palette is not None:
                pillow_image.putpalette([value for colour in one.palette for value in colour])
                record["palette"] = [list(colour) for colour in one.palette]
            if one.numbers is not None:
                record["numbers"] = list(one.numbers)
            records.append({**record, "png": to_base64(_png(pillow_image))})
        return records

    def drawing(self, image: Image, prediction: Any) -> bytes:
        """The PNG file that `foveate predict --draw` writes."""
        return png(self.task.draw(image, self.task.confident(prediction)))

    # --- clicks

    def encode(self, image: Image) -> str:
        """Encode an image for clicks; to be called on the worker. Returns the session's name."""
        self._check_unchanged()
        session = _Session(self.predictor.set_image(image))
        name = secrets.token_urlsafe(16)
        self._sessions[name] = session
        while len(self._sessions) > MAX_SESSIONS:
            self._sessions.popitem(last=False)
        return name

    def click(self, name: str, clicks: tuple[Click, ...], box: Box | None) -> dict[str, Any]:
        """Segment the object under clicks; to be called on the worker.

        Clicks are predicted one after the other, each from the mask before it. Those that the
        session has had, in this order, are not computed again.

        Args:
            name: The session.
            clicks: All clicks on the object, (x, y, inside) each.
            box: Left, top, right and bottom of a box around it, or None.

        Raises:
            RequestError: The session is unknown.
            SettingError: A click lies outside of the image, or there is no prompt.
        """
        session = self._sessions.get(name)
        if session is None:
            raise RequestError(404, "the image is no longer encoded: send it to /encode again")
        self._sessions.move_to_end(name)
        done = len(session.clicks)
        if session.mask is None or box != session.box or clicks[:done] != session.clicks:
            session.predictor.reset()
            done, session.mask = 0, None
        rounds: list[tuple[Click, ...]] = [(click,) for click in clicks[done:]]
        if session.mask is None and not rounds:
            rounds = [()]
        try:
            for number, one in enumerate(rounds):
                first = number == 0 and session.mask is None
                session.mask = session.predictor.predict(one, box if first else None)
        except Exception:
            session.mask = None  # the predictor may have had some of them
            raise
        session.clicks, session.box = clicks, box
        assert session.mask is not None
        scores = np.array([session.predictor.predicted_iou])
        return self.task.to_dict(Instances.from_masks(session.mask[None], scores))

    # --- texts

    def generate(
        self, text: str, n: int, seed: int, guidance: float | None, steps: int | None
    ) -> list[Sequence[Image]]:
        """All stages of n images of a text; to be called on the worker.

        Raises:
            RequestError: The model generates none.
            SettingError: The text has a word that was not learnt.
        """
        if not self.generates:
            raise RequestError(
                400, f"the model {self.name} predicts from images: send one to /predict"
            )
        self._check_unchanged()
        generator = cast("Generator", self.predictor)
        return list(generator.stages([text] * n, seed=seed, guidance=guidance, steps=steps))

    # --- what the model is

    def describe(self) -> dict[str, Any]:
        """What a client needs to know of the model, as JSON values."""
        task = self.task
        return {
            "name": self.name,
            "task": task.name,
            "description": task.description,
            "classes": list(task.classes),
            "colours": [class_colour(k) for k in range(len(CLASS_COLOURS))],
            "interactive": self.interactive,
            "maps": self.maps,
            "generates": self.generates,
            "card": self._card,
        }


def png(image: Image) -> bytes:
    """An image (H, W, C) as a PNG file: grey, or its first three channels."""
    return _png(PIL.Image.fromarray(image[..., 0] if image.shape[2] == 1 else image[..., :3]))


def _png(image: PIL.Image.Image) -> bytes:
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()


def to_base64(data: bytes) -> str:
    """Bytes as text."""
    return base64.b64encode(data).decode()
