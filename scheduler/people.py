"""`cadastre scheduler` about people: invite, tie-author, shut-out, exclude.

The first three are about the pages' visitors, the last one about members of the grid.
"""

from __future__ import annotations

import argparse

from scheduler.cli import state_option
from terminal.arguments import Verbs, leaf


def add_people(verbs: Verbs) -> None:
    """Who is let in, to the pages and to the grid."""
    invite = leaf(
        verbs,
        "invite",
        _invite,
        summary="make a token that signs one person in to the pages, once, within three days",
        example="cadastre scheduler invite --state S --role operator --name 'Inès Martin'",
    )
    state_option(invite)
    invite.add_argument(
        "--role",
        action="append",
        required=True,
        choices=["operator", "auditor", "author", "viewer"],
        help="what they may do; may be given several times",
    )
    invite.add_argument("--name", required=True, help="shown on the pages to themselves")
    invite.add_argument(
        "--author-key",
        action="append",
        default=[],
        metavar="ed25519:…",
        help="an author's key, as `cadastre bundle sign` prints it: they see its bundles and no "
        "others; may be given several times",
    )

    tie = leaf(
        verbs,
        "tie-author",
        _tie,
        summary="show the bundles of an author's key to somebody who signs in with an issuer",
        example="cadastre scheduler tie-author --state S --subject 'https://id.example#42' "
        "--author-key ed25519:…",
    )
    state_option(tie)
    tie.add_argument(
        "--subject", required=True, help="the account, as its page `My bundles` writes it"
    )
    tie.add_argument("--author-key", required=True, metavar="ed25519:…", help="the author's key")
    tie.add_argument("--undo", action="store_true", help="no longer, from their next page on")

    out = leaf(
        verbs,
        "shut-out",
        _shut_out,
        summary="end somebody's sessions of the pages, and take back their keys and tokens",
        example="cadastre scheduler shut-out --state S --subject 'https://id.example#42'",
    )
    state_option(out)
    out.add_argument(
        "--subject",
        required=True,
        help="the account, as `invite` printed it; ISSUER#NAME of an identity provider",
    )

    exclude = leaf(
        verbs,
        "exclude",
        _exclude,
        summary="exclude any member for good: its certificate is denied within seconds",
        example="cadastre scheduler exclude ana --state S --reason 'stolen laptop'",
    )
    state_option(exclude)
    exclude.add_argument("member", help="a person as in their token's --operator, or wrk_…")
    exclude.add_argument("--reason", required=True, help="kept here, never published")


def _invite(arguments: argparse.Namespace) -> int:
    from scheduler.database import opened
    from scheduler.opening import invite, whereabouts
    from scheduler.state import State
    from terminal.output import Output

    state = State(arguments.state)
    with opened(state) as store:
        token, account = invite(store, arguments.name, arguments.role, arguments.author_key)
    address = whereabouts(state)
    Output(as_json=arguments.json).record(
        {
            "name": arguments.name,
            "account": account,  # what `shut-out` and `tie-author` call them
            "roles": " ".join(arguments.role),
            "token": token,
            "open": f"{address}/sign-in#{token}" if address else "start the scheduler first",
        }
    )
    return 0


def _tie(arguments: argparse.Namespace) -> int:
    from scheduler.database import opened
    from scheduler.opening import tie
    from scheduler.state import State
    from terminal.output import Output

    state = State(arguments.state)
    with opened(state) as store:
        changed = tie(store, arguments.subject, arguments.author_key, undo=arguments.undo)
    Output(as_json=arguments.json).record(
        {
            "subject": arguments.subject,
            "author key": arguments.author_key,
            "sees its bundles": not arguments.undo,
            "changed": changed,
        }
    )
    return 0


def _shut_out(arguments: argparse.Namespace) -> int:
    from scheduler.database import opened
    from scheduler.opening import shut_out
    from scheduler.state import State
    from terminal.output import Output

    state = State(arguments.state)
    with opened(state) as store:
        sessions, keys = shut_out(store, arguments.subject)
    Output(as_json=arguments.json).record(
        {"subject": arguments.subject, "sessions ended": sessions, "keys taken back": keys}
    )
    return 0


def _exclude(arguments: argparse.Namespace) -> int:
    from durable.blobs import BlobFolder
    from scheduler.clockwork import EXCLUSIONS_SECONDS
    from scheduler.database import opened
    from scheduler.service.actions import LocalOffice
    from scheduler.service.exclusion import deny
    from scheduler.state import State
    from terminal.output import Output

    state = State(arguments.state)
    territory = state.trusted_root().document.territory
    office = LocalOffice(territory, state.orders_key(), BlobFolder(state.objects))
    with opened(state) as store:
        row = store.run(
            "ban-member", lambda tx: deny(tx, office, arguments.member, arguments.reason)
        )
    Output(as_json=arguments.json).record(
        {
            "member": row.name,
            "role": row.role,
            "excluded": True,
            "denied within": f"{EXCLUSIONS_SECONDS} s",
        }
    )
    return 0
