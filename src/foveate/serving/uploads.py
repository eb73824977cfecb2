"""The images of a request: read and decoded in memory, within the limits.

No name that a client sends is used, nothing is written, and no path from a client is opened.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace

from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from foveate.data.dataset import Image
from foveate.data.image_reading import ImageReading
from foveate.data.images import examine_bytes
from foveate.errors import BadImage
from foveate.serving.limits import Limits, RequestError, Slot
from foveate.wording import escape_controls

MULTIPART = "multipart/form-data"
_DRAIN_SECONDS = 2.0  # in which the rest of a refused body is read, so that the client hears why
_ADVICE = re.compile(r"\s*\(--set [^)]*\)")  # for those who run the server, not for its clients


async def read_body(request: Request, limits: Limits, slot: Slot) -> bytes:
    """Read the body of a request.

    Raises:
        RequestError: It is too large, compressed, cut short, or does not arrive in time.
    """
    if request.headers.get("content-encoding", "identity") != "identity":
        raise RequestError(415, "a body that is not compressed is expected")
    announced = request.headers.get("content-length", "")
    body = bytearray()
    try:
        async with asyncio.timeout(slot.seconds_left):
            if announced.isascii() and announced.isdigit() and int(announced) > limits.upload:
                await _refuse(request, limits)
            async for chunk in request.stream():
                if len(body) + len(chunk) > limits.upload:
                    await _refuse(request, limits)
                slot.hold(len(chunk))
                body += chunk
    except TimeoutError:
        raise RequestError(408, "the body did not arrive in time") from None
    except ClientDisconnect:
        raise RequestError(400, "the body was cut short") from None
    if announced.isascii() and announced.isdigit() and int(announced) != len(body):
        raise RequestError(400, "the body was cut short")
    return bytes(body)


async def _refuse(request: Request, limits: Limits) -> None:
    """Read what comes at once, up to as much again, and refuse it all."""
    size = 0
    try:
        async with asyncio.timeout(_DRAIN_SECONDS):
            while size <= limits.upload:
                message = await request.receive()
                size += len(message.get("body", b""))
                if message["type"] != "http.request" or not message.get("more_body"):
                    break
    except TimeoutError:
        pass
    raise RequestError(413, f"a body of at most {limits.upload:,} bytes is expected")


def split_body(body: bytes, content_type: str, limits: Limits) -> list[bytes]:
    """The files of a multipart body, or the body itself as one file.

    Raises:
        RequestError: There is no file in it, too many, or it is damaged.
    """
    if content_type.partition(";")[0].strip().lower() != MULTIPART:
        files = [body]
    else:
        files = _parts(body, content_type, limits)
    if not files or not all(files):
        raise RequestError(400, "an image is expected, got an empty body or part")
    return files


def _parts(body: bytes, content_type: str, limits: Limits) -> list[bytes]:
    """The contents of the parts of a multipart body."""
    boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
    if not boundary or len(boundary) > 200:
        raise RequestError(400, "a boundary is expected in the content type of multipart")
    if not body.rstrip(b"\r\n").endswith(b"--" + boundary + b"--"):
        raise RequestError(400, "the multipart body is damaged or cut short")
    parts: list[bytearray] = []

    def begin() -> None:
        if len(parts) >= limits.images:
            raise RequestError(413, f"at most {limits.images} images are expected")
        parts.append(bytearray())

    def data(chunk: bytes, start: int, end: int) -> None:
        parts[-1].extend(memoryview(chunk)[start:end])

    try:
        parser = MultipartParser(boundary, {"on_part_begin": begin, "on_part_data": data})
        parser.write(body)
        parser.finalize()
    except RequestError:
        raise
    except Exception:  # whatever a parser raises on a damaged body
        raise RequestError(400, "the multipart body is damaged or cut short") from None
    return [bytes(part) for part in parts]


def decode(
    files: Sequence[bytes], reading: ImageReading, limits: Limits, slot: Slot
) -> list[Image]:
    """Decode image files as `foveate predict` does.

    Args:
        files: The contents of the files.
        reading: How the model reads files.
        limits: How many pixels are allowed.
        slot: Counts the memory.

    Returns:
        (H, W, C) uint8 each.

    Raises:
        RequestError: One is no image, damaged or too large.
    """
    reading = replace(reading, max_pixels=min(reading.max_pixels, limits.pixels))
    images = []
    for number, file in enumerate(files, 1):
        try:
            image = examine_bytes(file, f"image {number}", reading)[0]
        except BadImage as error:
            raise bad_image(error) from None
        slot.hold(image.nbytes)
        images.append(image)
    return images


def bad_image(error: BadImage) -> RequestError:
    """The response to an image that cannot be read."""
    message = _ADVICE.sub("", error.message)
    return RequestError(400, escape_controls(f"{error.where}: {message}"))
