"""`cadastre helper`: the second aggregator, the cooperative's own."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from governance.arguments import add_listen, add_root, add_site, add_state, make_key
from terminal.arguments import leaf
from terminal.exits import OK
from terminal.output import Output

if TYPE_CHECKING:
    from terminal.arguments import Verbs


def add_helper(verbs: Verbs) -> None:
    """`cadastre helper init | serve | status`: half of every `shared` sum, masks of `encrypted`."""
    init = leaf(
        verbs,
        "init",
        _init,
        summary="make the helper's key; its .pub goes into the territory root",
        example="cadastre helper init --state H",
    )
    add_state(init)
    serve = leaf(
        verbs,
        "serve",
        _serve,
        summary="answer the scheduler: campaign keys, accept lists, noised sums of masks",
        example="cadastre helper serve --state H --listen 127.0.0.1:7005 --root root.json "
        "--site http://127.0.0.1:7002",
    )
    add_state(serve)
    add_listen(serve)
    add_root(serve)
    add_site(serve)
    status = leaf(
        verbs,
        "status",
        _status,
        summary="count the campaigns, live keys and answered rounds",
        example="cadastre helper status --state H",
    )
    add_state(status)


def _init(arguments: argparse.Namespace) -> int:
    from governance.helper.schema import HELPER

    return make_key(arguments, HELPER)


def _serve(arguments: argparse.Namespace) -> int:
    from governance.helper.main import serve

    return serve(arguments.state, arguments.listen, arguments.root, arguments.site)


def _status(arguments: argparse.Namespace) -> int:
    from governance.helper.main import status

    Output(as_json=arguments.json).record(status(arguments.state))
    return OK
