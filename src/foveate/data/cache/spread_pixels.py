"""Decoded images of which each machine keeps a share: those of others come over the network.

The first process of a machine answers whoever knows the run's secret. Requests are JSON, answers
are the bytes of pixels: nothing that arrives is ever run or unpickled.
"""

from __future__ import annotations

import hmac
import json
import secrets
import socket
import struct
import weakref
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, Thread

import numpy as np
from numpy.typing import NDArray

from foveate.data.cache import file
from foveate.data.cache.pixels import CachedPixels, Pixels
from foveate.data.dataset import Image
from foveate.errors import DataError, FoveateError, RunError

_MAX_BYTES = 1 << 26
"""Bytes of pixels in an answer; each side holds them in memory."""

_PATIENCE = 60
"""Seconds to wait for a connection, and for the proof of the secret."""
_NONCE = 32
"""Random bytes that each end sends, which make every proof another."""
_LENGTH = struct.Struct("<I")

Window = tuple[int, int, int, int]
"""The first line, the line after the last, and so the columns."""


@dataclass(frozen=True)
class Share:
    """What one machine keeps: images that follow each other.

    Attributes:
        shape: (N, S, S, C) of its images; C may be 1 where those of others have colours.
        host: The name or the address of the machine.
        port: Where its first process answers.
        path: The file, for the other processes of the machine; None if it is in memory.
    """

    shape: tuple[int, int, int, int]
    host: str
    port: int
    path: Path | None


