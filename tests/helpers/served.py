"""Servers as processes of their own and as threads of this one."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import uvicorn
from PIL import Image

import foveate as fv
from foveate.inference.predictor import Predictor
from foveate.serving.app import build_app
from foveate.serving.limits import Limits
from foveate.serving.model import ServedModel
from foveate.serving.server import bind
from foveate.serving.service import Service


def _opened(path: Path) -> Predictor:
    exported = fv.ExportedModel.is_one(path)
    return fv.ExportedModel.open(path) if exported else fv.Run.open(path)


@contextlib.contextmanager
def serving(
    paths: dict[str, Path], limits: Limits = Limits(), token: str | None = None
) -> Iterator[tuple[str, Service]]:
    """A server on a thread of this process; yields its address and its service."""
    models = [ServedModel(name, _opened(path), limits) for name, path in paths.items()]
    for model in models:
        model.load()
    service, bound = Service(models, limits), bind("127.0.0.1", 0)
    config = uvicorn.Config(
        build_app(service, token),
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        proxy_headers=False,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{bound.getsockname()[1]}", service
    finally:
        server.should_exit = True
        thread.join()
        service.close()
        bound.close()


@contextlib.contextmanager
def process(
    *words: object, port: object = 0, **environment: str
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`foveate serve` as a process of its own; yields it and its address."""
    command = [sys.executable, "-m", "foveate", "serve", *map(str, words), "--port", str(port)]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    ) as server:
        try:
            line = server.stdout.readline()
            found = re.search(r"http://[0-9.]+:\d+", line)
            assert found, line + server.stderr.read()
            yield server, found[0].replace("0.0.0.0", "127.0.0.1")
        finally:
            if server.poll() is None:
                server.kill()
                server.communicate()


def png_bytes(image: np.ndarray) -> bytes:
    """An image (H, W, C) as a PNG file."""
    content = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(content, "PNG")
    return content.getvalue()


def connected(address: str) -> socket.socket:
    """A connection to a server."""
    host, port = address.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=30)


@contextlib.contextmanager
def begun(address: str, size: int, sent: bytes) -> Iterator[socket.socket]:
    """A connection on which the head of a request and a part of its body were sent."""
    with connected(address) as connection:
        head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n"
        connection.sendall(head.encode() + sent)
        yield connection


def response(connection: socket.socket) -> tuple[int, dict]:
    """The status and the JSON body of the response on a connection."""
    with connection.makefile("rb") as file:
        status, size = int(file.readline().split()[1]), 0
        while (line := file.readline().strip()) != b"":
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                size = int(value)
        return status, json.loads(file.read(size))
