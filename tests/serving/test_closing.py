"""The end of a server whose model still computes for a request that was answered with 503."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time

import httpx
import numpy as np
import pytest

from helpers.served import png_bytes

SLOW_MODEL = """
import sys, time
from foveate.cli import main, serving
from foveate.errors import SettingError
from foveate.inference.predictor import Predictor
from foveate.serving import server
from foveate.tasks import exported

class Slow(Predictor):
    name, task, calls = "slow", exported.build("classification", ("a", "b"), {}), 0

    def predict_images(self, images, tile=None):
        self.calls += 1
        if self.calls > 1:  # the first one warms it up
            time.sleep(600)
        return [None] * len(images)

    def _set_image(self, image):
        raise SettingError("without prompts")

serving.open_model = lambda *words: Slow()
server.CLOSING_SECONDS = 0.5
sys.argv = ["foveate", "serve", ".", "--port", "0", "--seconds", "1"]
main.main()
"""


@pytest.mark.slow
def test_it_ends_in_time_and_says_what_was_broken_off():
    with subprocess.Popen(
        [sys.executable, "-c", SLOW_MODEL],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            address = re.search(r"http://\S+", server.stdout.readline())[0]
            file = png_bytes(np.zeros((8, 8, 3), np.uint8))
            answer = httpx.post(f"{address}/predict", content=file, timeout=60)
            assert answer.status_code == 503
            start = time.monotonic()
            server.send_signal(signal.SIGTERM)
            out, err = server.communicate(timeout=120)
            assert server.returncode == 0, err
            assert time.monotonic() - start < 60
            assert re.search(r"broken off: what \S+ still computed", out)
        finally:
            if server.poll() is None:
                server.kill()
