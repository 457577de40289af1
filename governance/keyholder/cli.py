"""`cadastre keyholder`: the cooperative's keys for `encrypted` campaigns, and their openings."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from governance.arguments import add_listen, add_root, add_site, add_state, make_key
from terminal.arguments import leaf
from terminal.exits import OK
from terminal.output import Output

if TYPE_CHECKING:
    from terminal.arguments import Verbs


def add_keyholder(verbs: Verbs) -> None:
    """`cadastre keyholder init | ceremony | serve | retire | status`."""
    init = leaf(
        verbs,
        "init",
        _init,
        summary="make the keyholder's key; its .pub goes into the territory root",
        example="cadastre keyholder init --state K",
    )
    add_state(init)
    ceremony = leaf(
        verbs,
        "ceremony",
        _ceremony,
        summary="make one campaign's key and share it among the trustees",
        example="cadastre keyholder ceremony camp_… --state K --root root.json "
        "--site http://127.0.0.1:7002 --trustee one.trustee two.trustee three.trustee",
    )
    ceremony.add_argument("campaign", help="camp_… as `cadastre keyholder status` lists it")
    add_state(ceremony)
    add_root(ceremony)
    add_site(ceremony)
    ceremony.add_argument(
        "--trustee",
        type=Path,
        nargs="+",
        action="extend",
        required=True,
        metavar="FILE",
        help="what each trustee's `certify` wrote: one file from every trustee of the root",
    )
    serve = leaf(
        verbs,
        "serve",
        _serve,
        summary="answer the scheduler and the trustees: keys, accept lists, openings",
        example="cadastre keyholder serve --state K --listen 127.0.0.1:7006 --root root.json "
        "--site http://127.0.0.1:7002",
    )
    add_state(serve)
    add_listen(serve)
    add_root(serve)
    add_site(serve)
    retire = leaf(
        verbs,
        "retire",
        _retire,
        summary="destroy a campaign's key: nothing more of it is ever opened",
        example="cadastre keyholder retire camp_… --state K --root root.json "
        "--site http://127.0.0.1:7002",
    )
    retire.add_argument("campaign", help="camp_…")
    add_state(retire)
    add_root(retire)
    add_site(retire)
    status = leaf(
        verbs,
        "status",
        _status,
        summary="count epochs and openings; name the campaigns that wait for their ceremony",
        example="cadastre keyholder status --state K",
    )
    add_state(status)


def _init(arguments: argparse.Namespace) -> int:
    from governance.keyholder.schema import KEYHOLDER

    return make_key(arguments, KEYHOLDER)


def _ceremony(arguments: argparse.Namespace) -> int:
    from governance.keyholder.main import ceremony
    from trust import dsse, schema
    from trust.documents.custody import EpochKey
    from trust.ids import CampaignId, Digest

    raw = ceremony(
        arguments.state,
        arguments.root,
        arguments.site,
        CampaignId.parse(arguments.campaign),
        arguments.trustee,
    )
    made = schema.decode(EpochKey, dsse.Envelope.parse(raw).payload)
    output = Output(as_json=arguments.json)
    output.record(
        {
            "campaign": str(made.campaign),
            "epoch key": str(Digest.of(raw)),
            "profile": made.profile,
            "trustees": f"{made.threshold} of {len(made.trustees)}",
            "ends": f"{made.not_after:%Y-%m-%d %H:%M} UTC",
        }
    )
    output.line("next: nothing; the scheduler fetches the key, logs it and plans the round")
    return OK


def _serve(arguments: argparse.Namespace) -> int:
    from governance.keyholder.main import serve

    return serve(arguments.state, arguments.listen, arguments.root, arguments.site)


def _retire(arguments: argparse.Namespace) -> int:
    from governance.keyholder.main import retire
    from trust import dsse, schema
    from trust.documents.custody import EpochRetired
    from trust.ids import CampaignId

    campaign = CampaignId.parse(arguments.campaign)
    raw = retire(arguments.state, arguments.root, arguments.site, campaign)
    notice = schema.decode(EpochRetired, dsse.Envelope.parse(raw).payload)
    output = Output(as_json=arguments.json)
    output.record(
        {
            "campaign": str(notice.campaign),
            "reason": notice.reason,
            "retired": f"{notice.retired_at:%Y-%m-%d %H:%M} UTC",
        }
    )
    output.line("the scheduler logs it and ends the campaign when it asks next")
    return OK


def _status(arguments: argparse.Namespace) -> int:
    from governance.keyholder.main import status

    Output(as_json=arguments.json).record(status(arguments.state))
    return OK
