"""The cooperative's commands: `cadastre root | college | authorisation | status | witness`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from terminal.arguments import leaf
from terminal.exits import OK
from terminal.output import Output

if TYPE_CHECKING:
    from terminal.arguments import Verbs


def add_root(verbs: Verbs) -> None:
    """`cadastre root draft | sign | show`: the ceremony that says which key has which duty."""
    draft = leaf(
        verbs,
        "draft",
        _root_draft,
        summary="write a territory root for its members to sign",
        example="cadastre root draft --offer S/offer.json --root-key a.pub b.pub c.pub "
        "--root-threshold 2 --college x.pub y.pub z.pub --college-threshold 2 "
        "--status-key s.pub --witness W/witness.vkey=http://127.0.0.1:7003 --quorum 1 "
        "--status-url http://127.0.0.1:7004 --out root.json",
    )
    draft.add_argument("--offer", type=Path, required=True, help="offer.json of the scheduler")
    draft.add_argument("--root-key", nargs="+", action="extend", required=True, metavar="PUB")
    draft.add_argument("--root-threshold", type=int, required=True, metavar="K")
    draft.add_argument("--college", nargs="+", action="extend", required=True, metavar="PUB")
    draft.add_argument("--college-threshold", type=int, required=True, metavar="K")
    draft.add_argument("--status-key", required=True, metavar="PUB")
    draft.add_argument("--registry-key", metavar="PUB", help="when budgets have their own key")
    draft.add_argument(
        "--witness", nargs="+", action="extend", required=True, metavar="VKEYFILE=URL"
    )
    draft.add_argument("--quorum", type=int, required=True, metavar="N")
    draft.add_argument("--status-url", required=True, metavar="URL")
    draft.add_argument("--days", type=int, default=730, help="how long it is valid (730)")
    draft.add_argument("--previous", type=Path, help="the signed root that this one replaces")
    draft.add_argument("--out", type=Path, required=True)
    sign = leaf(
        verbs,
        "sign",
        _root_sign,
        summary="add one member's signature to a root",
        example="cadastre root sign root.json --key a",
    )
    sign.add_argument("file", type=Path)
    sign.add_argument("--key", type=Path, required=True, help="the member's private key file")
    sign.add_argument("--previous", type=Path, help="the root that this one replaces")
    show = leaf(
        verbs,
        "show",
        _root_show,
        summary="show who holds which duty, and who signed",
        example="cadastre root show root.json",
    )
    show.add_argument("file", type=Path)


def add_college(verbs: Verbs) -> None:
    """`cadastre college key`: one member's key, on that member's machine."""
    key = leaf(
        verbs,
        "key",
        _college_key,
        summary="make a key pair: FILE stays with you, FILE.pub is for everybody",
        example="cadastre college key --out alice",
    )
    key.add_argument("--out", type=Path, required=True, metavar="FILE")


def add_authorisation(verbs: Verbs) -> None:
    """`cadastre authorisation draft | sign | show | suspend`: the college's decisions."""
    draft = leaf(
        verbs,
        "draft",
        _authorisation_draft,
        summary="write the authorisation of one bundle for the college to sign",
        example="cadastre authorisation draft commute_flows-1.0.0.cadastre "
        "--territory demo.example --image sha256:… --campaigns 2 --days 365 --out a.json",
    )
    draft.add_argument("bundle", type=Path, metavar="BUNDLE")
    draft.add_argument("--territory", required=True, metavar="NAME")
    draft.add_argument(
        "--image",
        "--images",
        nargs="+",
        action="extend",
        required=True,
        metavar="sha256:…",
        dest="images",
        help="runtime images it may run on",
    )
    draft.add_argument("--campaigns", type=int, default=1, metavar="N", help="how many runs (1)")
    draft.add_argument("--rho-budget", metavar="RHO", help="zCDP per person for all runs together")
    draft.add_argument("--days", type=int, default=365, help="how long it is valid (365)")
    draft.add_argument("--out", type=Path, required=True)
    sign = leaf(
        verbs,
        "sign",
        _decision_sign,
        summary="show a decision and add one member's signature to it",
        example="cadastre authorisation sign a.json --key alice",
    )
    sign.add_argument("file", type=Path)
    sign.add_argument("--key", type=Path, required=True, help="the member's private key file")
    show = leaf(
        verbs,
        "show",
        _decision_show,
        summary="show what a decision says; with --root also who of the college signed",
        example="cadastre authorisation show a.json --root root.json",
    )
    show.add_argument("file", type=Path)
    show.add_argument("--root", type=Path, help="the territory root, to count signatures")
    suspend = leaf(
        verbs,
        "suspend",
        _authorisation_suspend,
        summary="write the suspension of an authorisation for the college to sign",
        example='cadastre authorisation suspend a.json --reason "wrong clip bound" --out s.json',
    )
    suspend.add_argument("authorisation", help="its id, or its file")
    suspend.add_argument("--reason", required=True)
    suspend.add_argument("--territory", metavar="NAME", help="needed with an id, not with a file")
    suspend.add_argument("--out", type=Path, required=True)


