"""`cadastre bundle try`: a bundle on mock capsules, in the real sandbox, before anybody votes."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from terminal.arguments import leaf

if TYPE_CHECKING:
    from capsule_runtime.sandbox import Zygote
    from terminal.arguments import Verbs

# Root hands the sandbox to this user, and stages the runtime where that user can read it.
NOBODY = (65534, 65534)
STAGED_RUNTIME = Path("/var/lib/cadastre/runtime")
REPORT_ROWS = 12


def add_try(verbs: Verbs) -> None:
    """Give `verbs` the verb `bundle try`."""
    parser = leaf(
        verbs,
        "try",
        _try,
        summary="run a bundle on mock capsules in the real sandbox",
        example="cadastre bundle try my_bundle --capsules 50",
    )
    parser.add_argument("bundle", type=Path, metavar="DIR|FILE", help="a folder or a .cadastre")
    parser.add_argument("--capsules", type=int, default=30, help="mock capsules (default 30)")
    parser.add_argument("--data", type=Path, metavar="DIR", help="TABLE.csv files to use instead")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter's value"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the mock data (default 1)")


def _try(arguments: argparse.Namespace) -> int:
    # Imported here: the noun's other verbs need neither numpy nor a sandbox.
    from capsule_runtime import mock  # noqa: PLC0415
    from capsule_runtime.broker.program import read_program  # noqa: PLC0415
    from capsule_runtime.rehearsal import rehearse  # noqa: PLC0415
    from jobs import description, opening, parameters, report  # noqa: PLC0415
    from terminal import exits  # noqa: PLC0415
    from terminal.output import Output  # noqa: PLC0415
    from trust.entropy import SYSTEM  # noqa: PLC0415

    bundle = opening.open_bundle(arguments.bundle)
    manifest, bounds = bundle.manifest, bundle.manifest.bounds()
    program = read_program(bundle.raw, manifest.needs.libraries)
    chosen = {**description.defaults(manifest), **parameters.pairs(arguments.set)}
    blob = parameters.encode(parameters.from_texts(chosen, bounds), bounds)
    capsules = (
        mock.invented(manifest, max(arguments.capsules, 1), arguments.seed)
        if arguments.data is None
        else mock.from_csv(arguments.data, manifest)
    )
    with sandbox(manifest.needs.libraries) as zygote:
        found = rehearse(zygote, program, blob, capsules, SYSTEM)
    output = Output(as_json=arguments.json)
    if arguments.json:
        output.record(
            {
                "bundle": bundle.digest,
                "parameters": blob.decode(),
                "privacy": description.privacy(manifest),
                "releases": description.releases(manifest),
                "run": found.facts,
                "verdicts": found.verdicts,
                "complaints": list(found.complaints),
                "report": None if found.report is None else found.report.decode(),
            }
        )
    else:
        description.show_privacy(output, manifest)
        output.line("")
        output.record({**found.facts, "verdicts": found.verdicts})
        if found.report is not None:
            output.line("\n" + report.text_table(found.report, maximum_rows=REPORT_ROWS))
        for complaint in found.complaints:
            output.note(f"note: {complaint}")
    return exits.OK if found.well else exits.FAILURE


def sandbox(libraries: tuple[str, ...]) -> Zygote:
    """A sandbox that keeps what an algorithm says: for mock data only. Raises SandboxError."""
    from capsule_runtime.sandbox import Zygote  # noqa: PLC0415
    from capsule_runtime.sandbox.staging import stage_runtime  # noqa: PLC0415
    from jobs.libraries import contents, runtime_of  # noqa: PLC0415

    libraries = contents(runtime_of(libraries))
    if os.geteuid() != 0:
        return Zygote.start(libraries, keep_stderr=True)
    layout = stage_runtime(STAGED_RUNTIME, libraries)
    return Zygote.start(libraries, keep_stderr=True, run_as=NOBODY, layout=layout)
