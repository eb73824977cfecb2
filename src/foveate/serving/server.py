"""The process that serves: a socket, the loaded models, and an orderly end."""

from __future__ import annotations

import errno
import logging
import os
import re
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foveate.errors import SettingError
from foveate.serving.limits import Limits

if TYPE_CHECKING:
    from foveate.inference.predictor import Predictor

TOKEN_VARIABLE = "FOVEATE_TOKEN"
LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")
MIN_TOKEN = 16
"""Characters that a token must have."""
MAX_CONNECTIONS = 1024
CLOSING_SECONDS = 5.0
"""How long the end waits for a computation whose request was answered with 503 already."""
_LIBRARIES = ("fastapi", "uvicorn", "python_multipart", "prometheus_client")


def check_libraries() -> None:
    """Check that the extra is installed.

    Raises:
        SettingError: A library is missing.
    """
    from importlib.util import find_spec

    if missing := [name for name in _LIBRARIES if find_spec(name) is None]:
        raise SettingError(
            f"the library {missing[0]} is expected, which is not installed",
            where="serve",
            remedy="Install it: pip install 'foveate[serve]'",
        )


def find_token(host: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """The token that clients must send; None if there is none.

    Args:
        host: The address that is bound.
        environment: Where FOVEATE_TOKEN is set.

    Raises:
        SettingError: Other machines may connect without one, or it is too short.
    """
    token = environment.get(TOKEN_VARIABLE) or None
    if token is None and host not in LOCAL_HOSTS:
        raise SettingError(
            "other machines may connect, so a token is expected",
            where=f"--host {host}",
            remedy=f"Set one: export {TOKEN_VARIABLE}=$(openssl rand -hex 16)",
        )
    if token is not None and not (token.isascii() and token.isprintable() and " " not in token):
        raise SettingError("printable ASCII without spaces is expected", where=TOKEN_VARIABLE)
    if token is not None and len(token) < MIN_TOKEN:
        raise SettingError(
            f"at least {MIN_TOKEN} characters are expected, got {len(token)}", where=TOKEN_VARIABLE
        )
    return token


def bind(host: str, port: int) -> socket.socket:
    """Take a port.

    Raises:
        SettingError: It is taken, forbidden, or there is no such host.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise SettingError(
            f"an address of this machine is expected ({error.strerror})", where=f"--host {host}"
        ) from None
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(MAX_CONNECTIONS)
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRINUSE:
            raise SettingError(
                "this port is taken by another program",
                where=f"--port {port}",
                remedy="Name another port, or end that program.",
            ) from None
        raise SettingError(
            f"this address cannot be used ({error.strerror})", where=f"{host}:{port}"
        ) from None
    return bound


def names_of(models: Sequence[str]) -> list[str]:
    """What clients call models: the last part of each path, with -2 and so on where two are alike.

    RUN/model.onnx, as an export is named by default, is called RUN.

    Args:
        models: Paths of runs or references of foundation models.
    """
    names: list[str] = []
    for model in models:
        path = Path(model.partition(":")[2] or model).resolve()
        last = path.parent.name if path.stem == "model" and path.suffix else path.name
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", last).strip("-.")
        name, number = plain or "model", 1
        while name in names:
            number += 1
            name = f"{plain or 'model'}-{number}"
        names.append(name)
    return names


def serve(
    models: Mapping[str, Predictor],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    limits: Limits = Limits(),
    say: Callable[[str], None] = print,
) -> bool:
    """Serve models until the process is asked to end, and finish what was accepted.

    Args:
        models: The models by the names that clients call them.
        host: The address to bind; for any other than this machine's own a token is needed.
        port: The port; 0 takes a free one.
        limits: What is taken at most.
        say: Receives a line on what is served where.

    Returns:
        Whether all threads have ended. Otherwise one computes what nobody waits for any more.

    Raises:
        SettingError: The port is taken, a limit contradicts another one, or a library or the token
            is missing.
        FoveateError: A model cannot be used.
    """
    check_libraries()
    limits.check()
    token = find_token(host)
    bound = bind(host, port)
    try:
        return _serve(models, bound, token, limits, say)
    finally:
        bound.close()


def _serve(
    models: Mapping[str, Predictor],
    bound: socket.socket,
    token: str | None,
    limits: Limits,
    say: Callable[[str], None],
) -> bool:
    import uvicorn

    from foveate.serving.app import build_app
    from foveate.serving.model import ServedModel
    from foveate.serving.service import Service

    served = [ServedModel(name, predictor, limits) for name, predictor in models.items()]
    for model in served:
        model.load()
    service = Service(served, limits)
    config = uvicorn.Config(
        build_app(service, token),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        ws="none",
        timeout_keep_alive=30,
        timeout_graceful_shutdown=int(limits.seconds) + 5,
        limit_concurrency=MAX_CONNECTIONS,
    )
    host, port = bound.getsockname()[:2]
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    server = uvicorn.Server(config)
    with _logging_json(), _signals_end(server):
        say(f"serving {', '.join(models)} at {address}")
        server.run(sockets=[bound])
        busy = service.close(CLOSING_SECONDS)
    say("every request that was accepted is answered")
    if busy:
        say(f"broken off: what {', '.join(busy)} still computed for requests answered with 503")
    return not busy


@contextmanager
def _signals_end(server: Any) -> Iterator[None]:
    """Let SIGTERM and Ctrl-C end the server with exit code 0, once it has finished.

    uvicorn handles both while it runs, and raises them again afterwards.
    """

    def end(number: int, frame: Any) -> None:  # noqa: ARG001
        server.should_exit = True

    before = {one: signal.signal(one, end) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


@contextmanager
def _logging_json() -> Iterator[None]:
    """Write what is logged as JSON lines on the standard error."""
    from foveate.serving.guard import JsonFormatter

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    loggers = [logging.getLogger(name) for name in ("foveate.serving", "uvicorn")]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
            logger.propagate = True
