"""`cadastre campaign start | list | show | watch | cancel | report`."""

from __future__ import annotations

import argparse
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from client import proofs, roots, rounds
from client.errors import CampaignEnded, InputRefused
from client.session import Session, up_to_date, within
from client.verbs import is_asked, read_file, remote
from durable.files import make_directory, write_atomic
from protos.cadastre.v1 import campaigns_pb2, campaigns_pb2_grpc, states_pb2
from terminal import exits
from terminal.arguments import Verbs
from terminal.output import Output
from terminal.progress import Progress
from trust.documents.campaign import Release
from trust.documents.root import Duty
from trust.documents.signed import Signed
from trust.entropy import SYSTEM
from trust.errors import Malformed, TrustError
from trust.ids import Digest
from wire.errors import BadMessage, Unreachable

_ENDED = frozenset({"released", "failed", "cancelled"})


def add_campaign(verbs: Verbs) -> None:
    """Verbs about campaigns."""
    parser = remote(
        verbs,
        "start",
        start,
        summary="start a campaign of an authorised bundle",
        example="cadastre campaign start sha256:3f… --set year=2026 "
        "--reason 'figures of the year' --watch",
    )
    parser.add_argument("bundle", help="the bundle's digest, or 8 or more hex digits of it")
    parser.add_argument("--parameters", type=Path, help="a JSON file with the parameters")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="one parameter"
    )
    parser.add_argument(
        "--reason", default="", help="why, kept in the signed log for everybody: name nobody"
    )
    parser.add_argument("--watch", action="store_true", help="stay until it ends")
    remote(
        verbs, "list", list_all, summary="list campaigns", example="cadastre campaign list --json"
    )
    for name, run, summary in (
        ("show", show, "show one campaign with its rounds and units"),
        ("watch", watch, "follow one campaign until it ends"),
        ("report", report, "print a released campaign's report, verified"),
    ):
        parser = remote(
            verbs, name, run, summary=summary, example=f"cadastre campaign {name} camp_…"
        )
        parser.add_argument("campaign", help="its id, or a unique prefix")
        if name == "report":
            parser.add_argument("--out", type=Path, help="also write release and report there")
        if name == "watch":
            parser.add_argument(
                "--until",
                default="",
                metavar="WORD",
                help="stop as soon as its state has this word in it, or why it or a unit waits "
                "(waiting-for-trustees)",
            )
    parser = remote(
        verbs,
        "cancel",
        cancel,
        summary="stop a campaign",
        example="cadastre campaign cancel camp_… --reason 'wrong parameters'",
    )
    parser.add_argument("campaign")
    parser.add_argument("--reason", required=True)


def start(arguments: argparse.Namespace) -> int:
    """Start one campaign and, with --watch, follow it."""
    request = campaigns_pb2.StartCampaignRequest(
        bundle=arguments.bundle,
        parameters=json.dumps(_parameters(arguments)).encode(),
        request=SYSTEM(16).hex(),
        reason=arguments.reason,
    )

    async def visit(session: Session) -> Any:
        stub = campaigns_pb2_grpc.CampaignsStub(session.channel)
        view = await session.call(stub.Start, request)
        return await _follow(session, view.campaign) if arguments.watch else view

    return _finish(arguments, within(arguments.identity, visit), waited=arguments.watch)


def list_all(arguments: argparse.Namespace) -> int:
    """Print a table of campaigns, newest first."""

    async def visit(session: Session) -> Any:
        stub = campaigns_pb2_grpc.CampaignsStub(session.channel)
        return await session.call(stub.List, campaigns_pb2.ListCampaignsRequest(limit=200))

    answer = within(arguments.identity, visit)
    Output(as_json=arguments.json).table(
        ["campaign", "state", "title", "created", "reason"],
        [
            [view.campaign, _state(view), view.title, view.created_at, view.reason or None]
            for view in answer.campaigns
        ],
    )
    return exits.OK


def show(arguments: argparse.Namespace) -> int:
    """Print one campaign."""

    async def visit(session: Session) -> Any:
        return await _call(session, "Show", arguments.campaign)

    return _finish(arguments, within(arguments.identity, visit), waited=False)


def watch(arguments: argparse.Namespace) -> int:
    """Follow one campaign; exit 0 once it is released or says `--until`, 1 if it ends without."""

    async def visit(session: Session) -> Any:
        return await _follow(session, arguments.campaign, arguments.until)

    view = within(arguments.identity, visit)
    return _finish(arguments, view, waited=not _says(view, arguments.until))


def cancel(arguments: argparse.Namespace) -> int:
    """Cancel one campaign."""
    request = campaigns_pb2.CancelCampaignRequest(
        campaign=arguments.campaign, reason=arguments.reason
    )

    async def visit(session: Session) -> Any:
        stub = campaigns_pb2_grpc.CampaignsStub(session.channel)
        return await session.call(stub.Cancel, request)

    return _finish(arguments, within(arguments.identity, visit), waited=False)


