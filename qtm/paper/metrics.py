"""Counters of one paper exchange, in Prometheus text."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest


class Metrics:
    """What `GET /metrics` shows. Each exchange has its own registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "qtm_paper_requests",
            "Requests answered",
            ["market", "operation", "status"],
            registry=self.registry,
        )
        self.websockets = Gauge(
            "qtm_paper_websockets", "Open WebSocket connections", ["market", "kind"], registry=self.registry
        )
        self.faults = Counter("qtm_paper_faults", "Faults injected", ["kind"], registry=self.registry)
        self._children: dict[tuple[str, str, int], Counter] = {}

    def request(self, market: str, operation: str, status: int) -> None:
        """Count an answer."""
        key = (market, operation, status)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._requests.labels(market, operation, str(status))
        child.inc()

    def text(self) -> bytes:
        """The exposition."""
        return generate_latest(self.registry)
