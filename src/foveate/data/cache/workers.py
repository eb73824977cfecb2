"""Decode many images in parallel, in order, with a bounded number of them in memory.

The process pool is written here because neither multiprocessing nor joblib's loky fits. The
former runs the user's script again in each process, or forks one in which torch has threads. Loky
imports modules from the working directory, so a numpy.py there stops it, and when one worker is
killed it fails every pending task with the same error, so the images that the worker was decoding
cannot be named.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

from numpy.typing import NDArray

from foveate.data import image_stats
from foveate.data.cache.encoded import Encoding, cores
from foveate.data.dataset import Image, Source
from foveate.data.resizing import fit
from foveate.errors import BadImage, DataError

_CHUNK = 64  # images a task: more are less overhead, fewer smoother progress
_CHUNK_BYTES = 1 << 24  # of resized pixels a task, so that large images do not pile up
_MIN_FOR_PROCESSES = 4000  # images from which processes gain more than their start costs


@dataclass(frozen=True)
class Chunk:
    """Consecutive samples, decoded.

    Attributes:
        count: Number of samples.
        images: The readable ones, (S, S, c) uint8 each; c varies unless the spec fixes it.
        hashes: Their content hashes, 16 bytes each.
        image_stats: (len(images),) of IMAGE_STATS, or (0,) if the spec excludes them.
        bad: Index in the chunk and reason of each unreadable sample.
    """

    count: int
    images: list[Image]
    hashes: bytes
    image_stats: NDArray[Any]
    bad: list[tuple[int, str]]


@dataclass(frozen=True)
class DecodeSpec:
    """What to make of each image.

    Attributes:
        size: S, pixels a side; 0 keeps no pixels.
        channels: Channels of the result; None leaves them as they are.
        image_stats: Whether to compute IMAGE_STATS.
        letterbox: Keep the aspect, see `resizing.fit`.
        encoding: What pixels go through; None for what fits the cache.
    """

    size: int
    channels: int | None = None
    image_stats: bool = True
    letterbox: bool = False
    encoding: Encoding | None = None


ChunkReader = Callable[[Sequence[Source], DecodeSpec], Chunk]


def read_chunk(sources: Sequence[Source], spec: DecodeSpec) -> Chunk:
    """Decode a few images, compute their statistics, and resize them."""
    images: list[Image] = []
    hashes: list[bytes] = []
    bad: list[tuple[int, str]] = []
    stats = image_stats.ImageStatsCollector()
    for index, source in enumerate(sources):
        try:
            image, info = image_stats.examine(source)
            fitted = _resize(image, spec)
        except BadImage as error:
            bad.append((index, error.message))
            continue
        images.append(fitted)
        hashes.append(bytes.fromhex(image_stats.content_hash(image)))
        if spec.image_stats:
            stats.add(image, info)
    return Chunk(len(sources), images, b"".join(hashes), stats.rows(), bad)


def _resize(image: Image, spec: DecodeSpec) -> Image:
    if not spec.size:
        return image[:0, :0, :1]
    return fit(image, spec.size, spec.channels or image.shape[2], letterbox=spec.letterbox)


def in_chunks(sources: Sequence[Source], spec: DecodeSpec) -> list[Sequence[Source]]:
    """As many images as are decoded at once, in order."""
    length = max(1, min(_CHUNK, _CHUNK_BYTES // max(1, 3 * spec.size**2)))
    return [sources[start : start + length] for start in range(0, len(sources), length)]


def read_all(sources: Sequence[Source], spec: DecodeSpec) -> Generator[Chunk]:
    """Decode all images on all cores.

    Args:
        sources: The images.
        spec: What to make of each.

    Yields:
        Chunks in order; at most a few are in memory at a time.
    """
    return read_chunks(in_chunks(sources, spec), spec, cores())


def read_chunks(
    chunks: Sequence[Sequence[Source]], spec: DecodeSpec, workers: int
) -> Generator[Chunk]:
    """Decode images on some cores.

    Args:
        chunks: The images, see `in_chunks`.
        spec: What to make of each.
        workers: The number of cores.

    Yields:
        Chunks in order; at most a few are in memory at a time.
    """
    workers = max(1, min(workers, len(chunks)))
    with ExitStack() as stack:
        read = (
            stack.enter_context(_processes(workers))
            if workers > 1 and _use_processes(chunks)
            else read_chunk
        )
        pool = ThreadPoolExecutor(workers)
        # A caller that stops iterating need not wait for queued tasks.
        stack.callback(pool.shutdown, cancel_futures=True)
        pending: deque[Future[Chunk]] = deque()
        for sources in chunks:
            if len(pending) > 2 * workers:
                yield pending.popleft().result()
            pending.append(pool.submit(read, sources, spec))
        while pending:
            yield pending.popleft().result()


def can_travel(chunks: Sequence[Sequence[Source]]) -> bool:
    """Whether another process can decode these images.

    Sources that the user defined stay in the user's process: its main module may be a notebook, or
    a script that must not run again. Images in memory stay there.
    """
    return all(
        type(source).__module__.startswith("foveate.") and hasattr(source, "path")
        for sources in chunks
        for source in sources
    )


def _use_processes(chunks: Sequence[Sequence[Source]]) -> bool:
    """Whether to start processes.

    Threads take turns for Python code, which for small images is most of the work; a process takes
    a quarter of a second to start.
    """
    enough = sum(map(len, chunks)) >= _MIN_FOR_PROCESSES
    return enough and can_travel(chunks) and os.name == "posix" and bool(sys.executable)


# --- processes

# With -P, or a json.py in the working directory would be taken for Python's.
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]); "
    "from foveate.data.cache.workers import serve; serve(int(sys.argv[1]))"
)


class _Worker:
    """A process that decodes images. It ends whenever this one does: its pipe is closed then."""

    def __init__(self) -> None:
        self.pipe, child_pipe = Pipe()
        folders = [folder for folder in sys.path if isinstance(folder, str)]
        with child_pipe:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", _START, str(child_pipe.fileno()), json.dumps(folders)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[child_pipe.fileno()],
                process_group=0,  # Ctrl-C is for the parent, which ends its workers
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )

    def read(self, sources: Sequence[Source], spec: DecodeSpec) -> Chunk:
        try:
            self.pipe.send((sources, spec))
            chunk: Chunk = self.pipe.recv()
            return chunk
        except (EOFError, OSError):
            code = self.process.wait()
        if code >= 0:
            raise RuntimeError(
                f"a process that decodes images ended with code {code}; its error is printed above"
            )
        first, last = (str(getattr(source, "path", source)) for source in (sources[0], sources[-1]))
        raise DataError(
            f"a process that decodes images was killed (signal {-code}) "
            f"between this image and {last}",
            where=first,
            remedy="Probably memory ran out: close other programs, and run the command again.",
        )

    def close(self) -> None:
        """Close the pipe, which ends the process."""
        self.pipe.close()
        self.process.wait()


@contextmanager
def _processes(count: int) -> Iterator[ChunkReader]:
    """A reader for `count` threads at once; each call waits for one of `count` processes."""
    idle: SimpleQueue[_Worker] = SimpleQueue()

    def read(sources: Sequence[Source], spec: DecodeSpec) -> Chunk:
        worker = idle.get()
        try:
            return worker.read(sources, spec)
        finally:
            idle.put(worker)

    with ExitStack() as stack:
        for _ in range(count):
            worker = _Worker()
            stack.callback(worker.close)
            idle.put(worker)
        yield read


def serve(handle: int) -> None:
    """Run a worker process: decode chunks until the pipe is closed."""
    with Connection(handle) as pipe:
        try:
            while True:
                pipe.send(read_chunk(*pipe.recv()))
        except (EOFError, ConnectionError):
            return