def add_status(verbs: Verbs) -> None:
    """`cadastre status serve | suspend | show`: what every worker asks governance itself."""
    serve = leaf(
        verbs,
        "serve",
        _status_serve,
        summary="publish the signed status and keep the registry of consents",
        example="cadastre status serve --state G --key s --listen 127.0.0.1:7004 --root root.json",
    )
    serve.add_argument("--state", type=Path, required=True, metavar="FOLDER")
    serve.add_argument("--key", type=Path, required=True, help="the status key's private file")
    serve.add_argument("--listen", required=True, metavar="HOST:PORT")
    serve.add_argument("--root", type=Path, required=True, help="the signed territory root")
    suspend = leaf(
        verbs,
        "suspend",
        _status_suspend,
        summary="hand in a suspension that the college signed; a running server publishes it",
        example="cadastre status suspend --state G s.json",
    )
    suspend.add_argument("--state", type=Path, required=True, metavar="FOLDER")
    suspend.add_argument("file", type=Path)
    suspend.add_argument("--root", type=Path, help="the territory root, the first time")
    show = leaf(
        verbs,
        "show",
        _status_show,
        summary="show the last published status",
        example="cadastre status show --state G",
    )
    show.add_argument("--state", type=Path, required=True, metavar="FOLDER")


def add_witness(verbs: Verbs) -> None:
    """`cadastre witness init | follow | serve`: an independent party that cosigns the log."""
    init = leaf(
        verbs,
        "init",
        _witness_init,
        summary="make a witness's key and its empty memory",
        example="cadastre witness init --state W --name witness.example",
    )
    init.add_argument("--state", type=Path, required=True, metavar="FOLDER")
    init.add_argument("--name", required=True, help="how signature lines name it; no spaces")
    follow = leaf(
        verbs,
        "follow",
        _witness_follow,
        summary="cosign the log of a scheduler from the next start on",
        example="cadastre witness follow --state W --log-vkey-from S/offer.json",
    )
    follow.add_argument("--state", type=Path, required=True, metavar="FOLDER")
    follow.add_argument("--log-vkey-from", type=Path, required=True, metavar="OFFER")
    serve = leaf(
        verbs,
        "serve",
        _witness_serve,
        summary="cosign checkpoints that consistently continue what was cosigned before",
        example="cadastre witness serve --state W --listen 127.0.0.1:7003",
    )
    serve.add_argument("--state", type=Path, required=True, metavar="FOLDER")
    serve.add_argument("--listen", required=True, metavar="HOST:PORT")


