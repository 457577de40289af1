"""What Prometheus sees. Labels are names of transactions, states and RPCs, never of people."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Meters:
    """Every meter of the scheduler, in one registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.transactions = Counter(
            "cadastre_transactions",
            "Named transactions by outcome",
            ["name", "status"],
            registry=self.registry,
        )
        self.transaction_seconds = Histogram(
            "cadastre_transaction_seconds",
            "From asking to durable",
            ["name"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.commit_size = Histogram(
            "cadastre_commit_transactions",
            "Transactions that shared one fsync",
            buckets=_SIZES,
            registry=self.registry,
        )
        self.exchanges = Counter(
            "cadastre_exchanges", "Exchanges by outcome", ["outcome"], registry=self.registry
        )
        self.attempts = Counter(
            "cadastre_attempts",
            "Attempts by the state they ended in",
            ["state"],
            registry=self.registry,
        )
        self.log_queue = Gauge(
            "cadastre_log_queue", "Entries not yet proven in the log", registry=self.registry
        )
        self.polls = Gauge(
            "cadastre_long_polls", "Exchanges that wait for news", registry=self.registry
        )
        self.faults = Counter(
            "cadastre_faults",
            "Unexpected failures of a clock job",
            ["job"],
            registry=self.registry,
        )
