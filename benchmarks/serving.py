"""How fast `foveate serve` answers, beside the bare model, and what a long and a bad day cost it.

python benchmarks/serving.py RUN IMAGES [--clicks PROMPTABLE_RUN]

The server is a process of its own, reached over loopback. The clients keep their connections and
share one process; on a machine of two cores they take a part of what they measure.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

import foveate as fv
from foveate.data.images import IMAGE_SUFFIXES, examine_bytes


@contextlib.contextmanager
def served(*words: object) -> Iterator[tuple[subprocess.Popen[str], str, int]]:
    """`foveate serve`: the process, its host and its port."""
    command = [sys.executable, "-m", "foveate", "serve", *map(str, words), "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        try:
            port = int(re.search(r"127\.0\.0\.1:(\d+)", server.stdout.readline())[1])
            yield server, "127.0.0.1", port
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait()


def request(path: str, body: bytes, kind: str = "image/png") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def send(reader, writer, message: bytes) -> tuple[int, bytes]:
    writer.write(message)
    head = await reader.readuntil(b"\r\n\r\n")
    size = int(re.search(rb"content-length: (\d+)", head.lower())[1])
    return int(head.split()[1]), await reader.readexactly(size)


async def load(port: int, messages: list[bytes], clients: int, total: int) -> tuple[float, list]:
    """Seconds that all requests took together, and (status, seconds) of each."""
    done: list[tuple[int, float]] = []
    numbers = iter(range(total))

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in numbers:
            start = time.perf_counter()
            status, _ = await send(reader, writer, messages[number % len(messages)])
            done.append((status, time.perf_counter() - start))
        writer.close()

    start = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    return time.perf_counter() - start, done


def batches(port: int) -> tuple[float, float]:
    """Batches and images so far."""
    text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
    pattern = r"^foveate_batch_images_{}\{{.*\}} ([\d.e+]+)$"
    return tuple(
        float(re.search(pattern.format(one), text, re.MULTILINE)[1]) for one in ("count", "sum")
    )


def memory(server: subprocess.Popen[str]) -> float:
    """MiB that the server holds."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


def bare(run: fv.Run, images: list, batch: int, seconds: float) -> float:
    """Images a second of the model alone, decoded images in, annotations out."""
    run.predict_confident(images[:batch])
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        rows = [images[(count + row) % len(images)] for row in range(batch)]
        run.predict_confident(rows)
        count += batch
    return count / (time.perf_counter() - start)


def measure_load(run: fv.Run, files: list[bytes], seconds: float, rounds: int) -> None:
    """Served and bare in turns, as the machine is never the same for long."""
    images = [examine_bytes(file, "image", run.reading)[0] for file in files]
    messages = [request("/predict", file) for file in files]
    print("clients | batch | images/s | bare images/s | share | p50, p95, p99 ms | n")
    with served(run.path) as (_, _, port):
        for clients in (1, 8, 64):
            total = max(40, 2 * clients)
            took, _ = asyncio.run(load(port, messages, clients, total))
            total = max(total, int(seconds * total / took))
            rates, alone, sizes, times = [], [], [], []
            for _ in range(rounds):
                before = batches(port)
                took, done = asyncio.run(load(port, messages, clients, total))
                count, sent = (new - old for old, new in zip(before, batches(port), strict=True))
                assert {status for status, _ in done} == {200}
                rates.append(total / took)
                sizes.append(sent / count)
                times += [1000 * one for _, one in done]
                alone.append(bare(run, images, max(1, round(sizes[-1])), seconds))
            shares = [rate / other for rate, other in zip(rates, alone, strict=True)]
            print(
                f"{clients} | {np.median(sizes):.1f} | {spread(rates)} | {spread(alone)} | "
                f"{spread(shares, '.2f')} | "
                + ", ".join(f"{one:.0f}" for one in np.percentile(times, [50, 95, 99]))
                + f" | {rounds} x {total}",
                flush=True,
            )


