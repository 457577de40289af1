"""`cadastre trustee`: one person's share of every `encrypted` campaign's key."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from governance.arguments import add_root, add_site, add_state, make_key
from terminal.arguments import leaf
from terminal.exits import OK, explain
from terminal.output import Output

if TYPE_CHECKING:
    from terminal.arguments import Verbs


def add_trustee(verbs: Verbs) -> None:
    """`cadastre trustee init | certify | contribute | status`."""
    init = leaf(
        verbs,
        "init",
        _init,
        summary="make a trustee's key; its .pub goes into the territory root",
        example="cadastre trustee init --state T1",
    )
    add_state(init)
    certify = leaf(
        verbs,
        "certify",
        _certify,
        summary="write the key that shares are sealed to, for the keyholder's ceremonies",
        example="cadastre trustee certify --state T1 --root root.json --out one.trustee",
    )
    add_state(certify)
    add_root(certify)
    certify.add_argument("--out", type=Path, required=True, help="the file to send")
    contribute = leaf(
        verbs,
        "contribute",
        _contribute,
        summary="check every opening that waits, and give the share to those that deserve it",
        example="cadastre trustee contribute --state T1 --root root.json "
        "--site http://127.0.0.1:7002 --keyholder http://127.0.0.1:7006",
    )
    add_state(contribute)
    add_root(contribute)
    add_site(contribute)
    contribute.add_argument("--keyholder", required=True, metavar="URL", help="whom to give it to")
    status = leaf(
        verbs,
        "status",
        _status,
        summary="list the rounds that the share was given for",
        example="cadastre trustee status --state T1",
    )
    add_state(status)


def _init(arguments: argparse.Namespace) -> int:
    from governance.trustee.memory import TRUSTEE

    return make_key(arguments, TRUSTEE)


def _certify(arguments: argparse.Namespace) -> int:
    from durable.files import write_atomic
    from governance.trustee.main import certify
    from trust.ids import Digest

    raw = certify(arguments.state, arguments.root)
    # The same key is certified once: writing the file again changes nothing in it.
    write_atomic(arguments.out, raw)
    output = Output(as_json=arguments.json)
    output.record({"file": str(arguments.out), "certificate": str(Digest.of(raw))})
    output.line("next: send that file to the keyholder's operator")
    return OK


def _contribute(arguments: argparse.Namespace) -> int:
    from governance.trustee.main import contribute

    outcomes = contribute(arguments.state, arguments.root, arguments.site, arguments.keyholder)
    output = Output(as_json=arguments.json)
    given = [item for item in outcomes if item.refusal is None]
    kept = [item.refusal for item in outcomes if item.refusal is not None]
    output.table(
        ["opening", "trustees", "needed"],
        [[item.opening, item.contributed, item.threshold] for item in given],
    )
    if not outcomes:
        output.line("no opening waits for this trustee")
    # A share that stays here is the exit code: somebody must look at it.
    return max([explain(refusal) for refusal in kept], default=OK)


def _status(arguments: argparse.Namespace) -> int:
    from governance.trustee.main import status

    Output(as_json=arguments.json).table(
        ["campaign", "round"],
        [[str(campaign), number] for campaign, number in status(arguments.state)],
    )
    return OK
