"""`cadastre bundle from-flower`: an unmodified Flower app becomes a bundle.

Its code never runs here but in the sandbox: it is played once from beginning to end on invented
data, and what that shows is written into bundle.toml for people to judge.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from capsule_runtime.trial import sandbox
from terminal.arguments import leaf

if TYPE_CHECKING:
    from capsule_runtime.sandbox import Zygote
    from capsule_runtime.sandbox.model import Limits
    from jobs.flower.choices import Choices
    from jobs.flower.probe import Ran
    from protection.columns import Column, Tables
    from terminal.arguments import Verbs

SEED = 1  # of the invented capsule
Start = Callable[[tuple[str, ...]], "AbstractContextManager[Zygote]"]


def add_from_flower(verbs: Verbs) -> None:
    """Give `verbs` the verb `bundle from-flower`."""
    parser = leaf(
        verbs,
        "from-flower",
        _from_flower,
        summary="make an unmodified Flower app a bundle",
        example="cadastre bundle from-flower quickstart --out quickstart_bundle",
    )
    parser.add_argument("app", type=Path, metavar="DIR", help="the folder that `flwr run` takes")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="OUT", help="a new folder")
    parser.add_argument(
        "--choices", type=Path, metavar="FILE", help="default: cadastre.toml in the app's folder"
    )
    parser.add_argument("--data-class", metavar="CLASSES", help="instead of [data] classes")
    parser.add_argument("--table", metavar="NAME", help="instead of [data] table")
    parser.add_argument("--columns", metavar="A,B", help="instead of [data] columns")
    parser.add_argument("--clip", metavar="LENGTH", help="instead of [release] clip")
    parser.add_argument("--rho", metavar="RHO", help="instead of [release] rho")


def _from_flower(arguments: argparse.Namespace) -> int:
    from durable.files import make_directory, write_atomic  # noqa: PLC0415
    from jobs.archive import pack_folder  # noqa: PLC0415
    from jobs.errors import ArchiveRefused  # noqa: PLC0415
    from jobs.flower import choices as chosen  # noqa: PLC0415
    from terminal import exits  # noqa: PLC0415
    from terminal.output import Output  # noqa: PLC0415

    folder, out = arguments.app, arguments.out
    if out.exists() and any(out.iterdir()):
        raise ArchiveRefused(f"{out} exists and is not empty", remedy="name a new folder")
    choices = chosen.read(
        arguments.choices or folder / chosen.FILE,
        classes=arguments.data_class,
        table=arguments.table,
        columns=arguments.columns,
        clip=arguments.clip,
        rho=arguments.rho,
    )
    files, facts = adopt(folder, choices)
    for name, data in files.items():
        make_directory((out / name).resolve().parent)
        write_atomic(out / name, data)
    bundle = pack_folder(out)
    output = Output(as_json=arguments.json)
    output.record({"folder": str(out), "digest": str(bundle.digest), **facts})
    output.note(f"next: cadastre bundle try {out}")
    return exits.OK


def adopt(
    folder: Path, choices: Choices, start: Start = sandbox
) -> tuple[dict[str, bytes], dict[str, str | int | float]]:
    """The bundle's files, and what the app showed when it was played in the sandbox of `start`.

    Raises BundleMissing, FlowerAppRefused, LibraryMissing, SandboxError.
    """
    from capsule_runtime.sandbox.model import Limits  # noqa: PLC0415
    from jobs.flower import app as apps  # noqa: PLC0415
    from jobs.flower import bundle, probe, screening  # noqa: PLC0415

    app = apps.read(folder)
    used = screening.screen(app.sources)
    limits = Limits(
        bundle.memory_mib(choices, used),
        choices.run.cpu_seconds,
        float(choices.run.wall_seconds),
    )
    with start(bundle.libraries(used)) as zygote:
        probed = probe.probe(app, choices, ProbeSandbox(zygote, limits), invented(choices))
    facts: dict[str, str | int | float] = {
        "app": f"{app.name} {app.version}",
        "rounds": probed.rounds,
        "numbers in an update": probed.update,
        "longest update, one invented client": round(probed.longest_update, 6),
        "longest metrics, one invented client": round(probed.longest_metrics, 6),
        "nodes shown to the ServerApp": probed.plan.nodes,
        "left out": ", ".join(app.left_out) or "nothing",
    }
    return bundle.files(app, choices, probed, used), facts


def invented(choices: Choices) -> Tables:
    """One capsule drawn between the bounds of [mock], as `bundle try` draws them."""
    import numpy as np  # noqa: PLC0415

    from capsule_runtime.mock import drawn_table  # noqa: PLC0415

    generator = np.random.default_rng(SEED)
    table = choices.data.table
    return {table: drawn_table(generator, choices.mock, choices.needed)}


class ProbeSandbox:
    """Probes in a real sandbox that keeps what the app says."""

    def __init__(self, zygote: Zygote, limits: Limits) -> None:
        self._zygote, self._limits = zygote, limits

    def run(
        self, sources: Mapping[str, bytes], entry: str, state: Mapping[str, Column], tables: Tables
    ) -> Ran:
        """One probe. Raises SandboxError, JobRefused."""
        import numpy as np  # noqa: PLC0415

        from capsule_runtime.sandbox.model import Job, OutputField  # noqa: PLC0415
        from jobs.flower.probe import NUMBER_CELLS, TEXT_CELLS, Ran  # noqa: PLC0415
        from protection import columns  # noqa: PLC0415

        outputs = (
            OutputField("text", "int64", (TEXT_CELLS,)),
            OutputField("numbers", "float64", (NUMBER_CELLS,)),
        )
        carried = columns.encode({"state": state})
        job = Job(sources, entry, b"{}", outputs, self._limits, carried)
        with self._zygote.load(job) as loaded:
            outcome = self._zygote.run(loaded, columns.encode(tables))
        words = outcome.stderr.decode(errors="replace")
        if outcome.frame is None:
            return Ran(None, None, outcome.status.value, words)
        text = np.frombuffer(outcome.frame, "<i8", TEXT_CELLS)
        numbers = np.frombuffer(outcome.frame, "<f8", NUMBER_CELLS, 8 * TEXT_CELLS)
        return Ran(text, numbers, outcome.status.value, words)