def spread(values: list[float], form: str = ".1f") -> str:
    """Median and range."""
    return f"{np.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def measure_memory(run: fv.Run, files: list[bytes], total: int) -> None:
    messages = [request("/predict", file) for file in files]
    with served(run.path) as (server, _, port):
        asyncio.run(load(port, messages, 16, total // 10))
        sizes = [memory(server)]
        for _ in range(10):
            asyncio.run(load(port, messages, 16, total // 10))
            sizes.append(memory(server))
    print(
        f"memory, MiB, after each {total // 10:,} requests: {' '.join(f'{s:.0f}' for s in sizes)}"
    )


def measure_broken(run: fv.Run, files: list[bytes]) -> None:
    rng, statuses = np.random.default_rng(0), {}
    with served(run.path) as (server, host, port):
        for number in range(1000):
            body = bytearray(files[number % len(files)])
            for place in rng.integers(0, len(body), 20):
                body[place] = rng.integers(0, 256)
            message = request("/predict", bytes(body[: rng.integers(0, len(body))]))
            with socket.create_connection((host, port), timeout=60) as connection:
                if number % 3 == 0:  # a client that goes in the middle of its request
                    connection.sendall(message[: rng.integers(1, len(message))])
                    status = "gone"
                else:
                    connection.sendall(message)
                    status = connection.recv(1 << 16).split()[1].decode()
            statuses[status] = statuses.get(status, 0) + 1
        _, done = asyncio.run(load(port, [request("/predict", files[0])], 1, 5))
        assert server.poll() is None
        assert {status for status, _ in done} == {200}
    print(f"1,000 broken requests: {statuses}; the server answers on")


def measure_kill(run: fv.Run, files: list[bytes]) -> None:
    message = request("/predict", files[0])
    with served(run.path) as (server, host, port):
        held = [socket.create_connection((host, port), timeout=60) for _ in range(8)]
        for connection in held:
            connection.sendall(message[:-10])
        _, done = asyncio.run(load(port, [message], 4, 20))
        os.kill(server.pid, signal.SIGKILL)
        server.wait()
        lost = 0
        for connection in held:
            with contextlib.suppress(ConnectionError), connection:
                lost += connection.recv(100) == b""
    with served(run.path) as (_, _, port):
        _, again = asyncio.run(load(port, [message], 4, 20))
    assert {status for status, _ in (*done, *again)} == {200}
    print(f"kill -9: {lost} of 8 requests that it held are lost, 20 before and 20 after answered")


def measure_clicks(path: Path, count: int = 100) -> None:
    rng, content = np.random.default_rng(0), io.BytesIO()
    coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    smooth = coarse.resize((256, 256), Image.Resampling.BICUBIC)  # of noise, masks are noise
    smooth.save(content, "PNG")
    pixels = np.asarray(smooth)

    async def session(port: int) -> list[float]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        start, times = time.perf_counter(), []
        _, answer = await send(reader, writer, request("/encode", content.getvalue()))
        name = json.loads(answer)["session"]
        print(f"encoding an image of 256 px: {1000 * (time.perf_counter() - start):.0f} ms")
        for x, y in rng.uniform(0, 256, (count, 2)).tolist():
            body = json.dumps({"session": name, "clicks": [[x, y, True]]}).encode()
            start = time.perf_counter()
            status, _ = await send(reader, writer, request("/click", body, "application/json"))
            times.append(1000 * (time.perf_counter() - start))
            assert status == 200
        writer.close()
        return times

    predictor, alone = fv.Run.open(path).set_image(pixels), []
    with served(path) as (_, _, port):
        asyncio.run(session(port))  # warm
        times = asyncio.run(session(port))
        for x, y in rng.uniform(0, 256, (count, 2)).tolist():
            start = time.perf_counter()
            predictor.reset()
            predictor.click(x, y)
            alone.append(1000 * (time.perf_counter() - start))
    for name, values in (("a click", times), ("the bare model", alone)):
        p50, p95 = np.percentile(values, [50, 95])
        print(f"{name}: p50 {p50:.0f} ms, p95 {p95:.0f} ms, n = {count}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--clicks", type=Path, help="A promptable run.")
    parser.add_argument("--seconds", type=float, default=5, help="Length of each measurement.")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--requests", type=int, default=10_000, help="For the memory.")
    options = parser.parse_args()
    paths = [one for one in options.images.rglob("*") if one.suffix.lower() in IMAGE_SUFFIXES]
    files = [path.read_bytes() for path in sorted(paths)[:64]]
    run = fv.Run.open(options.run)
    if options.rounds:
        measure_load(run, files, options.seconds, options.rounds)
    if options.requests:
        measure_memory(run, files, options.requests)
    measure_broken(run, files)
    measure_kill(run, files)
    if options.clicks:
        measure_clicks(options.clicks)


if __name__ == "__main__":
    main()
