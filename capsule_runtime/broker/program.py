"""A bundle as the broker runs it: read once, checked, turned into the sandbox's jobs."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from fractions import Fraction

from capsule_runtime import guard
from capsule_runtime.broker.errors import BundleUnfit
from capsule_runtime.broker.messages import Inspected
from capsule_runtime.sandbox.model import Job, Limits, OutputField
from jobs import archive, conclusion, state
from trust import parameters as trust_parameters
from trust.documents.rules import DataClass, PrivacyUnit, ReleaseRules
from trust.ids import Digest


@dataclass(frozen=True)
class Program:
    """A bundle whose archive and manifest hold; made by `read_program` only."""

    bundle_file: archive.Bundle

    @property
    def bundle(self) -> Digest:
        """The digest of its bytes."""
        return self.bundle_file.digest

    @property
    def rules(self) -> tuple[ReleaseRules, ...]:
        """The release rules in the order of a frame's arrays."""
        return self.bundle_file.manifest.rules()

    @property
    def tables(self) -> dict[str, tuple[str, ...]]:
        """The columns that it reads, per table."""
        return dict(self.bundle_file.manifest.needs.tables)

    @property
    def classes(self) -> Collection[DataClass]:
        """The data classes that it may run on."""
        return self.bundle_file.manifest.needs.classes

    @property
    def libraries(self) -> tuple[str, ...]:
        """What the sandbox has to hold."""
        return self.bundle_file.manifest.needs.libraries

    @property
    def unit(self) -> PrivacyUnit:
        """Who is protected."""
        return self.bundle_file.manifest.unit

    @property
    def rounds(self) -> int:
        """Over how many rounds the budget is split."""
        return self.bundle_file.manifest.rounds.maximum

    @property
    def draw(self) -> Fraction:
        """The share of a capsule's persons that one round draws."""
        return Fraction(self.bundle_file.manifest.rounds.draw)

    @property
    def charge(self) -> str:
        """What one round costs each privacy unit, in zCDP, as a fraction."""
        return str(guard.charge(self.rules, rounds=self.rounds))

    def inspected(self, run: int) -> Inspected:
        """What the agent's policies compare with the vote."""
        manifest = self.bundle_file.manifest
        return Inspected(
            run=run,
            bundle=self.bundle,
            manifest=self.bundle_file.manifest_digest,
            name=manifest.bundle.name,
            version=manifest.bundle.version,
            rules=self.rules,
            tables=self.tables,
            bounds=manifest.bounds(),
            libraries=self.libraries,
            rounds=self.rounds,
            charge=self.charge,
        )

    def contribute_job(self, parameters: bytes) -> Job:
        """One capsule's run. Raises JobRefused, Malformed, ParametersRefused."""
        outputs = tuple(OutputField(r.output, r.dtype, r.shape) for r in self.rules)
        return self._job(self.bundle_file.manifest.entry.contribute, parameters, outputs)

    def conclude_job(self, parameters: bytes) -> Job:
        """The run over an aggregate. Raises JobRefused, Malformed, ParametersRefused."""
        fields = conclusion.fields(self.bundle_file.manifest)
        outputs = tuple(OutputField(*field) for field in fields)
        return self._job(self.bundle_file.manifest.entry.conclude, parameters, outputs)

    def _job(self, entry: str, parameters: bytes, outputs: tuple[OutputField, ...]) -> Job:
        manifest = self.bundle_file.manifest
        found = trust_parameters.parse(parameters)
        state.require(manifest, found)
        settings = found.settings
        if found.state is not None:
            told = {"round": found.round, "rounds": self.rounds}
            settings = json.dumps({**json.loads(settings), **told}).encode()
        needs = manifest.needs
        return Job(
            sources=self.bundle_file.sources,
            entry=entry,
            parameters=settings,
            outputs=outputs,
            limits=Limits(needs.memory_mib, needs.cpu_seconds, float(needs.wall_seconds)),
            state=found.state,
        )


def read_program(raw: bytes, libraries: Collection[str]) -> Program:
    """The program in a bundle's bytes.

    Raises ArchiveRefused, ManifestRefused, or BundleUnfit when this worker lacks a library.
    """
    program = Program(archive.read(raw))
    missing = sorted(set(program.libraries) - set(libraries))
    if missing:
        raise BundleUnfit(
            f"the bundle needs {', '.join(missing)}, which no sandbox of this worker holds",
            remedy="run it on a worker that advertises these libraries",
        )
    return program