def _root_draft(arguments: argparse.Namespace) -> int:
    from governance import drafts
    from governance.ceremony.offer import Offer
    from governance.ceremony.roots import Composition, compose, read_witness
    from trust.clock import SystemClock
    from trust.documents.root import Root

    drafts.refuse_existing(arguments.out)
    previous = None
    if arguments.previous is not None:
        previous = drafts.read_draft(arguments.previous).document(Root)
    choice = Composition(
        root_keys=tuple(map(drafts.read_public_key, arguments.root_key)),
        root_threshold=arguments.root_threshold,
        college_keys=tuple(map(drafts.read_public_key, arguments.college)),
        college_threshold=arguments.college_threshold,
        status_key=drafts.read_public_key(arguments.status_key),
        registry_key=(
            drafts.read_public_key(arguments.registry_key) if arguments.registry_key else None
        ),
        witnesses=tuple(map(read_witness, arguments.witness)),
        quorum=arguments.quorum,
        status_url=arguments.status_url,
        days=arguments.days,
    )
    offer = Offer.parse(drafts.read_file(arguments.offer))
    root = compose(offer, choice, SystemClock().now(), previous)
    drafts.write_draft(arguments.out, drafts.Draft.of(root))
    output = Output(as_json=arguments.json)
    output.record(
        {"root": str(arguments.out), "territory": root.territory, "version": root.version}
    )
    output.line(
        f"next: {arguments.root_threshold} of the root keys sign it, "
        f"`cadastre root sign {arguments.out} --key FILE`"
    )
    return OK


def _root_sign(arguments: argparse.Namespace) -> int:
    from durable.keyfile import read_key
    from governance import drafts
    from governance.ceremony.signing import require_root_key, standing
    from trust.documents.root import Root

    draft = drafts.read_draft(arguments.file)
    key = read_key(arguments.key)
    previous = None
    if arguments.previous is not None:
        previous = drafts.read_draft(arguments.previous).document(Root)
    require_root_key(draft.document(Root), key.public, previous)
    signed = draft.sign(key)
    drafts.write_draft(arguments.file, signed)
    Output(as_json=arguments.json).record(standing(signed))
    return OK


def _root_show(arguments: argparse.Namespace) -> int:
    from governance import drafts
    from governance.ceremony.signing import show

    Output(as_json=arguments.json).record(show(drafts.read_draft(arguments.file)))
    return OK


def _college_key(arguments: argparse.Namespace) -> int:
    from durable.keyfile import write_key
    from trust.entropy import SYSTEM
    from trust.keys import PrivateKey

    key = PrivateKey.generate(SYSTEM)
    write_key(arguments.out, key)
    Output(as_json=arguments.json).record(
        {
            "private": str(arguments.out),
            "public": f"{arguments.out}.pub",
            "key": str(key.public),
            "keyid": key.public.keyid,
        }
    )
    return OK


def _authorisation_draft(arguments: argparse.Namespace) -> int:
    from governance import drafts
    from governance.college import decisions
    from governance.college.dossier import read_dossier
    from trust.clock import SystemClock
    from trust.entropy import SYSTEM

    drafts.refuse_existing(arguments.out)
    dossier = read_dossier(arguments.bundle)
    terms = decisions.Terms(
        territory=arguments.territory,
        images=decisions.parse_images(arguments.images),
        campaigns=arguments.campaigns,
        rho_budget=arguments.rho_budget,
        days=arguments.days,
    )
    authorisation = decisions.compose_authorisation(dossier, terms, SystemClock().now(), SYSTEM)
    drafts.write_draft(arguments.out, drafts.Draft.of(authorisation))
    output = Output(as_json=arguments.json)
    output.record(decisions.ballot(authorisation))
    output.line(
        f"next: members of the college sign it, `cadastre authorisation sign {arguments.out} "
        "--key FILE`"
    )
    return OK


