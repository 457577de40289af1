"""`cadastre model list | show | export`: what campaigns of several rounds have trained."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from client import provenance, rounds
from client.errors import InputRefused
from client.provenance import Evidence, Origin
from client.session import Session, up_to_date, within
from client.verbs import remote
from durable.errors import StorageFailed
from durable.files import make_directory, sync_directory, write_atomic
from protection import accounting
from protos.cadastre.v1 import campaigns_pb2, campaigns_pb2_grpc, states_pb2
from terminal import exits
from terminal.arguments import Verbs
from terminal.output import Output
from terminal.progress import Progress
from trust.clock import to_text
from trust.ids import Digest

PAGE = 200  # campaigns per call, the most that a scheduler answers
MAXIMUM_PAGES = 500  # a scheduler that never stops answering is left after 100,000 campaigns


def add_model(verbs: Verbs) -> None:
    """Verbs about released models."""
    remote(
        verbs,
        "list",
        list_all,
        summary="list released models: the campaigns of several rounds",
        example="cadastre model list",
    )
    for name, run, summary in (
        ("show", show, "show where one model comes from and what it cost, verified"),
        ("export", export, "write one model with its provenance, every round verified"),
    ):
        ending = " --out model/" if name == "export" else ""
        parser = remote(
            verbs, name, run, summary=summary, example=f"cadastre model {name} camp_…{ending}"
        )
        parser.add_argument("campaign", help="the campaign that trained it, or a unique prefix")
        if name == "export":
            parser.add_argument("--out", type=Path, required=True, help="a new or empty folder")


def list_all(arguments: argparse.Namespace) -> int:
    """Print a table of models, newest first."""
    models = [view for view in within(arguments.identity, _released) if view.rounds_voted > 1]
    Output(as_json=arguments.json).table(
        ["model", "title", "bundle", "rounds voted", "released"],
        [
            [view.campaign, view.title, view.bundle, view.rounds_voted, view.updated_at]
            for view in models
        ],
    )
    return exits.OK


def show(arguments: argparse.Namespace) -> int:
    """Print one model's provenance; the rounds' figures are the scheduler's until an export."""

    async def visit(session: Session) -> Origin:
        return await provenance.origin(await up_to_date(session), arguments.campaign)

    found = within(arguments.identity, visit)
    output = Output(as_json=arguments.json)
    head, rows = rounds.table_of(found.view)
    told = _told(found)
    if arguments.json:
        told["rounds"] = [dict(zip(head, row, strict=True)) for row in rows]
    output.record(told)
    if rows and not arguments.json:
        output.line("")
        output.table(head, rows)
    output.line(f"next: cadastre model export {found.view.campaign} --out FOLDER")
    return exits.OK


def export(arguments: argparse.Namespace) -> int:
    """Verify every round, then write the folder at once."""
    from jobs import model as models  # noqa: PLC0415 - needs safetensors, `list` and `show` do not
    from jobs import model_card  # noqa: PLC0415 - the same

    out: Path = arguments.out
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputRefused(f"{out} is not an empty folder", remedy="name a new folder")

    async def visit(session: Session) -> tuple[Origin, Evidence]:
        session = await up_to_date(session)
        found = await provenance.origin(session, arguments.campaign)
        with Progress(len(found.release.document.openings), "rounds verified") as bar:
            return found, await provenance.follow(session, found, bar.reach)

    found, evidence = within(arguments.identity, visit)
    weights = models.weights(evidence.model)
    files = {
        **evidence.files,
        models.WEIGHTS: weights,
        "provenance.json": models.provenance(
            evidence.model, found.statement, Digest.of(weights), evidence.places
        ),
        "MODEL_CARD.md": model_card.render(evidence.model),
    }
    _place(out, files)
    Output(as_json=arguments.json).record(
        {
            "folder": str(out),
            "arrays": {name: list(a.shape) for name, a in evidence.model.state.items()},
            "weights": str(Digest.of(weights)),
            "rounds verified": len(evidence.model.rounds),
            "epsilon": _epsilon(found),
            "release": str(found.release.digest),
            "log index": found.proofs["release"].index,
        }
    )
    return exits.OK


async def _released(session: Session) -> list[Any]:
    """Every released campaign, page by page."""
    stub = campaigns_pb2_grpc.CampaignsStub(session.channel)
    found: list[Any] = []
    for _ in range(MAXIMUM_PAGES):
        request = campaigns_pb2.ListCampaignsRequest(
            state=states_pb2.CAMPAIGN_STATE_RELEASED,
            limit=PAGE,
            after=found[-1].campaign if found else "",
        )
        page = (await session.call(stub.List, request)).campaigns
        found += page
        if len(page) < PAGE:
            break
    return found


def _told(found: Origin) -> dict[str, Any]:
    about, release = found.bundle.manifest.bundle, found.release.document
    return {
        "model": release.campaign,
        "title": about.title.en,
        "bundle": f"{about.name} {about.version}",
        "bundle digest": found.bundle.digest,
        "authors": list(about.authors),
        "author's key": str(found.statement.document.author),
        "authorisation": release.authorisation,
        "voted as": found.vote.document.title,
        "purpose": found.vote.document.purpose,
        "rounds": f"{len(release.openings)} of {found.bundle.manifest.rounds.maximum} voted",
        "rho": release.rho,
        "epsilon": _epsilon(found),
        "delta": accounting.DELTA,
        "contributions": f"~{release.contributors_rounded}, all rounds together",
        "released": to_text(release.released_at),
        "release": found.release.digest,
        "log index": found.proofs["release"].index,
    }


def _epsilon(found: Origin) -> float:
    rho = accounting.decimal(found.release.document.rho, "rho")
    return round(accounting.epsilon(rho), 4)


def _place(out: Path, files: dict[str, bytes]) -> None:
    """Write `files` beside `out`, then move them there in one step. Raises StorageFailed.

    If we crash before the move, a folder `.cadastre-…` remains beside and `out` is untouched.
    """
    make_directory(out.parent)
    with tempfile.TemporaryDirectory(prefix=".cadastre-", dir=out.parent) as held:
        folder = Path(held) / "model"
        for name, data in files.items():
            make_directory((folder / name).parent)
            write_atomic(folder / name, data)
        try:
            folder.replace(out)
        except OSError as error:
            raise StorageFailed.writing(out, error) from error
    sync_directory(out.parent)
