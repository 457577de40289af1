"""`cadastre root`: the ceremony, on files that travel between the members."""

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
        "--helper-key", metavar="PUB", help="for campaigns under `shared` or `encrypted`"
    )
    draft.add_argument("--keyholder-key", metavar="PUB", help="for `encrypted` campaigns")
    draft.add_argument(
        "--trustee-key",
        nargs="+",
        action="extend",
        default=[],
        metavar="PUB",
        help="who each hold a share of every `encrypted` campaign's key",
    )
    draft.add_argument(
        "--trustee-threshold", type=int, metavar="T", help="how many of them open a batch"
    )
    draft.add_argument(
        "--graph-key", metavar="PUB", help="the authority's, for the graph of the territory"
    )
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


def _root_draft(arguments: argparse.Namespace) -> int:
    from governance import drafts
    from governance.ceremony.roots import Composition, compose, read_witness
    from governance.offer import Offer
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
        helper_key=drafts.read_public_key(arguments.helper_key) if arguments.helper_key else None,
        keyholder_key=(
            drafts.read_public_key(arguments.keyholder_key) if arguments.keyholder_key else None
        ),
        trustee_keys=tuple(map(drafts.read_public_key, arguments.trustee_key)),
        trustee_threshold=arguments.trustee_threshold,
        graph_key=drafts.read_public_key(arguments.graph_key) if arguments.graph_key else None,
        witnesses=tuple(map(read_witness, arguments.witness)),
        quorum=arguments.quorum,
        status_url=arguments.status_url,
        days=arguments.days,
    )
    offer = Offer.parse(drafts.read_file(arguments.offer))
    root = compose(offer, choice, SystemClock().now(), previous)
    drafts.write_first_draft(arguments.out, drafts.Draft.of(root))
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
    from governance.ceremony.signing import require_root_key, show, standing
    from trust.documents.root import Root

    draft = drafts.read_draft(arguments.file)
    show(draft)  # what can't be shown to people is not signed by them
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
