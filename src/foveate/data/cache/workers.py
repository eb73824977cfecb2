"""Decode many pictures at once, in order, with a bounded number of them in memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

from numpy.typing import NDArray

from foveate.data import image_stats
from foveate.data.dataset import Image, Source
from foveate.data.images import fit
from foveate.errors import BadImage, DataError

_CHUNK = 64  # pictures that a worker takes at once: less often is less overhead, more often smoother progress
_CHUNK_BYTES = 1 << 24  # of pixels at the wanted size, so that large ones do not pile up
_MANY = 4000  # pictures from which on processes gain more than their start costs


@dataclass(frozen=True)
class Chunk:
    """Some samples in a row, decoded.

    count: of the samples; bad: those that could not be read, (place in the chunk, reason)
    images: (S, S, c) each, at the wanted size, each with channels of its own if none were wanted
    hashes: 16 bytes each, of the content; looks: (len(images),) of LOOK, or (0,) if they were not wanted
    """

    count: int
    images: list[Image]
    hashes: bytes
    image_stats: NDArray[Any]
    bad: list[tuple[int, str]]


@dataclass(frozen=True)
class DecodeSpec:
    """What is to be made of each picture.

    size: S, its side in pixels; 0 keeps no pixels
    channels: that it gets; None leaves it as many as it has
    looks: whether it is looked at, see `looks.LOOK`
    letterbox: keeps its aspect, see `pictures.fit`
    """

    size: int
    channels: int | None = None
    image_stats: bool = True
    letterbox: bool = False


Reader = Callable[[Sequence[Source], DecodeSpec], Chunk]


def read_chunk(sources: Sequence[Source], wanted: DecodeSpec) -> Chunk:
    """Decode a few pictures, look at each, and bring it to size."""
    images: list[Image] = []
    hashes: list[bytes] = []
    bad: list[tuple[int, str]] = []
    seen = image_stats.ImageStatsCollector()
    for place, source in enumerate(sources):
        try:
            image, facts = image_stats.examine(source)
            fitted = _fitted(image, wanted)
        except BadImage as error:
            bad.append((place, error.message))
            continue
        images.append(fitted)
        hashes.append(bytes.fromhex(image_stats.content(image)))
        if wanted.image_stats:
            seen.add(image, facts)
    return Chunk(len(sources), images, b"".join(hashes), seen.rows(), bad)


def _fitted(image: Image, wanted: DecodeSpec) -> Image:
    if not wanted.size:
        return image[:0, :0, :1]
    return fit(image, wanted.size, wanted.channels or image.shape[2], letterbox=wanted.letterbox)


def read_all(sources: Sequence[Source], wanted: DecodeSpec) -> Iterator[Chunk]:
    """All pictures as chunks, in order, decoded by all cores; at most a few chunks are in memory at a time."""
    length = max(1, min(_CHUNK, _CHUNK_BYTES // max(1, 3 * wanted.size**2)))
    workers = max(1, min(_cores(), -(-len(sources) // length)))
    with ExitStack() as stack:
        read = (
            stack.enter_context(_processes(workers))
            if workers > 1 and _pays(sources)
            else read_chunk
        )
        pool = ThreadPoolExecutor(workers)
        stack.callback(
            pool.shutdown, cancel_futures=True
        )  # whoever stops listening need not wait for what is queued
        waiting: deque[Future[Chunk]] = deque()
        for start in range(0, len(sources), length):
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
            waiting.append(pool.submit(read, sources[start : start + length], wanted))
        while waiting:
            yield waiting.popleft().result()


def _cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _pays(sources: Sequence[Source]) -> bool:
    """Whether to start processes. Threads have to take turns for all that is Python, which for small pictures is most of
    the work; a process takes a quarter of a second to start. Sources of the user's own stay in the user's process: its
    main module may be a notebook, or a script that must not be run again.
    """
    ours = all(
        type(source).__module__.startswith("foveate.") and hasattr(source, "path")
        for source in sources
    )
    return len(sources) >= _MANY and ours and os.name == "posix" and bool(sys.executable)


# --- processes

# Not multiprocessing's own: it would run the user's script again in each process, or fork one in which torch has threads.
# With -P, or a json.py in the folder where the command is given would be taken for Python's.
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]); "
    "from foveate.data.cache.workers import serve; serve(int(sys.argv[1]))"
)


class _Worker:
    """A process that decodes what it is given. It ends when we do, however that comes about: its pipe is closed then."""

    def __init__(self) -> None:
        self.line, theirs = Pipe()
        places = [
            place for place in sys.path if isinstance(place, str)
        ]  # others may stand there, and mean nothing
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", _START, str(theirs.fileno()), json.dumps(places)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                process_group=0,  # Ctrl-C is for us; we tell the workers
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )

    def ask(self, sources: Sequence[Source], wanted: DecodeSpec) -> Chunk:
        try:
            self.line.send((sources, wanted))
            chunk: Chunk = self.line.recv()
            return chunk
        except (EOFError, OSError):
            code = self.process.wait()
        if code >= 0:
            raise RuntimeError(
                f"a process that decodes pictures ended with code {code}; its error is printed above"
            )
        first, last = (str(getattr(source, "path", source)) for source in (sources[0], sources[-1]))
        raise DataError(
            f"a process that decodes pictures was killed (signal {-code}) between this picture and {last}",
            where=first,
            remedy="Most likely memory ran out: close other programs, and run the same command again.",
        )

    def end(self) -> None:
        self.line.close()
        self.process.wait()


@contextmanager
def _processes(count: int) -> Iterator[Reader]:
    """A reader that may be called by `count` threads at once, each of which then waits for a process of its own."""
    idle: SimpleQueue[_Worker] = SimpleQueue()

    def read(sources: Sequence[Source], wanted: DecodeSpec) -> Chunk:
        worker = idle.get()
        try:
            return worker.ask(sources, wanted)
        finally:
            idle.put(worker)

    with ExitStack() as stack:
        for _ in range(count):
            worker = _Worker()
            stack.callback(worker.end)
            idle.put(worker)
        yield read


def serve(handle: int) -> None:
    """The life of such a process: decode what comes in until nobody is left to ask."""
    with Connection(handle) as line:
        try:
            while True:
                line.send(read_chunk(*line.recv()))
        except (EOFError, ConnectionError):
            return
