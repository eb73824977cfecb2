"""`foveate serve` as a process: its end, its port, its log, and what is refused at the start."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import numpy as np
import pytest

import foveate as fv
from foveate.inference.exported.model import ExportedModel
from foveate.serving.server import find_token, names_of
from helpers.command_line import refused, run_cli
from helpers.served import begun, png_bytes, process, response

GOOD = png_bytes(np.full((16, 16, 1), 77, np.uint8))
TOKEN = "a-token-of-some-length"


@pytest.fixture(scope="module")
def run(runs):
    return runs["classification"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_was_accepted_is_finished(run, number):
    with (
        process(run) as (server, address),
        begun(address, len(GOOD), GOOD[:30]) as connection,
    ):
        httpx.get(f"{address}/v2/health/live")  # so the upload was accepted before
        server.send_signal(number)
        wait_until_refused(address)
        connection.sendall(GOOD[30:])
        assert response(connection) == (200, fv.predict(run, GOOD).to_dict())
        out, err = server.communicate(timeout=30)
        assert server.returncode == 0, err
        assert "every request that was accepted is answered" in out


def wait_until_refused(address: str) -> None:
    for _ in range(1000):
        try:
            httpx.get(f"{address}/v2/health/live")
        except httpx.TransportError:
            return
    raise AssertionError("the server still accepts requests")


@pytest.mark.slow
def test_a_killed_server_loses_only_what_it_held(run):
    with process(run) as (server, address):
        expected = httpx.post(f"{address}/predict", content=GOOD).json()
        before = sorted(path.name for path in run.iterdir())
        with begun(address, len(GOOD), GOOD[:30]) as connection:
            server.kill()
            server.communicate()
            assert reset(connection)
    assert sorted(path.name for path in run.iterdir()) == before
    port = address.rpartition(":")[2]
    command = [sys.executable, "-m", "foveate", "serve", str(run), "--port", port]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as one:
        try:
            assert address in one.stdout.readline()  # the same port, at once
            assert httpx.post(f"{address}/predict", content=GOOD).json() == expected
        finally:
            one.kill()


def reset(connection: socket.socket) -> bool:
    try:
        return connection.recv(100) == b""
    except ConnectionError:
        return True


@pytest.mark.slow
def test_the_log_has_json_lines_without_the_image(run):
    secret = b"a-name-of-a-patient"
    with process(run) as (server, address):
        files = {"image": (f"{secret.decode()}.png", GOOD)}
        number = {"x-request-id": "mine"}
        httpx.post(f"{address}/predict?token=hidden", files=files, headers=number)
        httpx.post(f"{address}/predict", content=secret)
        server.terminate()
        _, err = server.communicate(timeout=30)
    lines = [json.loads(line) for line in err.splitlines()]
    (good,) = [line for line in lines if line.get("request") == "mine"]
    assert good["status"] == 200
    assert good["images"] == 1
    assert good["model"] == run.name
    assert good["path"] == "/predict"
    assert good["ms"] > 0
    assert "patient" not in err
    assert "hidden" not in err


@pytest.mark.slow
def test_several_models_are_served_by_their_names(runs):
    paths = [runs["classification"], runs["detection"], runs["classification"]]
    with process(*paths) as (_, address):
        names = [one["name"] for one in httpx.get(f"{address}/models").json()]
        assert names == ["classification", "detection", "classification-2"]
        values = httpx.post(f"{address}/predict?model=detection", content=GOOD).json()
        assert list(values) == ["boxes"]


@pytest.mark.slow
def test_a_token_opens_the_server_to_other_machines(run):
    with process(run, "--host", "0.0.0.0", FOVEATE_TOKEN=TOKEN) as (_, address):
        other = {"host": "server.example"}
        answer = httpx.post(f"{address}/predict", content=GOOD, headers=other)
        assert answer.status_code == 401
        sent = {**other, "authorization": f"Bearer {TOKEN}"}
        answer = httpx.post(f"{address}/predict", content=GOOD, headers=sent)
        assert answer.status_code == 200


def test_a_busy_port_is_one_error(run):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        message = refused("serve", run, "--port", port)
    assert f"--port {port}: this port is taken by another program" in message


def test_other_machines_need_a_token(run, monkeypatch):
    monkeypatch.delenv("FOVEATE_TOKEN", raising=False)
    assert "so a token is expected" in refused("serve", run, "--host", "0.0.0.0")
    monkeypatch.setenv("FOVEATE_TOKEN", "short")
    assert "at least 16 characters are expected, got 5" in refused("serve", run)


@pytest.mark.parametrize("token", ["with a space inside it", "naïve-naïve-naïve"])
def test_a_token_can_be_sent_in_a_header(token):
    with pytest.raises(fv.FoveateError, match="printable ASCII"):
        find_token("127.0.0.1", {"FOVEATE_TOKEN": token})


def test_what_is_no_run_is_refused_before_the_port_is_used(tmp_path, run):
    assert "no such run" in refused("serve", tmp_path / "none")
    assert "no such run" in refused("serve", run, tmp_path / "none")


def test_a_damaged_run_is_refused(run, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in run.iterdir():
        if path.is_file():
            (copy / path.name).write_bytes(
                path.read_bytes()[: 2000 if "best" in path.name else None]
            )
    assert "best.safetensors" in refused("serve", copy, "--port", 0)


def test_names_are_the_last_parts_of_paths():
    assert names_of(["runs/a", "other/a/", "sam:models/vit b", "runs/é"]) == [
        "a", "a-2", "vit-b", "model",
    ]  # fmt: skip
    assert names_of(["runs/x/model.onnx", "y/model.xml", "my.onnx"]) == ["x", "y", "my.onnx"]


def test_serving_does_not_import_torch():
    script = (
        "import sys, foveate.serving.app, foveate.serving.server, foveate.serving.protocol; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], env=dict(os.environ)).returncode == 0


@pytest.mark.slow
def test_many_clients_get_their_own_predictions(runs):
    rng = np.random.default_rng(0)
    images = [png_bytes(rng.integers(0, 256, (16, 16, 1), dtype=np.uint8)) for _ in range(24)]
    expected = [fv.predict(runs["classification"], image).class_name for image in images]
    got: dict[int, str] = {}
    with process(runs["classification"]) as (_, address):

        def post(first: int) -> None:
            with httpx.Client(base_url=address) as client:
                for row in range(first, len(images), 8):
                    got[row] = client.post("/predict", content=images[row]).json()["class"]

        threads = [threading.Thread(target=post, args=(first,)) for first in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [got[row] for row in range(len(images))] == expected


@pytest.mark.slow
def test_an_exported_model_is_served_where_torch_is_not_installed(trained, tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    code, _, err = run_cli("export", trained.path, "--out", tmp_path / "m.onnx")
    assert code == 0, err
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise ImportError('no torch here')")
    expected = ExportedModel.open(tmp_path / "m.onnx").predict(GOOD).to_dict()
    paths = os.pathsep.join([str(tmp_path), str(Path(fv.__file__).parents[1])])
    with process(tmp_path / "m.onnx", PYTHONPATH=paths) as (_, address):
        assert httpx.post(f"{address}/predict", content=GOOD).json() == expected
        drawn = httpx.post(f"{address}/predict", content=GOOD, headers={"accept": "image/png"})
        assert drawn.content.startswith(b"\x89PNG")
        (said,) = httpx.get(f"{address}/models").json()
        assert said["name"] == "m.onnx"
        card = json.loads(json.dumps(dict(trained.card)))
        assert said["card"].items() >= card.items()
