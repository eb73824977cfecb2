"""What every request passes first: its number, its token, its log line, and what a page may do."""

from __future__ import annotations

import hmac
import json
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import UTC, datetime
from typing import Any

from foveate.serving.limits import RequestError
from foveate.serving.metrics import Metrics

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN_PATHS = frozenset(
    {"/", "/page.js", "/marks.js", "/page.css", "/docs", "/docs.js", "/openapi.json"}
    | {"/v2/health/live", "/v2/health/ready"}
)
"""What is answered without a token: nothing of it tells of a model."""
LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data: blob:; media-src 'self' blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""The Content-Security-Policy of every response: a page loads nothing from elsewhere."""
_HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_MAX_LOGGED_PATH = 200
_UNREAD = (408, 413)  # statuses with which a part of the body may still come

log = logging.getLogger("foveate.serving")


class JsonFormatter(logging.Formatter):
    """A log record as a JSON object on one line, without anything of an image."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": moment, "level": record.levelname.lower(), "message": record.getMessage()}
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def note(scope: Scope, **fields: Any) -> None:
    """Add something to the log line of a request."""
    scope.setdefault("foveate", {}).update(fields)


class Guard:
    """Passes requests on to the app, if they may.

    Args:
        app: The app.
        metrics: Counts the requests.
        token: What clients must send as `Authorization: Bearer TOKEN`; None: nothing.
    """

    def __init__(self, app: App, metrics: Metrics, token: str | None):
        self._app, self._metrics, self._token = app, metrics, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value for name, value in reversed(scope["headers"])}
        given = headers.get("x-request-id", b"").decode("latin-1")
        number = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        scope["foveate"] = fields = {"request": number}
        start, status = time.perf_counter(), 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = (*_HEADERS, (b"x-request-id", number.encode()))
                names = {name for name, _ in own}
                kept = [pair for pair in message["headers"] if pair[0] not in names]
                message["headers"] = [*kept, *own]
            await send(message)

        try:
            self._check(scope, headers)
            await self._app(scope, receive, answer)
        except RequestError as error:
            await _send_error(answer, error)
        except Exception:  # a bug, or a client that has gone: it has its response already
            log.exception("a request failed", extra={"fields": {"request": number}})
        seconds = time.perf_counter() - start
        route = getattr(scope.get("route"), "path", "unknown")
        self._metrics.answered(route, status, seconds)
        fields |= {"method": scope["method"], "path": scope["path"][:_MAX_LOGGED_PATH]}
        fields |= {"status": status, "ms": round(1000 * seconds, 1)}
        log.info("request", extra={"fields": fields})

    def _check(self, scope: Scope, headers: dict[str, bytes]) -> None:
        """Refuse whoever has no token; without one, pages of other sites.

        A page that the user opens elsewhere can send requests to this machine, also under a name
        of its own that it has resolve to 127.0.0.1.
        """
        if self._token is not None:
            sent = headers.get("authorization", b"")
            expected = b"Bearer " + self._token.encode()
            if scope["path"] not in OPEN_PATHS and not hmac.compare_digest(sent, expected):
                raise RequestError(
                    401, "the token of the server is expected as: Authorization: Bearer TOKEN"
                )
            return
        host = headers.get("host", b"").decode("latin-1").lower()
        if re.sub(r":\d*$", "", host) not in LOCAL_NAMES:
            raise RequestError(
                403, "a request to localhost or 127.0.0.1 is expected, as the server has no token"
            )
        origin = headers.get("origin")
        if origin is not None and origin.decode("latin-1").lower() != f"http://{host}":
            raise RequestError(403, "a request of another site is not answered")


def error_parts(error: RequestError) -> tuple[bytes, dict[str, str]]:
    """The body and the headers of the response to a request that is refused."""
    headers = {"content-type": "application/json"}
    if error.retry_after is not None:
        headers["retry-after"] = str(error.retry_after)
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    if error.status in _UNREAD:
        headers["connection"] = "close"
    return json.dumps({"error": error.message}).encode(), headers


async def _send_error(send: Send, error: RequestError) -> None:
    body, headers = error_parts(error)
    headers["content-length"] = str(len(body))
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
