"""What Prometheus reads. Nothing here tells a claimed address from a taken one."""

from collections.abc import Callable, Mapping, Sequence

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
        names = ("method", "route", "status")
        self.requests = self._seconds("request", "Requests and their latency by method, route and status", names)
        self.shed = self._counter(
            "shed_requests", "Requests answered 503 at once, by route: they would wait long", ("route",)
        )
        self.password_wait = self._seconds("password_wait", "How long passwords waited for a thread to hash them")
        self.limited = self._counter("requests_limited", "Requests that were refused for their client's limit")
        self.redis_up = self._unknown_at_first(
            "redis_up", "1 while the Redis of LIMITS_URL answers, 0 while this replica counts by itself", "without one"
        )
        self.mail_taken = self._unknown_at_first(
            "mail_taken", "1 where the mail server took the last mail, 0 where that was given up", "before the first"
        )
        self.sweeps = self._counter("sweeps", "Rounds of this replica's sweeper by result", ("result",))
        self.sweep_seconds = self._seconds("sweep", "How long a round of the sweeper takes")
        self.overdue = self._unknown_at_first(
            "claims_overdue", "Claims past their TTL that no sweeper has ended, after this replica's last round"
        )
        self.schema_differences = self._unknown_at_first(
            "schema_differences",
            "How many differences the schema has from what the migrations make, at the last look, which is at most a "
            "minute old",
        )

    def _seconds(self, name: str, documentation: str, labels: Sequence[str] = ()) -> Histogram:
        return Histogram(f"beefirst_{name}_seconds", documentation, labels, buckets=BUCKETS, registry=self.registry)

    def _counter(self, name: str, documentation: str, labels: Sequence[str] = ()) -> Counter:
        return Counter(f"beefirst_{name}", documentation, labels, registry=self.registry)

    def _unknown_at_first(self, name: str, documentation: str, when: str = "while unknown") -> Gauge:
        gauge = Gauge(f"beefirst_{name}", f"{documentation}; NaN {when}", registry=self.registry)
        gauge.set(float("nan"))
        return gauge

    def watch_pool(self, stats: Callable[[], Mapping[str, int]]) -> None:
        """Tell, whenever the figures are read, how the connections to the database are used.

        Args:
            stats: of the pool, as psycopg_pool names them.
        """
        connections = Gauge(
            "beefirst_pool_connections", "Connections of the pool by use", ["use"], registry=self.registry
        )
        connections.labels("free").set_function(lambda: stats()["pool_available"])
        connections.labels("lent").set_function(lambda: stats()["pool_size"] - stats()["pool_available"])
        waiting = Gauge("beefirst_pool_waiting", "Steps that wait for a connection", registry=self.registry)
        waiting.set_function(lambda: stats().get("requests_waiting", 0))

    def render(self) -> bytes:
        """Return all figures in Prometheus's text format."""
        return generate_latest(self.registry)
