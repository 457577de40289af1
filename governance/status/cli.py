"""`cadastre status`: the server of suspensions and consents, and its folder."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from governance.arguments import add_listen, add_root, add_state
from terminal.arguments import leaf
from terminal.exits import OK
from terminal.output import Output

if TYPE_CHECKING:
    from terminal.arguments import Verbs


def add_status(verbs: Verbs) -> None:
    """`cadastre status serve | suspend | show`: what every worker asks governance itself."""
    serve = leaf(
        verbs,
        "serve",
        _status_serve,
        summary="publish the signed status and keep the registry of consents",
        example="cadastre status serve --state G --key s --listen 127.0.0.1:7004 --root root.json",
    )
    add_state(serve)
    serve.add_argument("--key", type=Path, required=True, help="the status key's private file")
    add_listen(serve)
    add_root(serve)
    serve.add_argument(
        "--number-above",
        type=int,
        metavar="N",
        help="after a loss: the highest status number that any worker saw",
    )
    suspend = leaf(
        verbs,
        "suspend",
        _status_suspend,
        summary="hand in a suspension that the college signed; a running server publishes it",
        example="cadastre status suspend --state G s.json",
    )
    add_state(suspend)
    suspend.add_argument("file", type=Path)
    suspend.add_argument("--root", type=Path, help="the territory root, the first time")
    show = leaf(
        verbs,
        "show",
        _status_show,
        summary="show the last published status",
        example="cadastre status show --state G",
    )
    add_state(show)


def _status_serve(arguments: argparse.Namespace) -> int:
    from governance.status.main import serve

    return serve(
        arguments.state, arguments.key, arguments.listen, arguments.root, arguments.number_above
    )


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