class SpreadPixels(CachedPixels):
    """The images of all machines as one array, read when it is indexed. Threads may share it.

    Args:
        shares: What each machine keeps, in the order of the images.
        secret: The secret of the run.
        own: The number of this process's machine.
        pixels: The images of this machine, if this process has them open.
    """

    def __init__(
        self,
        shares: Sequence[Share],
        secret: bytes,
        own: int,
        pixels: NDArray[np.uint8] | CachedPixels | None = None,
    ):
        count, size = sum(share.shape[0] for share in shares), shares[0].shape[1]
        super().__init__((count, size, size, max(share.shape[3] for share in shares)))
        self.shares, self.secret = tuple(shares), secret
        self._ends = np.cumsum([share.shape[0] for share in shares])
        if pixels is None and (path := shares[own].path) is not None:
            with suppress(OSError, ValueError):  # it was removed: the first process has it open
                pixels = file.read(path).pixels
        self._own, self._pixels = own, pixels
        self._connections: dict[int, socket.socket] = {}
        self._lock = Lock()
        weakref.finalize(self, _close, self._connections)

    def window(self, row: int, top: int, bottom: int, left: int, right: int) -> Image:
        """Read a part of an image; nothing more is sent."""
        side = self.shape[1]
        window = (int(top), min(int(bottom), side), int(left), min(int(right), side))
        image: Image = self._windows([range(len(self))[row]], window)[0]
        return image

    def _read(self, rows: Sequence[int]) -> Pixels:
        side = self.shape[1]
        return self._windows(rows, (0, side, 0, side))

    def _windows(self, rows: Sequence[int], window: Window) -> Pixels:
        top, bottom, left, right = window
        shape = (max(0, bottom - top), max(0, right - left), self.shape[3])
        found = np.empty((len(rows), *shape), np.uint8)
        wanted, step = np.asarray(rows, np.int64), max(1, _MAX_BYTES // max(1, found[:1].nbytes))
        for start in range(0, len(rows), step):
            self._fill(wanted[start : start + step], window, found[start : start + step])
        return found

    def _fill(self, rows: NDArray[np.int64], window: Window, out: Pixels) -> None:
        """Read some windows. All machines are asked before the first answers."""
        machines = np.searchsorted(self._ends, rows, side="right")
        own = None if self._pixels is None else self._own
        asked = [int(one) for one in np.unique(machines) if one != own]
        places = {one: np.flatnonzero(machines == one) for one in [*asked, self._own]}
        inside = {
            one: rows[place] - (self._ends[one] - self.shares[one].shape[0])
            for one, place in places.items()
        }
        with self._lock:
            try:
                for one in asked:
                    self._ask(one, inside[one], window)
                if self._pixels is not None and len(places[self._own]):
                    out[places[self._own]] = _cut(self._pixels, inside[self._own], window)
                for one in asked:  # grey images are repeated over the channels
                    channels = self.shares[one].shape[3]
                    answer = np.empty((len(places[one]), *out.shape[1:3], channels), np.uint8)
                    self._answer(one, answer)
                    out[places[one]] = answer
            except BaseException:  # answers that nobody took would be taken for others
                _close(self._connections)
                raise

    def _ask(self, machine: int, rows: NDArray[np.int64], window: Window) -> None:
        if machine not in self._connections:
            share = self.shares[machine]
            self._connections[machine] = _connect(share.host, share.port, self.secret)
        request = {"rows": rows.tolist(), "window": window}
        try:
            _send(self._connections[machine], json.dumps(request).encode())
        except OSError as error:
            raise self._lost(machine, error) from None

    def _answer(self, machine: int, out: Pixels) -> None:
        try:
            connection = self._connections[machine]
            if problem := _receive(connection):
                raise DataError(
                    problem.decode(), remedy="Give the same command again on all machines."
                )
            _receive_into(connection, out.reshape(-1).data)
        except (EOFError, OSError) as error:
            raise self._lost(machine, error) from None

    def _lost(self, machine: int, error: Exception) -> RuntimeError:
        """Like the errors of torch.distributed, which end a run in one way."""
        share = self.shares[machine]
        return RuntimeError(f"Connection closed by {share.host}:{share.port}: {error}")


class PixelServer:
    """Answers the other processes of a run with the pixels of this machine, in threads.

    Args:
        pixels: The images of this machine.
        secret: The secret of the run.
        host: Where the others reach this machine, if all are this one; by default all addresses
            of this machine are open, as a name of it may lead to itself alone.
    """

    def __init__(
        self, pixels: NDArray[np.uint8] | CachedPixels, secret: bytes, host: str | None = None
    ):
        self._pixels, self._secret = pixels, secret
        if host is not None:
            family = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0][0]
            self._socket = socket.create_server((host, 0), family=family)
        elif socket.has_dualstack_ipv6():
            self._socket = socket.create_server(
                ("", 0), family=socket.AF_INET6, dualstack_ipv6=True
            )
        else:
            self._socket = socket.create_server(("", 0))
        self.port = int(self._socket.getsockname()[1])
        Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Answer no further process."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                connected, _ = self._socket.accept()
            except ConnectionError:
                continue
            except OSError:  # closed
                return
            Thread(target=self._serve, args=(connected,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(EOFError, OSError):
            _accept(connection, self._secret)
            while True:
                request = json.loads(_receive(connection))
                try:
                    rows = np.array(request["rows"], np.int64)
                    found = _cut(self._pixels, rows, tuple(request["window"]))
                except FoveateError as error:
                    _send(connection, str(error).encode())
                    continue
                _send(connection, b"")
                connection.sendall(np.ascontiguousarray(found).reshape(-1).data)


def _close(connections: dict[int, socket.socket]) -> None:
    while connections:
        connections.popitem()[1].close()


def _connect(host: str, port: int, secret: bytes) -> socket.socket:
    try:
        connection = socket.create_connection((host, port), timeout=_PATIENCE)
        try:
            theirs, own = bytearray(_NONCE), secrets.token_bytes(_NONCE)
            _receive_into(connection, memoryview(theirs))
            connection.sendall(own + _proof(secret, b"asks", theirs, own))
            _check_proof(connection, _proof(secret, b"answers", theirs, own))
            _set_up(connection)
        except BaseException:
            connection.close()
            raise
    except (OSError, EOFError) as error:
        raise RunError(
            f"the images of another machine cannot be read from {host}:{port} ({error})",
            remedy="If its process has ended, its own message tells why. Else let the machines of "
            "the run reach each other on all ports.",
        ) from None
    return connection


def _accept(connection: socket.socket, secret: bytes) -> None:
    """Prove that this process knows the secret, to one that proves it too.

    Raises:
        EOFError: It does not.
        OSError: It is silent, or gone.
    """
    connection.settimeout(_PATIENCE)
    own, theirs = secrets.token_bytes(_NONCE), bytearray(_NONCE)
    connection.sendall(own)
    _receive_into(connection, memoryview(theirs))
    _check_proof(connection, _proof(secret, b"asks", own, theirs))
    connection.sendall(_proof(secret, b"answers", own, theirs))
    _set_up(connection)


def _proof(secret: bytes, role: bytes, *nonces: bytes | bytearray) -> bytes:
    return hmac.digest(secret, b"".join((role, *nonces)), "sha256")


def _check_proof(connection: socket.socket, expected: bytes) -> None:
    proof = bytearray(len(expected))
    _receive_into(connection, memoryview(proof))
    if not hmac.compare_digest(proof, expected):
        raise EOFError("another program is there")


def _set_up(connection: socket.socket) -> None:
    connection.settimeout(None)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # a machine may lose power


def _send(connection: socket.socket, message: bytes) -> None:
    connection.sendall(_LENGTH.pack(len(message)) + message)


def _receive(connection: socket.socket) -> bytes:
    length = bytearray(_LENGTH.size)
    _receive_into(connection, memoryview(length))
    message = bytearray(*_LENGTH.unpack(length))
    _receive_into(connection, memoryview(message))
    return bytes(message)


def _receive_into(connection: socket.socket, out: memoryview) -> None:
    """Fill `out`: multiprocessing would copy pixels several times."""
    while out:
        count = connection.recv_into(out)
        if not count:
            raise EOFError("it ended")
        out = out[count:]


def _cut(
    pixels: NDArray[np.uint8] | CachedPixels, rows: NDArray[np.int64], window: Window
) -> Pixels:
    """Windows of some images: (M, h, w, C)."""
    top, bottom, left, right = window
    if window == (0, pixels.shape[1], 0, pixels.shape[2]):
        return pixels[rows]
    if isinstance(pixels, CachedPixels):
        return np.stack([pixels.window(int(row), *window) for row in rows])
    return pixels[rows, top:bottom, left:right]
