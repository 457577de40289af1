"""`cadastre college` and `cadastre authorisation`: members' keys, and what they decide."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from terminal.arguments import leaf
from terminal.exits import OK
from terminal.output import Output

if TYPE_CHECKING:
    from terminal.arguments import Verbs


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
    drafts.write_first_draft(arguments.out, drafts.Draft.of(authorisation))
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
    drafts.write_first_draft(arguments.out, drafts.Draft.of(suspension))
    output = Output(as_json=arguments.json)
    output.record({"suspension": str(arguments.out), "authorisation": suspension.authorisation})
    output.line(f"next: `cadastre authorisation sign {arguments.out} --key FILE`")
    return OK
