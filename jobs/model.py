"""A released model as files for others: its arrays, and where each of them comes from.

The arrays go into the safetensors format (plain numbers after a JSON header): reading one runs no
code, unlike a pickle. `provenance.json` names every document by its digest and its place in the
log, so that nobody has to believe the sentence that says so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from safetensors.numpy import save

from jobs.lineage import Model, Round
from protection import accounting
from trust.clock import to_text
from trust.documents.membership import BundleStatement
from trust.documents.signed import Signed
from trust.ids import Digest

FORMAT = "cadastre-model-v1"
WEIGHTS = "model.safetensors"


def weights(model: Model) -> bytes:
    """The state's float64 arrays as a safetensors file, which names its release.

    One metadata entry: the library writes several in no fixed order, and one model should have
    one spelling.
    """
    named = {"release": str(model.release.digest)}
    return bytes(save(dict(model.state), metadata=named))


def provenance(
    model: Model,
    statement: Signed[BundleStatement],
    weights_digest: Digest,
    places: Mapping[Digest, int],
) -> bytes:
    """`provenance.json`; `places` are the log indexes of the envelopes that are in the log."""
    release, vote, about = model.release, model.vote, model.bundle.manifest.bundle
    fields = {
        "format": FORMAT,
        "territory": release.document.territory,
        "campaign": release.document.campaign,
        "title": {"fr": about.title.fr, "en": about.title.en},
        "bundle": {
            "name": about.name,
            "version": about.version,
            "digest": model.bundle.digest,
            "manifest": model.bundle.manifest_digest,
            "licence": about.licence,
            "authors": list(about.authors),
            "author_key": str(statement.document.author),
            "statement": statement.digest,
        },
        "authorisation": {
            "id": vote.document.id,
            "title": vote.document.title,
            "purpose": vote.document.purpose,
            **_logged(vote.digest, places),
        },
        "parameters": json.loads(model.settings),
        "privacy": privacy(model),
        "contributions_rounded": release.document.contributors_rounded,
        "rounds_voted": model.bundle.manifest.rounds.maximum,
        "rounds": [_round(found, places) for found in model.rounds],
        "release": {
            "released_at": to_text(release.document.released_at),
            "report": release.document.report,
            **_logged(release.digest, places),
        },
        "model": {
            "file": WEIGHTS,
            "sha256": weights_digest,
            "arrays": {name: list(array.shape) for name, array in model.state.items()},
            "dtype": "float64",
        },
    }
    return (json.dumps(fields, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def privacy(model: Model) -> dict[str, Any]:
    """What the rounds that were run cost one privacy unit, and whose data they may have seen."""
    manifest, rho = model.bundle.manifest, model.release.document.rho
    return {
        "unit": manifest.unit.value,
        "classes": [found.value for found in manifest.needs.classes],
        "protection": {rule.output: rule.protection.value for rule in model.vote.document.rules},
        "rho": rho,
        "epsilon": round(accounting.epsilon(accounting.decimal(rho, "rho")), 4),
        "delta": accounting.DELTA,
    }


def _round(found: Round, places: Mapping[Digest, int]) -> dict[str, Any]:
    opening = found.opening.document
    return {
        "number": found.number,
        "plan": _logged(found.plan.digest, places),
        "opening": _logged(found.opening.digest, places),
        "conclusion": found.conclusion,
        "result": found.result,
        "parameters": opening.parameters,
        "workers": opening.partials,
        "contributors_rounded": opening.contributors_rounded,
        "opened_at": to_text(opening.opened_at),
        "metrics": dict(found.metrics),
    }


def _logged(digest: Digest, places: Mapping[Digest, int]) -> dict[str, Any]:
    return {"digest": digest, "log_index": places[digest]}
