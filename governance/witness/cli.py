"""`cadastre witness`: an independent party's own machine."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from governance.arguments import add_listen, add_state
from terminal.arguments import leaf
from terminal.exits import OK
from terminal.output import Output

if TYPE_CHECKING:
    from terminal.arguments import Verbs


def add_witness(verbs: Verbs) -> None:
    """`cadastre witness init | follow | serve`: an independent party that cosigns the log."""
    init = leaf(
        verbs,
        "init",
        _witness_init,
        summary="make a witness's key and its empty memory",
        example="cadastre witness init --state W --name witness.example",
    )
    add_state(init)
    init.add_argument("--name", required=True, help="how signature lines name it; no spaces")
    follow = leaf(
        verbs,
        "follow",
        _witness_follow,
        summary="cosign the log of a scheduler from the next start on",
        example="cadastre witness follow --state W --log-vkey-from S/offer.json",
    )
    add_state(follow)
    follow.add_argument("--log-vkey-from", type=Path, required=True, metavar="OFFER")
    serve = leaf(
        verbs,
        "serve",
        _witness_serve,
        summary="cosign checkpoints that consistently continue what was cosigned before",
        example="cadastre witness serve --state W --listen 127.0.0.1:7003",
    )
    add_state(serve)
    add_listen(serve)


def _witness_init(arguments: argparse.Namespace) -> int:
    from governance.witness.main import create

    key = create(arguments.state, arguments.name)
    Output(as_json=arguments.json).record(
        {"witness": key.name, "vkey": str(key), "file": str(arguments.state / "witness.vkey")}
    )
    return OK


def _witness_follow(arguments: argparse.Namespace) -> int:
    from governance.witness.main import follow

    log = follow(arguments.state, arguments.log_vkey_from)
    Output(as_json=arguments.json).record({"log": log.name, "vkey": str(log)})
    return OK


def _witness_serve(arguments: argparse.Namespace) -> int:
    from governance.witness.main import serve

    return serve(arguments.state, arguments.listen)
