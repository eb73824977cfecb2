"""The live view: a camera that is a film at the boundary of capture, and the page that shows it."""

from __future__ import annotations

import http.client
import io
import json
import os
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from foveate.cli import predict as predict_command
from foveate.data import camera
from foveate.errors import SettingError
from foveate.inference import live
from foveate.inference.live_page import LivePage
from foveate.tasks.detection import Detection
from helpers import crowded
from helpers.command_line import refused, run_cli


def film(path: Path, count: int = 8) -> Path:
    """A film whose frame n is of green 25 n."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 50, (320, 240))
    for number in range(count):
        writer.write(np.full((240, 320, 3), (0, 25 * number, 0), np.uint8))
    writer.release()
    return path


class FakeCamera:
    """Gives the frames of a film over and over, or once and is then unplugged."""

    def __init__(self, path: Path, *, times: int = 10_000, seconds: float = 0.01):
        self.path, self.times, self.seconds = path, times, seconds
        self.video = cv2.VideoCapture(str(path))
        self.released = False

    def isOpened(self) -> bool:  # noqa: N802
        return self.video.isOpened()

    def read(self) -> tuple[bool, Any]:
        time.sleep(self.seconds)
        found = self.video.read()
        if not found[0] and self.times > 1:
            self.times -= 1
            self.video = cv2.VideoCapture(str(self.path))
            found = self.video.read()
        return found

    def release(self) -> None:
        self.released = True
        self.video.release()


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """A camera with the number 0, and no other."""
    one = FakeCamera(film(tmp_path / "film.mp4"))
    none = FakeCamera(tmp_path / "none.mp4")
    monkeypatch.setattr(camera, "open_capture", lambda number: one if number == 0 else none)
    return one


# --- the camera


def test_a_slow_reader_gets_the_newest_frame_and_never_one_twice(tmp_path, monkeypatch):
    """Frames that nobody took in time are dropped: the view stays live."""
    one = FakeCamera(film(tmp_path / "film.mp4"), times=1, seconds=0.03)
    monkeypatch.setattr(camera, "open_capture", lambda _: one)
    greens: list[int] = []

    def take_all() -> None:
        for frame in camera.frames(0):
            assert frame.shape == (240, 320, 3)
            greens.append(int(frame[..., 1].mean()))
            time.sleep(0.08)

    with pytest.raises(SettingError, match="gave no more frames after"):
        take_all()
    assert greens == sorted(greens)
    assert 2 <= len(set(greens)) == len(greens) < 8
    assert one.released


def test_a_reader_that_stops_frees_the_camera(fake):
    frames = camera.frames(0)
    next(frames)
    frames.close()
    assert fake.released
    with pytest.raises(SettingError, match="number 3 cannot be opened"):
        next(camera.frames(3))


# --- the page


def get(address: str, **headers: str) -> bytes:
    return urllib.request.urlopen(urllib.request.Request(address, headers=headers)).read()


def test_the_page_streams_images_and_is_only_for_who_knows_its_address():
    page = LivePage("<b>run</b>")
    try:
        page.show(np.full((20, 30, 3), 200, np.uint8), "2 <i>cats</i>", 12.5)
        shown = get(page.address).decode()
        assert "&lt;b&gt;run&lt;/b&gt;" in shown
        assert "<b>" not in shown
        state = json.loads(get(page.address + "state"))
        assert state == {"images": 1, "summary": "2 <i>cats</i>", "rate": 12.5, "ended": False}
        with urllib.request.urlopen(page.address + "stream") as stream:
            assert stream.headers["Content-Type"].startswith("multipart/x-mixed-replace")
            for grey in (200, 90):
                assert abs(next_image(stream, first=grey == 200)[0, 0, 0] - grey) < 5
                page.show(np.full((20, 30, 3), 90, np.uint8), "", 1.0)
        root = page.address.rsplit("/", 2)[0]
        for path in ("/", "/stream", "/state", "/x/stream", page.address[len(root) :] + "other"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                get(root + path)
        with pytest.raises(urllib.error.HTTPError, match="403"):
            get(page.address, Host="evil.example")
    finally:
        page.close()
    with pytest.raises(urllib.error.URLError):
        get(page.address)


def test_the_words_of_an_image_come_as_soon_as_it_does():
    page = LivePage("run")
    try:
        page.show(np.zeros((20, 30, 3), np.uint8), "first", 1.0)
        assert json.loads(get(page.address + "state?after=0"))["summary"] == "first"
        threading.Timer(0.3, page.show, (np.zeros((20, 30, 3), np.uint8), "second", 1.0)).start()
        begin = time.monotonic()
        assert json.loads(get(page.address + "state?after=1"))["summary"] == "second"
        assert 0.2 < time.monotonic() - begin < 5
    finally:
        page.close()


def test_a_page_that_is_opened_after_the_end_shows_the_last_image():
    page = LivePage("run")
    try:
        page.show(np.full((20, 30, 3), 90, np.uint8), "the last", 1.0)
        page.finish()
        with urllib.request.urlopen(page.address + "stream") as stream:
            assert abs(next_image(stream, first=True)[0, 0, 0] - 90) < 5
            assert stream.read() == b""
        state = json.loads(get(page.address + "state?after=1"))
        assert (state["summary"], state["ended"]) == ("the last", True)
    finally:
        page.close()


HEAD = [b"--image\r\n", b"Content-Type: image/jpeg\r\n", b"\r\n"]


def next_image(stream: http.client.HTTPResponse, *, first: bool = False) -> np.ndarray:
    """The next image, once the head of the one after it is there: browsers wait for that."""
    if first:
        assert [stream.readline() for _ in HEAD] == HEAD
    content = b""
    while not content.endswith(b"".join(HEAD)):
        content += stream.readline()
    return np.asarray(Image.open(io.BytesIO(content))).astype(int)


# --- the command


def test_a_camera_is_shown_with_its_predictions_until_ctrl_c(fake, monkeypatch):
    """Ctrl-C comes once a browser, here a thread, has seen a frame with boxes."""
    monkeypatch.setattr(predict_command, "open_model", lambda *_: crowded.Crowded(2))
    seen: list[np.ndarray] = []
    finished = threading.Event()

    def watch(address: str) -> None:
        with urllib.request.urlopen(address + "stream", timeout=20) as stream:
            seen.append(next_image(stream, first=True))
        finished.set()

    def opened(address: str) -> None:
        threading.Thread(target=watch, args=(address,), daemon=True).start()

    monkeypatch.setattr(predict_command, "_open_browser", opened)
    images: list[Any] = []
    amounts = Detection.amounts

    def counted(self: Any, prediction: Any) -> dict[str, float]:
        images.append(prediction)
        if finished.is_set() and len(images) > 3:
            raise KeyboardInterrupt
        return amounts(self, prediction)

    monkeypatch.setattr(Detection, "amounts", counted)
    code, out, err = run_cli("predict", crowded.RUN, "0", "--show")
    assert code == 0, err
    assert "live view: http://127.0.0.1:" in out
    assert "2.00 per frame" in out
    assert fake.released
    assert np.ptp(seen[0][:60, :60, 0]) > 100  # a red box on black and green


def test_a_video_is_shown_at_its_own_speed_and_its_page_stays_until_ctrl_c(tmp_path, monkeypatch):
    monkeypatch.setattr(predict_command, "open_model", lambda *_: crowded.Crowded(2))
    addresses: list[str] = []
    states: list[dict[str, Any]] = []

    def late() -> None:
        """Somebody opens the page after the end, looks, and presses Ctrl-C."""
        states.append(json.loads(get(addresses[0] + "state")))
        raise KeyboardInterrupt

    monkeypatch.setattr(live, "wait", late)
    monkeypatch.setattr(predict_command, "_open_browser", addresses.append)
    path = film(tmp_path / "film.mp4")
    begin = time.monotonic()
    code, out, _ = run_cli("predict", crowded.RUN, path, "--show", "--conf", 0.8)
    assert code == 0
    assert time.monotonic() - begin >= 7 / 50
    assert "the film has ended; its page stays until Ctrl-C" in out
    assert "8 objects   1.00 per frame   in 8 frames" in out
    (state,) = states
    assert (state["images"], state["ended"]) == (8, True)


def test_no_page_is_announced_before_there_is_an_image(fake, tmp_path, monkeypatch):
    monkeypatch.setattr(predict_command, "open_model", lambda *_: crowded.Crowded(2))
    (tmp_path / "no.mp4").write_bytes(b"no video")
    for path, message in ((3, "cannot be opened"), (tmp_path / "no.mp4", "a video is expected")):
        code, out, err = run_cli("predict", crowded.RUN, path, "--show")
        assert code
        assert message in err
        assert "live view" not in out + err
        assert "prediction" not in out

    def missing(where: Any) -> Any:
        raise SettingError("OpenCV is not installed", where=where)

    monkeypatch.setattr(camera, "open_capture", missing)
    code, out, err = run_cli("predict", crowded.RUN, 0, "--show")
    assert code
    assert out == ""
    assert "OpenCV is not installed" in err
    del fake


def test_what_cannot_be_shown_is_refused(fake, tmp_path, monkeypatch):
    monkeypatch.setattr(predict_command, "open_model", lambda *_: crowded.Crowded(2))
    image = tmp_path / "x.png"
    Image.new("RGB", (8, 8)).save(image)
    message = refused("predict", crowded.RUN, "0")
    assert "there is no file of this name" in message
    assert "add --show" in message
    for option in (["--pixel-size", 0.5], ["--overwrite"]):
        assert option[0] in refused("predict", crowded.RUN, "0", "--show", *option)
    assert "a camera, or a video" in refused("predict", crowded.RUN, image, "--show")
    assert "cannot be opened" in refused("predict", crowded.RUN, "3", "--show")
    assert "one camera" in refused("predict", crowded.RUN, "0", "1", "--show")
    message = refused("predict", crowded.RUN, "0", "--show", "--json", tmp_path / "p.json")
    assert "writes nothing" in message
    assert "--json" in message
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (8, 8)).save(tmp_path / "0", "PNG")
    assert not live.is_camera(Path("0"))  # a file is a file
    del fake


def test_the_command_line_of_a_browser_does_not_hold_the_address(monkeypatch):
    opened: list[str] = []
    goodbye: list[Any] = []
    monkeypatch.setattr(predict_command.webbrowser, "open", opened.append)
    monkeypatch.setattr(
        predict_command.atexit, "register", lambda *call, **names: goodbye.append((call, names))
    )
    predict_command._open_page("http://127.0.0.1:1234/secret/")
    (uri,) = opened
    assert "secret" not in uri
    page = Path(urllib.request.url2pathname(uri.removeprefix("file://")))
    assert 'content="0;url=http://127.0.0.1:1234/secret/"' in page.read_text()
    if os.name == "posix":
        assert (page.stat().st_mode & 0o777, page.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    (((remove, *rest), names),) = goodbye
    remove(*rest, **names)
    assert not page.parent.exists()