def report(arguments: argparse.Namespace) -> int:
    """Print one report after checking the release's signature and the report's digest."""

    async def visit(session: Session) -> Any:
        answer = await _call(session, "Report", arguments.campaign)
        release = await _release(session, answer.release)
        if Digest.of(answer.report) != release.document.report:
            raise Malformed(
                "the report's bytes are not those that the release names",
                remedy="ask again; if it stays so, the scheduler's store is damaged or dishonest",
            )
        # A true release of an older campaign would verify just as well.
        if not is_asked(release.document.campaign, arguments.campaign):
            raise BadMessage("the scheduler answered with the release of another campaign")
        return answer

    answer = within(arguments.identity, visit)
    shown = _readable(answer.report, as_json=arguments.json)
    if arguments.out:
        make_directory(arguments.out)
        write_atomic(arguments.out / "release.json", answer.release)
        write_atomic(arguments.out / "report.json", answer.report)
    output = Output(as_json=arguments.json)
    if arguments.json:
        output.record(shown)
    else:
        output.line(shown)
    return exits.OK


async def _release(session: Session, raw: bytes) -> Signed[Release]:
    """The release in `raw`, under the newest root or under the one at its place in the log."""
    with suppress(TrustError):
        return session.identity.root.verify(Release, raw, Duty.ORDERS)
    session = await up_to_date(session)
    known = await roots.in_force(session)
    place = (await proofs.prove(session, Digest.of(raw))).index
    return known.at(place).verify(Release, raw, Duty.ORDERS)


def _readable(report: bytes, *, as_json: bool) -> Any:
    """A report's fields, or its table. Raises Malformed for what the scheduler should not sign."""
    try:
        fields = dict(json.loads(report))
        if as_json:
            return fields
        from jobs.report import text_table  # noqa: PLC0415 - needs numpy, a bare client lacks it

        return text_table(report)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise Malformed(
            "the report is not in the form of this release of Cadastre",
            remedy="install the release that the scheduler runs",
        ) from error


async def _call(session: Session, method: str, campaign: str) -> Any:
    stub = campaigns_pb2_grpc.CampaignsStub(session.channel)
    request = campaigns_pb2.ShowCampaignRequest(campaign=campaign)
    return await session.call(getattr(stub, method), request)


async def _follow(session: Session, campaign: str, until: str = "") -> Any:
    stub = campaigns_pb2_grpc.CampaignsStub(session.channel)
    request = campaigns_pb2.ShowCampaignRequest(campaign=campaign)
    view: Any = None
    with Progress(1000, "capsules") as bar:
        async for view in session.stream(stub.Watch, request):
            done, label = rounds.progress_of(view)
            bar.say(label)
            bar.reach(round(1000 * done))
            if _state(view) in _ENDED or _says(view, until):
                break
    if view is None:
        raise Unreachable("the scheduler ended the watch without a word", remedy="ask again")
    return view


def _says(view: Any, word: str) -> bool:
    """Whether `word` came true: why a campaign ended without a release may name it as well."""
    said = [_state(view)]
    if said[0] not in _ENDED:
        for one in (view, *(unit for entry in view.rounds for unit in entry.units)):
            said += (one.reason, one.reason_code)
    return bool(word) and any(word in each for each in said)


def _parameters(arguments: argparse.Namespace) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if arguments.parameters:
        try:
            values = json.loads(read_file(arguments.parameters))
        except ValueError as error:
            raise InputRefused(
                f"{arguments.parameters} is not JSON: {error}",
                remedy='write one JSON object, as in {"year": 2026}',
            ) from error
    for text in arguments.set:
        name, equals, value = text.partition("=")
        if not equals:
            raise InputRefused(f"{text!r} is not NAME=VALUE", remedy="write --set year=2026")
        try:
            values[name] = json.loads(value)
        except ValueError:
            values[name] = value
    return values


def _finish(arguments: argparse.Namespace, view: Any, *, waited: bool) -> int:
    output = Output(as_json=arguments.json)
    units = [unit for entry in view.rounds for unit in entry.units]
    output.record(
        {
            "campaign": view.campaign,
            "title": view.title,
            "state": _state(view),
            "reason": view.reason or None,
            "bundle": view.bundle,
            "created": view.created_at,
            "release": view.release or None,
            "rounds": f"{len(view.rounds)} of at most {max(view.rounds_voted, 1)}",
            "epsilon so far": rounds.epsilon_so_far(view),
            "units": [
                f"{unit.kind} {_word(states_pb2.UnitState, unit.state)}"
                + (f" ({unit.reason})" if unit.reason else "")
                for unit in units
            ],
        }
    )
    head, rows = rounds.table_of(view)
    if rows and view.rounds_voted > 1 and not arguments.json:
        output.line("")
        output.table(head, rows)
    if _state(view) == "released":
        output.line(f"next: cadastre campaign report {view.campaign}")
    if waited and _state(view) != "released":
        return exits.explain(
            CampaignEnded(
                f"the campaign is {_state(view)}: {view.reason or 'no reason given'}",
                remedy="`cadastre campaign show` lists its units and their reasons",
            )
        )
    return exits.OK


def _state(view: Any) -> str:
    return _word(states_pb2.CampaignState, view.state)


def _word(kind: Any, value: int) -> str:
    if value not in kind.values():
        return f"unknown ({value})"  # of a newer release, or invented
    name: str = kind.Name(value)
    return name.rpartition("_STATE_")[2].lower()
