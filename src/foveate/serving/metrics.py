"""What a monitoring system reads at /metrics, in the format of Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_IMAGES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The counters of one server."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "foveate_requests", "Requests answered", ["route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "foveate_request_seconds", "Time from a request to its response", ["route"],
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._images = Counter("foveate_images", "Images predicted", ["model"], registry=registry)
        self._batch = Histogram(
            "foveate_batch_images", "Images predicted at once", ["model"],
            buckets=_IMAGES, registry=registry,
        )  # fmt: skip
        self._batch_seconds = Histogram(
            "foveate_batch_seconds", "Time of a batch in the model", ["model"],
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._admitted = Gauge(
            "foveate_requests_admitted", "Requests that a model has now", ["model"],
            registry=registry,
        )  # fmt: skip

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def predicted(self, model: str, images: int, seconds: float) -> None:
        """Count a batch."""
        self._images.labels(model).inc(images)
        self._batch.labels(model).observe(images)
        self._batch_seconds.labels(model).observe(seconds)

    def admitted(self, model: str, requests: int) -> None:
        """Set how many requests a model has."""
        self._admitted.labels(model).set(requests)

    def text(self) -> bytes:
        """All of it."""
        return generate_latest(self._registry)
