"""Reading a bundle for the vote: every byte of the archive is accounted for by `jobs.archive`."""

from __future__ import annotations

from pathlib import Path

from governance.college.decisions import Dossier
from governance.drafts import read_file
from jobs import archive
from protection import accounting
from trust.policy.request import BundleFacts


def read_dossier(path: Path) -> Dossier:
    """The dossier of the bundle in `path`. Raises DraftRefused, ArchiveRefused, ManifestRefused."""
    bundle = archive.read(read_file(path, archive.MAXIMUM_BYTES))
    manifest = bundle.manifest
    facts = BundleFacts(
        bundle=bundle.digest,
        manifest=bundle.manifest_digest,
        rules=manifest.rules(),
        tables=dict(manifest.needs.tables),
        bounds=manifest.bounds(),
        rounds=manifest.rounds.maximum,
        charge=accounting.rho_of(manifest.rules()) / manifest.rounds.maximum,
    )
    title = manifest.bundle.title
    return Dossier(facts, f"{title.fr} / {title.en}", manifest.bundle.purpose)
