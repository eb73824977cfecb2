"""A page on this machine that shows images as they come: Motion JPEG, which all browsers play.

OpenCV without a window, as it is installed on servers, cannot show anything. A page works there
too, through a tunnel. It is bound to 127.0.0.1, and its address holds a secret, as what a camera
sees is nobody else's business: other users of the machine and pages of others cannot guess it.
"""

from __future__ import annotations

import contextlib
import html
import io
import json
import re
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import PIL.Image

from foveate.data.dataset import Image

_QUALITY = 85
_MAX_STREAMS = 8
_LOCAL = re.compile(r"(localhost|127\.0\.0\.1)(:\d+)?")
_SECONDS = 10.0  # without a new image, or with a client that takes nothing
# Chromium shows an image once it has the head of the next one: that is sent at once, too.
_NEXT = b"--image\r\nContent-Type: image/jpeg\r\n\r\n"
_POLICY = (
    "default-src 'none'; img-src 'self'; connect-src 'self'; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
)
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width">
<style>
:root {{ color-scheme: light dark; }}
body {{ margin: 0; padding: 20px; font: 16px/1.5 system-ui, sans-serif; text-align: center; }}
img {{ width: 100%; height: 78vh; object-fit: contain; }}
@media (orientation: portrait) {{ img {{ height: auto; max-height: 78vh; }} }}
p {{ margin: 12px 0 0; }} .state {{ opacity: .7; font-size: 14px; }}
</style></head>
<body><img src="stream" alt="The newest image with its predictions">
<p class="summary" aria-live="polite"></p><p class="state">{title}</p>
<script>
const show = (name, text) => document.querySelector(name).textContent = text;
const ended = {title_json} + ": it has ended. This is the last image.";
async function follow() {{
  try {{
    for (let state = {{ images: -1 }}; !state.ended;) {{
      state = await (await fetch("state?after=" + state.images)).json();
      show(".summary", state.summary);
      show(".state", {title_json} + ": " + state.rate.toFixed(1) + " images a second");
    }}
  }} catch {{}}
  show(".state", ended);
}}
follow();
</script></body></html>
"""


@dataclass(frozen=True)
class _Shown:
    """What the page shows now; `ended` if no other image comes."""

    number: int = 0
    jpeg: bytes = b""
    summary: str = ""
    rate: float = 0.0
    ended: bool = False


class LivePage:
    """A server of the page in threads of its own.

    Args:
        title: Of the page.

    Attributes:
        address: Of the page, with its secret.
    """

    def __init__(self, title: str):
        self._title = title
        self._shown, self._closed = _Shown(), False
        self._news = threading.Condition()
        self._streams = threading.BoundedSemaphore(_MAX_STREAMS)
        self._secret = secrets.token_urlsafe(16)
        page = self

        class Handler(_Handler):
            live = page

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}/{self._secret}/"
        threading.Thread(target=self._server.serve_forever, name="live page", daemon=True).start()

    def show(self, image: Image, summary: str, rate: float) -> None:
        """Show the next image.

        Args:
            image: (H, W, 3) uint8.
            summary: A line below it.
            rate: Images a second.
        """
        content = io.BytesIO()
        PIL.Image.fromarray(image).save(content, "JPEG", quality=_QUALITY)
        with self._news:
            number = self._shown.number + 1
            self._shown = _Shown(number, content.getvalue(), summary, rate)
            self._news.notify_all()

    def finish(self) -> None:
        """Keep the last image, and say that it is the last."""
        with self._news:
            self._shown = replace(self._shown, ended=True)
            self._news.notify_all()

    def close(self) -> None:
        """End all streams, and the server."""
        with self._news:
            self._closed = True
            self._news.notify_all()
        self._server.shutdown()
        self._server.server_close()

    def content(self, path: str) -> tuple[str, bytes] | None:
        """Type and content of a path below the secret; None if there is none, or it is a stream.

        The state after an image waits for the next one, so that words come with their image.
        """
        path, _, query = path.partition("?")
        before, _, name = path.removeprefix("/").partition("/")
        if not secrets.compare_digest(before.encode(), self._secret.encode()):
            return None
        if name == "":
            words = html.escape(self._title)
            escaped = json.dumps(self._title).replace("<", "\\u003c")
            return "text/html; charset=utf-8", _PAGE.format(
                title=words, title_json=escaped
            ).encode()
        if name == "state":
            after = re.fullmatch(r"after=(\d{1,15})", query)
            shown = (self._after(int(after[1])) if after else None) or self._shown
            state = {
                "images": shown.number, "summary": shown.summary, "rate": shown.rate,
                "ended": shown.ended or self._closed,
            }  # fmt: skip
            return "application/json", json.dumps(state).encode()
        return None

    def is_stream(self, path: str) -> bool:
        """Whether a path is that of the images."""
        return secrets.compare_digest(path.encode(), f"/{self._secret}/stream".encode())

    def images(self) -> Iterator[bytes]:
        """Each new image as JPEG; those that come while one is sent are left out."""
        last = 0
        while (shown := self._after(last)) is not None:
            if shown.number > last:
                last = shown.number
                yield shown.jpeg
            elif shown.ended:
                return

    def _after(self, last: int) -> _Shown | None:
        """The next image, or the same one if there is none for long; None once it is closed."""

        def is_news() -> bool:
            return self._shown.number > last or self._shown.ended or self._closed

        with self._news:
            self._news.wait_for(is_news, _SECONDS)
            return None if self._closed else self._shown

    @contextlib.contextmanager
    def streaming(self) -> Iterator[bool]:
        """Whether one more stream may begin, for the block."""
        free = self._streams.acquire(blocking=False)
        try:
            yield free
        finally:
            if free:
                self._streams.release()


class _Handler(BaseHTTPRequestHandler):
    live: LivePage
    timeout = _SECONDS

    def do_GET(self) -> None:
        """Answer one request."""
        # A page of another host whose name was made to point here sends that name.
        if not _LOCAL.fullmatch(self.headers.get("Host", "").lower()):
            self.send_error(403)
        elif self.live.is_stream(self.path):
            self._stream()
        elif (found := self.live.content(self.path)) is not None:
            self._head(found[0])
            self.send_header("Content-Length", str(len(found[1])))
            self.end_headers()
            self.wfile.write(found[1])
        else:
            self.send_error(404)

    def _stream(self) -> None:
        with self.live.streaming() as free:
            if not free:
                self.send_error(503)
                return
            self._head("multipart/x-mixed-replace; boundary=image")
            self.end_headers()
            with contextlib.suppress(OSError):  # the browser has gone
                self.wfile.write(_NEXT)
                for jpeg in self.live.images():
                    self.wfile.write(jpeg + b"\r\n" + _NEXT)

    def _head(self, kind: str) -> None:
        self.send_response(200)
        for name, value in (
            ("Content-Type", kind), ("Content-Security-Policy", _POLICY),
            ("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
        ):  # fmt: skip
            self.send_header(name, value)

    def log_message(self, *words: Any) -> None:
        """Requests are not printed: their paths hold the secret."""
