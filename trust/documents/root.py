"""The territory root: which keys stand for which duty. No online service can replace one."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from trust.keys import PublicKey


class Duty(enum.StrEnum):
    """What a key of the territory may sign."""

    ROOT = "root"  # the next root
    COLLEGE = "college"  # authorisations and suspensions
    STATUS = "status"  # governance's status for workers
    ORDERS = "orders"  # plans, orders, openings, releases, enrolments
    REGISTRY = "registry"  # live consents and spent budgets
    HELPER = "helper"  # campaign keys and shares of the second aggregator
    KEYHOLDER = "keyholder"  # CKKS key epochs and what is opened under them
    TRUSTEE = "trustee"  # shares of those keys: the threshold says how many must act
    GRAPH = "graph"  # the territory's graph, which the authority alone makes


@dataclass(frozen=True)
class DutyKeys:
    """The keys of one duty and how many distinct ones must sign."""

    keys: tuple[PublicKey, ...]
    threshold: int


@dataclass(frozen=True)
class Root:
    """Version n of the territory's trust; signed by a threshold of version n-1's root keys."""

    TYPE: ClassVar[str] = "application/vnd.cadastre.root.v1+json"

    territory: str  # a DNS-like name, e.g. "plaine-commune.example"; it names certificates too
    version: int  # from 1, strictly growing by one
    issued_at: datetime
    expires_at: datetime
    duties: dict[Duty, DutyKeys]
    authority: bytes  # the private certificate authority's X.509 certificate, DER
    log_policy: str  # C2SP tlog-policy text: the log's key, witnesses, quorum
    status_url: str  # where governance serves its signed status
