"""A whole training without grid and sandbox: what one seed's luck is, told by several seeds.

Portions, draws, guard, shares, noise and report are those of a real campaign (the rehearsal of
`cadastre bundle try`); only the bundle's functions are called here instead of in a sandbox, since
thousands of forks for each seed are more than a demo has time for. The first round agrees with the
sandbox's; then last bits of the model may differ, and with them who is drawn in the next round.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import re
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any, cast

import numpy as np

from capsule_runtime.broker.program import Program, read_program
from capsule_runtime.rehearsal import OnRound, rehearse
from capsule_runtime.sandbox import Job, Outcome, Status, Zygote
from capsule_runtime.sandbox.inside import harness
from demo.learning_data import Staff
from demo.learning_model import BUNDLE, algorithm
from graph.learning.mode_shift import Numbers
from jobs import archive, description, parameters
from jobs.libraries import LIBRARIES
from jobs.opening import built_in_folder
from protection.columns import Tables
from trust.entropy import Entropy

PRICED = re.compile(r'noise = \{ mechanism = "discrete_gaussian", rho = "[\d.]+" \}')
UNPRICED = 'noise = { mechanism = "none" }'  # a manifest has it for public data only


def trained(
    staff: Staff, seed: int, entropy: Entropy, progress: OnRound, *, noise: bool = True
) -> Numbers:
    """The weights that one campaign with this seed would release.

    Without `noise`, what it would release if it protected nobody: clipped and drawn all the same.
    """
    program = program_of(noise=noise)
    manifest = program.bundle_file.manifest
    chosen = {**description.defaults(manifest), "seed": str(seed)}
    blob = parameters.encode(parameters.from_texts(chosen, manifest.bounds()), manifest.bounds())
    last: dict[str, Any] = {}

    def hear(number: int, told: Any) -> None:
        last.update(told)
        progress(number, told)

    capsules = cast("list[Tables]", staff.capsules())
    rehearse(cast("Zygote", _Here()), program, blob, capsules, entropy, progress=hear)
    return np.array(last["weights"])


def program_of(*, noise: bool) -> Program:
    """The bundle; or, as it would be on public data, the same without noise."""
    bundle = archive.pack_folder(built_in_folder(BUNDLE))
    if noise:
        return read_program(bundle.raw, LIBRARIES)
    told, found = PRICED.subn(UNPRICED, bundle.files[archive.MANIFEST].decode())
    assert found == len(bundle.manifest.rules())
    public = told.replace('["company"]', '["public"]').encode()
    return read_program(archive.pack({**bundle.files, archive.MANIFEST: public}), LIBRARIES)


class _Here:
    """Runs the bundle's functions in this process, where the rehearsal expects a sandbox."""

    @contextlib.contextmanager
    def load(self, job: Job) -> Iterator[Job]:
        yield job

    def run(self, job: Job, data: bytes) -> Outcome:
        tables = harness.decode(data)
        told = json.loads(job.parameters)
        if job.state:
            told[harness.STATE] = harness.decode(job.state)[harness.STATE]
        module, function = job.entry.split(":")
        only = tables.get(harness.AGGREGATE, tables)
        answer = getattr(_modules()[module], function)(only, told)
        outputs = [(field.name, field.dtype, field.shape) for field in job.outputs]
        packed = harness.PackedJob(job.entry, outputs, job.parameters, b"", {})
        return Outcome(Status.ok, frame=harness.frame(packed, answer)[4:])


def _modules() -> dict[str, ModuleType]:
    """The bundle's modules by the names that they have in the sandbox."""
    name = f"{BUNDLE}_steps"
    first = cast("ModuleType", algorithm())
    if name not in sys.modules:
        path = built_in_folder(BUNDLE) / "steps.py"
        specification = importlib.util.spec_from_file_location(name, path)
        assert specification is not None
        assert specification.loader is not None
        module = importlib.util.module_from_spec(specification)
        before = sys.modules.get("algorithm")
        sys.modules["algorithm"] = first  # under this name `steps` imports its neighbour
        specification.loader.exec_module(module)
        del sys.modules["algorithm"]
        if before is not None:
            sys.modules["algorithm"] = before
        sys.modules[name] = module
    return {"algorithm": first, "steps": sys.modules[name]}
