"""What an exchange counts, as Prometheus text: requests and their latency, sockets, messages, faults.

The hot path only adds to plain numbers; everything else happens when somebody scrapes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

BUCKETS_S = (25e-6, 50e-6, 100e-6, 200e-6, 400e-6, 800e-6, 1.6e-3, 3.2e-3, 6.4e-3, 12.8e-3, 25.6e-3, 0.1, 1.0)
"""Upper bounds of the latency histogram, in seconds."""


class Metrics:
    """What `GET /metrics` shows. Each exchange has its own registry.

    Parameters
    ----------
    market
        The `market` label of every sample (`spot`, `um`).
    """

    def __init__(self, market: str) -> None:
        self.market = market
        self.registry = CollectorRegistry()
        self.gauges: dict[str, tuple[str, Callable[[], float]]] = {}
        """Further gauges: name -> (help, how to read it at a scrape)."""
        self.counters: dict[str, tuple[str, Callable[[], float]]] = {}
        """Further counters, likewise."""
        self.sockets: Callable[[], Mapping[str, int]] = dict
        """Open WebSockets by kind."""
        self._answers: dict[tuple[str, str, int], int] = {}
        self._latencies: dict[str, list[int]] = {}
        self._seconds: dict[str, float] = {}
        self._strikes: dict[tuple[str, str], int] = {}
        self.registry.register(_Samples(self))
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def answered(self, door: str, operation: str, status: int, seconds: float) -> None:
        """Count an answer given through a door (`rest`, `ws`), and how long the exchange worked on it."""
        key = (door, operation, status)
        self._answers[key] = self._answers.get(key, 0) + 1
        buckets = self._latencies.get(operation)
        if buckets is None:
            buckets = self._latencies[operation] = [0] * (len(BUCKETS_S) + 1)
            self._seconds[operation] = 0.0
        buckets[bisect_left(BUCKETS_S, seconds)] += 1
        self._seconds[operation] += seconds

    def struck(self, kind: str, what: str) -> None:
        """Count a fault that struck an operation or event."""
        self._strikes[kind, what] = self._strikes.get((kind, what), 0) + 1

    def text(self) -> bytes:
        """The exposition."""
        return generate_latest(self.registry)

    def collect(self) -> Iterable[Metric]:
        """The samples of this moment."""
        market = self.market
        answers = CounterMetricFamily(
            "qtm_paper_requests", "Requests answered", labels=["market", "door", "operation", "status"]
        )
        for (door, operation, status), count in self._answers.items():
            answers.add_metric([market, door, operation, str(status)], count)
        yield answers
        latency = HistogramMetricFamily(
            "qtm_paper_request_seconds",
            "Time the exchange works on a request, from parsed to answered",
            labels=["market", "operation"],
        )
        for operation, buckets in self._latencies.items():
            latency.add_metric([market, operation], _cumulative(buckets), self._seconds[operation])
        yield latency
        sockets = GaugeMetricFamily(
            "qtm_paper_websockets", "Open WebSocket connections", labels=["market", "kind"]
        )
        for kind, count in self.sockets().items():
            sockets.add_metric([market, kind], count)
        yield sockets
        faults = CounterMetricFamily(
            "qtm_paper_faults", "Faults injected", labels=["market", "kind", "operation"]
        )
        for (kind, what), count in self._strikes.items():
            faults.add_metric([market, kind, what], count)
        yield faults
        for name, (help_text, read) in self.gauges.items():
            gauge = GaugeMetricFamily(name, help_text, labels=["market"])
            gauge.add_metric([market], read())
            yield gauge
        for name, (help_text, read) in self.counters.items():
            counter = CounterMetricFamily(name, help_text, labels=["market"])
            counter.add_metric([market], read())
            yield counter


class _Samples(Collector):
    """Reads an exchange's numbers when Prometheus asks."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics.collect()

    def describe(self) -> Iterable[Metric]:
        return ()  # nothing is registered by name: the names depend on what has happened


def _cumulative(buckets: list[int]) -> list[tuple[str, float]]:
    total, rows = 0, []
    for bound, count in zip((*BUCKETS_S, float("inf")), buckets, strict=True):
        total += count
        rows.append(("+Inf" if bound == float("inf") else f"{bound:g}", float(total)))
    return rows
