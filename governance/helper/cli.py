"""`cadastre helper`: the second aggregator, the cooperative's own."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

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
    init.add_argument("--state", type=Path, required=True, metavar="FOLDER")
    serve = leaf(
        verbs,
        "serve",
        _serve,
        summary="answer the scheduler: campaign keys, accept lists, noised sums of masks",
        example="cadastre helper serve --state H --listen 127.0.0.1:7005 --root root.json "
        "--site http://127.0.0.1:7002",
    )
    serve.add_argument("--state", type=Path, required=True, metavar="FOLDER")
    serve.add_argument("--listen", required=True, metavar="HOST:PORT")
    serve.add_argument("--root", type=Path, required=True, help="the signed territory root")
    serve.add_argument(
        "--site", required=True, metavar="URL", help="where the scheduler serves log and objects"
    )
    status = leaf(
        verbs,
        "status",
        _status,
        summary="count the campaigns, live keys and answered rounds",
        example="cadastre helper status --state H",
    )
    status.add_argument("--state", type=Path, required=True, metavar="FOLDER")


def _init(arguments: argparse.Namespace) -> int:
    from governance.helper.main import KEY_FILE, create

    public = create(arguments.state)
    output = Output(as_json=arguments.json)
    output.record({"key": str(public), "file": str(arguments.state / f"{KEY_FILE}.pub")})
    output.line("next: `cadastre root draft … --helper-key` with that file")
    return OK


def _serve(arguments: argparse.Namespace) -> int:
    from governance.helper.main import serve

    return serve(arguments.state, arguments.listen, arguments.root, arguments.site)


def _status(arguments: argparse.Namespace) -> int:
    from governance.helper.main import status

    Output(as_json=arguments.json).record(status(arguments.state))
    return OK