def _decision_sign(arguments: argparse.Namespace) -> int:
    from durable.keyfile import read_key
    from governance import drafts
    from governance.college.showing import in_words

    draft = drafts.read_draft(arguments.file)
    words = in_words(draft)
    key = read_key(arguments.key)
    signed = draft.sign(key)
    drafts.write_draft(arguments.file, signed)
    signatures = 0 if signed.envelope is None else len(signed.envelope.signatures)
    output = Output(as_json=arguments.json)
    output.record(words | {"signed by": key.public.keyid, "signatures": signatures})
    publish = "suspend" if "suspends" in words else "authorise"
    output.line(f"once enough have signed: cadastre bundle {publish} {arguments.file}")
    if "suspends" in words:
        output.line(
            f"and, so that every worker hears it from governance itself: cadastre status "
            f"suspend --state FOLDER {arguments.file}"
        )
    return OK


def _decision_show(arguments: argparse.Namespace) -> int:
    from governance import drafts
    from governance.college.showing import in_words, signatures

    draft = drafts.read_draft(arguments.file)
    root = None if arguments.root is None else drafts.read_file(arguments.root)
    Output(as_json=arguments.json).record(in_words(draft) | signatures(draft, root))
    return OK


def _authorisation_suspend(arguments: argparse.Namespace) -> int:
    from governance import drafts
    from governance.college import decisions
    from governance.errors import VoteRefused
    from trust.clock import SystemClock
    from trust.documents.governance import Authorisation

    drafts.refuse_existing(arguments.out)
    identifier, territory = arguments.authorisation, arguments.territory
    if not identifier.startswith("auth_"):
        known = drafts.read_draft(Path(identifier)).document(Authorisation)
        identifier, territory = known.id, known.territory
    if territory is None:
        raise VoteRefused(
            "an id alone does not say which territory it is of",
            remedy="add --territory NAME, or give the authorisation's file instead of its id",
        )
    suspension = decisions.compose_suspension(
        identifier, territory, arguments.reason, SystemClock().now()
    )
    drafts.write_draft(arguments.out, drafts.Draft.of(suspension))
    output = Output(as_json=arguments.json)
    output.record({"suspension": str(arguments.out), "authorisation": suspension.authorisation})
    output.line(f"next: `cadastre authorisation sign {arguments.out} --key FILE`")
    return OK


def _status_serve(arguments: argparse.Namespace) -> int:
    from governance.status.main import serve

    return serve(arguments.state, arguments.key, arguments.listen, arguments.root)


def _status_suspend(arguments: argparse.Namespace) -> int:
    from governance import drafts
    from governance.status.main import suspend

    root = None if arguments.root is None else drafts.read_file(arguments.root)
    added, suspension = suspend(arguments.state, drafts.read_file(arguments.file), root)
    output = Output(as_json=arguments.json)
    output.record({"authorisation": suspension.authorisation, "added": added})
    output.line("a running status server publishes it within a second")
    return OK


def _status_show(arguments: argparse.Namespace) -> int:
    from governance.status.main import last_status

    status = last_status(arguments.state)
    live = sum(sum(workers.values()) for workers in status.live_consents.values())
    Output(as_json=arguments.json).record(
        {
            "territory": status.territory,
            "number": status.number,
            "issued": f"{status.issued_at:%Y-%m-%d %H:%M:%S} UTC",
            "expires": f"{status.expires_at:%Y-%m-%d %H:%M:%S} UTC",
            "suspensions": len(status.suspensions),
            "revoked": len(status.revoked),
            "live consents": live,
        }
    )
    return OK


def _witness_init(arguments: argparse.Namespace) -> int:
    from governance.cosigning import create

    key = create(arguments.state, arguments.name)
    Output(as_json=arguments.json).record(
        {"witness": key.name, "vkey": str(key), "file": str(arguments.state / "witness.vkey")}
    )
    return OK


def _witness_follow(arguments: argparse.Namespace) -> int:
    from governance.cosigning import follow

    log = follow(arguments.state, arguments.log_vkey_from)
    Output(as_json=arguments.json).record({"log": log.name, "vkey": str(log)})
    return OK


def _witness_serve(arguments: argparse.Namespace) -> int:
    from governance.cosigning import serve

    return serve(arguments.state, arguments.listen)
