"""What a server refuses: too much, too many, damaged, of other sites; each with one sentence."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
import zlib

import httpx
import numpy as np
import pytest

from foveate.errors import SettingError
from foveate.serving.limits import MIB, Limits
from helpers.command_line import refused
from helpers.served import begun, connected, png_bytes, response, serving

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = Limits(upload=200_000, pixels=10_000, images=3, requests=2, memory=300_000, seconds=3)
GOOD = png_bytes(np.full((16, 16, 1), 77, np.uint8))


@pytest.fixture(scope="module")
def small(runs):
    """A server with small limits, and its service."""
    with serving({"m": runs["classification"]}, SMALL) as made:
        yield made


@pytest.fixture(scope="module")
def client(small):
    with httpx.Client(base_url=small[0], timeout=20) as client:
        yield client


def bomb() -> bytes:
    """A PNG of a few kilobytes that announces 400 megapixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return len(data).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")

    head = (20_000).to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    pixels = zlib.compress(bytes(20_001 * 1000), 9)
    signature = b"\x89PNG\r\n\x1a\n"
    return signature + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
MULTIPART = {"content-type": "multipart/form-data; boundary=x"}
BAD = {
    "empty": (b"", {}, 400, "empty body"),
    "text": (b"hello", {"content-type": "text/plain"}, 400, "this is none or is damaged"),
    "json": (b'{"path": "/etc/passwd"}', {}, 400, "this is none or is damaged"),
    "a path": (b"/etc/passwd", {}, 400, "this is none or is damaged"),
    "an address": (b"file:///etc/passwd", {}, 400, "this is none or is damaged"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n", {}, 400, "this is none or is damaged"),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', {}, 400, "this is none or is damaged"),
    "cut short": (png_bytes(NOISE)[:3000], {}, 400, "damaged or cut short"),
    "bomb": (bomb(), {}, 400, "at most 10,000 pixels is expected, this one announces more"),
    "large": (bytes(200_001), {}, 413, "a body of at most 200,000 bytes is expected"),
    "compressed": (GOOD, {"content-encoding": "gzip"}, 415, "not compressed"),
    "no boundary": (GOOD, {"content-type": "multipart/form-data"}, 400, "a boundary is expected"),
    "no end": (b"--x\r\n\r\nabc", MULTIPART, 400, "damaged or cut short"),
    "no part": (b"--x--\r\n", MULTIPART, 400, ""),
    "no multipart": (b"abc--x--", MULTIPART, 400, "damaged or cut short"),
    "empty part": (
        b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n--x--\r\n',
        MULTIPART,
        400,
        "empty body or part",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_image_is_refused_in_one_sentence(client, case):
    body, headers, status, said = BAD[case]
    answer = client.post("/predict", content=body, headers=headers)
    error = answer.json()["error"]
    assert (answer.status_code, said in error) == (status, True), error
    assert "\n" not in error
    assert "--set" not in error
    assert client.post("/predict", content=GOOD).status_code == 200


def test_too_many_images_are_refused(client):
    many = [("image", GOOD)] * 4
    answer = client.post("/predict", files=many)
    assert answer.status_code == 413
    assert answer.json() == {"error": "at most 3 images are expected"}
    assert len(client.post("/predict", files=many[:3]).json()) == 3


def test_several_images_are_not_drawn(client):
    files, accept = [("image", GOOD)] * 2, {"accept": "image/png"}
    answer = client.post("/predict", files=files, headers=accept)
    assert answer.status_code == 406


def test_a_body_that_does_not_tell_its_size_is_cut_off(client):
    answer = client.post("/predict", content=(bytes(10_000) for _ in range(30)))
    assert answer.status_code == 413
    assert client.post("/predict", content=iter([GOOD[:50], GOOD[50:]])).status_code == 200


def test_a_slow_upload_ends_at_the_deadline(small, client):
    with begun(small[0], len(GOOD), GOOD[:20]) as connection:
        assert response(connection) == (408, {"error": "the body did not arrive in time"})
    assert client.post("/predict", content=GOOD).status_code == 200


def test_an_upload_that_breaks_off_leaves_nothing(small, client):
    for _ in range(20):
        with begun(small[0], len(GOOD), GOOD[:20]):
            pass
    wait_for(lambda: client.post("/predict", content=GOOD).status_code == 200)
    admission = small[1].models["m"].admission
    wait_for(lambda: (admission.requests, admission.size) == (0, 0))


def test_no_more_requests_are_admitted_than_allowed(small, client):
    admission = small[1].models["m"].admission
    with begun(small[0], len(GOOD), b"") as first, begun(small[0], len(GOOD), b"") as second:
        wait_for(lambda: admission.requests == 2)
        answer = client.post("/predict", content=GOOD)
        assert answer.status_code == 429
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert "takes no more at once" in answer.json()["error"]
        for connection in (first, second):
            connection.sendall(GOOD)
            assert response(connection)[0] == 200
    wait_for(lambda: admission.requests == 0)
    assert client.post("/predict", content=GOOD).status_code == 200


def test_the_memory_of_all_requests_is_bounded(client):
    large = png_bytes(np.zeros((100, 100, 3), np.uint8)), png_bytes(NOISE)
    files = [("image", one) for one in (*large, large[0])]
    assert client.post("/predict", files=files).status_code == 200
    body = {"content": bytes(199_000)}  # held as it came, and as its parts
    assert client.post("/predict", **body).status_code == 400


def test_a_model_that_is_too_slow_costs_no_more_than_the_deadline(small, client):
    model, free = small[1].models["m"], threading.Event()
    model.worker.call(free.wait, float("inf"))
    start = time.monotonic()
    answer = client.post("/predict", content=GOOD)
    assert answer.status_code == 503
    assert "retry-after" in answer.headers
    assert 2.5 < time.monotonic() - start < 8
    free.set()
    assert client.post("/predict", content=GOOD).status_code == 200


def test_a_model_that_fails_on_one_image_answers_the_others(small, monkeypatch):
    model, free = small[1].models["m"], threading.Event()
    predict, sizes = model.predictor.predict_confident, []

    def failing(images):
        sizes.append(len(images))
        if any(image[0, 0, 0] == 5 for image in images):
            raise ValueError("five")
        return predict(images)

    monkeypatch.setattr(model.predictor, "predict_confident", failing)
    model.worker.call(free.wait, float("inf"))
    bad, answers = png_bytes(np.full((16, 16, 1), 5, np.uint8)), {}

    def post(name: str, image: bytes) -> None:
        answers[name] = httpx.post(f"{small[0]}/predict", content=image)

    threads = [threading.Thread(target=post, args=one) for one in (("bad", bad), ("good", GOOD))]
    for thread in threads:
        thread.start()
    wait_for(lambda: model.worker.waiting == 2)
    free.set()
    for thread in threads:
        thread.join()
    assert answers["good"].status_code == 200
    assert answers["bad"].status_code == 500
    number = answers["bad"].headers["x-request-id"]
    assert number in answers["bad"].json()["error"]
    assert "five" not in answers["bad"].text
    assert sizes == [2, 1, 1]


def test_a_model_whose_files_change_is_not_used_on(small, client, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(type(small[1].models["m"].predictor), "fingerprint", "another")
        answer = client.post("/predict", content=GOOD)
    assert answer.status_code == 503
    assert "restart the server" in answer.json()["error"]
    assert client.post("/predict", content=GOOD).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"host": "evil.example"},
        {"host": "localhost.evil.example"},
        {"origin": "null"},
    ],
)
def test_other_sites_are_not_answered(client, headers):
    answer = client.post("/predict", content=GOOD, headers=headers)
    assert answer.status_code == 403


def test_its_own_page_is_answered(small, client):
    assert client.post("/predict", content=GOOD, headers={"origin": small[0]}).status_code == 200


def test_every_response_has_a_number_and_forbids_what_comes_from_elsewhere(client):
    for url in ("/", "/docs", "/models", "/nowhere"):
        answer = client.get(url)
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert re.fullmatch("[0-9a-f]{16}", answer.headers["x-request-id"])
    own = client.get("/models", headers={"x-request-id": "my-7"})
    assert own.headers["x-request-id"] == "my-7"
    odd = client.get("/models", headers={"x-request-id": 'a"b' * 50})
    assert re.fullmatch("[0-9a-f]{16}", odd.headers["x-request-id"])


def test_unknown_addresses_and_methods_are_refused_as_json(client):
    for answer, status in ((client.get("/x/../../etc"), 404), (client.get("/predict"), 405)):
        assert answer.status_code == status
        assert list(answer.json()) == ["error"]
    assert client.post("/predict?masks=perhaps", content=GOOD).status_code == 400


def test_without_the_token_nothing_of_a_model_is_told(runs):
    token = "0123456789abcdef"
    with (
        serving({"m": runs["classification"]}, SMALL, token) as (address, _),
        httpx.Client(base_url=address) as client,
    ):
        for header in ({}, {"authorization": "Bearer 0123456789abcdeF"}, {"authorization": token}):
            for answer in (
                client.post("/predict", content=GOOD, headers=header),
                client.get("/models", headers=header),
                client.get("/metrics", headers=header),
                client.get("/v2/models/m", headers=header),
            ):
                assert answer.status_code == 401
                assert answer.headers["www-authenticate"] == "Bearer"
        client.headers["authorization"] = f"Bearer {token}"
        assert client.post("/predict", content=GOOD).status_code == 200
        del client.headers["authorization"]
        assert client.get("/v2/health/live").status_code == 200
        assert client.get("/").status_code == 200


def test_a_thousand_broken_requests_crash_nothing(small, client):
    rng, started = np.random.default_rng(0), time.monotonic()
    for number in range(1000):
        body = bytearray(GOOD if number % 2 else png_bytes(NOISE[:8, :8]))
        for place in rng.integers(0, len(body), 4):
            body[place] = rng.integers(0, 256)
        answer = client.post("/predict", content=bytes(body[: rng.integers(0, len(body) + 1)]))
        assert answer.status_code in (200, 400), answer.text
    assert client.post("/predict", content=GOOD).status_code == 200
    assert time.monotonic() - started < 60
    admission = small[1].models["m"].admission
    assert (admission.requests, admission.size) == (0, 0)


def test_what_is_no_http_is_refused(small, client):
    rng = np.random.default_rng(1)
    for number in range(50):
        with connected(small[0]) as connection:
            noise = rng.integers(0, 256, 200, dtype=np.uint8).tobytes()
            connection.sendall((b"GET / HTTP/1.1\r\nhost: " if number % 2 else b"") + noise)
            connection.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionError):
                connection.recv(10_000)
    assert client.post("/predict", content=GOOD).status_code == 200


def wait_for(condition, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(upload=513 * MIB), "at most 512 MiB are expected"),
        (Limits(upload=4096 * MIB), "at most 512 MiB are expected"),
        (Limits(pixels=10**9), "at most 346,729,130 pixels are expected"),
        (Limits(upload=512 * MIB, pixels=200_000_000), "at most 178,956,970 pixels"),
        (Limits(memory=2 * MIB, upload=2 * MIB), "at most 1 MiB"),
    ],
    ids=str,
)
def test_a_request_that_could_never_fit_is_refused_at_the_start(limits, message):
    with pytest.raises(SettingError, match=message):
        limits.check()


def test_the_largest_limits_that_fit_are_taken(tmp_path):
    Limits().check()
    Limits(upload=512 * MIB).check()
    assert "--max-mb" in refused("serve", tmp_path, "--max-mb", 1024)
    assert "--max-pixels" in refused("serve", tmp_path, "--max-pixels", 10**9)
