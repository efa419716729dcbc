"""What Prometheus reads. Nothing here tells a claimed address from a taken one."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""Seconds; one hash at cost 10 takes about 0.05."""


class Metrics:
    """The figures of one application."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each, which nobody reads
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Histogram(
            "beefirst_request_seconds",
            "Requests and their latency by method, route and status",
            ("method", "route", "status"),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.shed = self._counter(
            "shed_requests", "Requests answered 503 at once, by route: they would wait long", "route"
        )
        self.sweeps = self._counter("sweeps", "Rounds of this replica's sweeper by result", "result")
        self.sweep_seconds = Histogram(
            "beefirst_sweep_seconds", "How long a round of the sweeper takes", buckets=BUCKETS, registry=self.registry
        )
        self.overdue = self._unknown_at_first(
            "beefirst_claims_overdue",
            "Claims past their TTL that no sweeper has ended, after this replica's last round",
        )
        self.schema_differences = self._unknown_at_first(
            "beefirst_schema_differences",
            "How many differences the schema has from what the migrations make, at the last look, which is at most a "
            "minute old",
        )

    def _counter(self, name: str, documentation: str, label: str) -> Counter:
        return Counter(f"beefirst_{name}", documentation, (label,), registry=self.registry)

    def _unknown_at_first(self, name: str, documentation: str) -> Gauge:
        gauge = Gauge(name, f"{documentation}; NaN while unknown", registry=self.registry)
        gauge.set(float("nan"))
        return gauge

    def render(self) -> bytes:
        """Return all figures in Prometheus's text format."""
        return generate_latest(self.registry)
