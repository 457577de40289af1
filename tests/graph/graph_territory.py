"""A small territory for the graph's tests: its root, its votes and its releases, all signed."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from durable.keyfile import write_key
from trust.documents import signed
from trust.documents.campaign import Release
from trust.documents.governance import Authorisation
from trust.documents.root import Duty, DutyKeys, Root
from trust.documents.rules import Mechanism, Norm, PrivacyUnit, Protection, ReleaseRules
from trust.ids import AuthorisationId, CampaignId, Digest
from trust.keys import PrivateKey
from trust.root import TrustedRoot, trust_pinned

NAME = "test.cadastre.example"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
BUNDLE = Digest.of(b"a bundle")
RULES = ReleaseRules(
    output="flows", shape=(3, 3, 2), dtype="int64", step="1", norm=Norm.L2, bound="1",
    unit=PrivacyUnit.PERSON, protection=Protection.CLEAR,
    mechanism=Mechanism.DISCRETE_GAUSSIAN, rho="0.1", minimum_contributors=20,
    maximum_contributors=1000000, minimum_capsules=3, minimum_workers=1, minimum_operators=1,
    suppress_below=20,
)  # fmt: skip


def _key(number: int) -> PrivateKey:
    return PrivateKey(bytes([number]) * 32)


@dataclass
class Town:
    """Keys by duty, and files signed with them."""

    folder: Path
    keys: dict[Duty, PrivateKey] = field(
        default_factory=lambda: {
            duty: _key(number)
            for number, duty in enumerate(
                (Duty.ROOT, Duty.COLLEGE, Duty.STATUS, Duty.ORDERS, Duty.GRAPH), start=1
            )
        }
    )

    def root(self, **changed: Any) -> Path:
        """The signed root, as a file."""
        root = Root(
            territory=NAME, version=1, issued_at=NOW, expires_at=NOW + timedelta(days=36500),
            duties={duty: DutyKeys((key.public,), 1) for duty, key in self.keys.items()},
            authority=b"", log_policy="", status_url="http://status.example",
        )  # fmt: skip
        path = self.folder / "root.json"
        path.write_bytes(signed.sign(replace(root, **changed), [self.keys[Duty.ROOT]]).envelope.raw)
        return path

    def trusted(self) -> TrustedRoot:
        raw = self.root().read_bytes()
        return trust_pinned(raw, Digest.of(raw))

    def key_file(self, duty: Duty = Duty.GRAPH) -> Path:
        path = self.folder / f"{duty.value}.key"
        if not path.exists():
            write_key(path, self.keys[duty])
        return path

    def vote(self, rules: tuple[ReleaseRules, ...] = (RULES,), **changed: Any) -> bytes:
        vote = Authorisation(
            id=AuthorisationId.from_bytes(bytes(16)), territory=NAME, bundle=BUNDLE,
            manifest=Digest.of(b"m"), title="t", purpose="p", tables={}, rules=rules, bounds={},
            images=(), rho_budget="0.4", campaigns=3, not_before=NOW,
            not_after=NOW + timedelta(days=365),
        )  # fmt: skip
        return signed.sign(replace(vote, **changed), [self.keys[Duty.COLLEGE]]).envelope.raw

    def release(self, report: bytes, number: int = 0, **changed: Any) -> bytes:
        release = Release(
            territory=NAME, campaign=CampaignId.from_bytes(bytes([number]) * 16), bundle=BUNDLE,
            authorisation=AuthorisationId.from_bytes(bytes(16)), openings=(),
            conclusion=Digest.of(b"c"), report=Digest.of(report), contributors_rounded=1000,
            rho="0.1", released_at=NOW + timedelta(hours=number),
        )  # fmt: skip
        return signed.sign(replace(release, **changed), [self.keys[Duty.ORDERS]]).envelope.raw

    def publish(self, report: bytes, name: str = "released", number: int = 0) -> Path:
        """A folder with release, report and authorisation."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        (folder / "release.json").write_bytes(self.release(report, number))
        (folder / "report.json").write_bytes(report)
        (folder / "authorisation.json").write_bytes(self.vote())
        return folder


def a_report(
    cells: list[Any],
    shape: tuple[int, ...] = (3, 3, 2),
    *,
    bundle: str = "commute_flows_test",
    half: float = 4.5,
    unit: str = "persons",
) -> bytes:
    """A report as the grid renders it: withheld cells are texts, their bands null."""
    labels = [[f"label {i}" for i in range(length)] for length in shape]

    def array(kind: str, values: list[Any]) -> dict[str, Any]:
        return {
            "kind": kind, "of": None if kind == "value" else "flows", "unit": unit,
            "shape": list(shape), "labels": labels, "cells": values,
        }  # fmt: skip

    def banded(sign: int) -> list[Any]:
        return [
            max(0.0, cell + sign * half) if isinstance(cell, int | float) else None
            for cell in cells
        ]

    return json.dumps(
        {
            "format": "cadastre-report-v1", "bundle": {"name": bundle, "version": "1.0.0"},
            "title": {"fr": "Flux", "en": "Flows"}, "purpose": "p", "privacy": {},
            "arrays": {
                "flows": array("value", cells),
                "flows_lower": array("lower", banded(-1)),
                "flows_upper": array("upper", banded(1)),
            },
        },
        sort_keys=True,
    ).encode()  # fmt: skip


PLAN = """\
[graph]
name = { fr = "Trois villages", en = "Three villages" }
attribution = "essai"
licence = "Licence Ouverte 2.0"

[[nodes]]
id = "territory:vallee"
name = "Vallée"

[[nodes]]
id = "place:c"
name = "Ailleurs & <autre>"

[[tables]]
file = "places.csv"
holds = "place"
series = "villages"
title = "Villages"
attribution = "IGN"
licence = "Licence Ouverte 2.0"
within = "territory:vallee"
columns = { id = "code", name = "name", longitude = "lon", latitude = "lat" }

[[releases]]
bundle = "commute_flows_test"
array = "flows"
relation = "commuting"
axes = ["origin", "target", "resource"]
labels.origin = ["place:a", "place:b", "place:c"]
labels.target = ["place:a", "place:b", "place:c"]
labels.resource = ["resource:mode.car", "resource:mode.transit"]
period = ["2026-01-01", "2026-12-31"]
"""
PLACES = "code,name,lon,lat\na,Amont,2.3592,48.9296\nb,Bourg,2.3845,48.9122\n"
# [home a, b, c][work a, b, c][car, transit]
CELLS = [
    100, 40, 50, "<20", 200, 300,
    60, 30, 400, 100, "<20", "<20",
    500, 600, 70, 80, "<20", "<20",
]  # fmt: skip


def a_plan(folder: Path, text: str = PLAN, places: str = PLACES) -> Path:
    (folder / "places.csv").write_text(places, encoding="utf-8")
    path = folder / "plan.toml"
    path.write_text(text, encoding="utf-8")
    return path
