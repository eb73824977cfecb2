"""Models that are written once and only read, and no network."""

from __future__ import annotations

import socket

import pytest

from helpers import tiny_models


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("a connection was attempted")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def _written(name):
    @pytest.fixture(scope="session", name=name)
    def written(tmp_path_factory):
        folder = tmp_path_factory.mktemp("models") / name
        folder.mkdir()
        return folder, getattr(tiny_models, name)(folder)

    return written


clip, sam, sam2, vit, diffusion = map(_written, ("clip", "sam", "sam2", "vit", "diffusion"))
