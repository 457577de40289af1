"""`cadastre worker join | run | status | stop | image | card`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.libraries import BASE, RUNTIMES, contents
from terminal.arguments import leaf
from terminal.exits import OK
from terminal.output import Output

if TYPE_CHECKING:
    from terminal.arguments import Verbs

DEFAULT_STATE = Path("/var/lib/cadastre")
STOP_SECONDS = 10.0


def add_worker(verbs: Verbs) -> None:
    """Give the noun `worker` the verbs of the agent on this machine."""
    join = leaf(
        verbs,
        "join",
        _join,
        summary="enrol this machine with a one-time token",
        example="cadastre worker join cadastre-token-v1.eyJ… --state /var/lib/cadastre",
    )
    join.add_argument(
        "token",
        metavar="TOKEN",
        help="as `scheduler token create` printed it; - reads it from stdin",
    )
    _common(join)
    run = leaf(
        verbs,
        "run",
        _run,
        summary="be this machine's agent until stopped",
        example="cadastre worker run --state /var/lib/cadastre",
    )
    _common(run)
    run.add_argument(
        "--concludes",
        choices=("auto", "yes", "no"),
        default="auto",
        help="take `conclude` units (auto: when no capsule is hosted here)",
    )
    for name, action, summary in (
        ("status", _status, "show what the running agent does"),
        ("stop", _stop, "stop the running agent, within a second"),
        ("image", _image, "print the digest of this machine's runtime image"),
        ("card", _card, "show the card that owners choose this worker by"),
    ):
        verb = leaf(
            verbs,
            name,
            action,
            summary=summary,
            example=f"cadastre worker {name} --state /var/lib/cadastre",
        )
        verb.add_argument("--state", type=Path, default=DEFAULT_STATE, metavar="DIR")
        if action is _image:
            verb.add_argument(
                "--library",
                choices=tuple(RUNTIMES),
                default=BASE,
                help=f"the runtime of bundles that need this library (default {BASE})",
            )


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--state", type=Path, default=DEFAULT_STATE, metavar="DIR", help="the worker's directory"
    )
    parser.add_argument(
        "--user",
        default="cadastre-worker",
        metavar="NAME",
        help="whom root becomes (cadastre-worker); an ordinary user stays who they are",
    )


def _join(arguments: argparse.Namespace) -> int:
    import asyncio

    from trust.clock import SystemClock
    from trust.entropy import SYSTEM
    from wire.token import Token
    from worker import joining

    from_stdin = arguments.token == "-"  # noqa: S105 - a dash is no secret
    text = "" if from_stdin else str(Token.parse(arguments.token))
    # This may restart the program from a readable copy: what stands on stdin must still be there.
    _become(arguments, prepare=True)
    token = Token.parse(sys.stdin.readline() if from_stdin else text)
    who = asyncio.run(joining.join(arguments.state, token, SystemClock(), SYSTEM))
    output = Output(as_json=arguments.json)
    output.record(
        {
            "worker": who.worker,
            "territory": who.names.territory,
            "operator": who.names.operator,
            "site": who.names.site,
            "card": str(arguments.state / "card.json"),
        }
    )
    output.line(f"next: cadastre worker run --state {arguments.state}")
    return OK


def _run(arguments: argparse.Namespace) -> int:
    from worker import program

    _become(arguments, prepare=False)
    choice = {"auto": None, "yes": True, "no": False}[arguments.concludes]
    program.run(arguments.state, concludes=choice)
    return OK


def _become(arguments: argparse.Namespace, *, prepare: bool) -> None:
    """Drop root, from a copy of the program that the new user can read where it needs one."""
    import os

    from durable.files import make_directory
    from worker import privileges, staging

    host = privileges.ThisHost()
    account = privileges.dedicated(host, arguments.user)
    state: Path = arguments.state
    if account is not None:
        if not staging.readable(account):
            staging.restart_from(staging.stage(), sys.argv[1:])
        if prepare:
            make_directory(state)
            privileges.require_directory(state)
            state.chmod(0o700)
        if prepare or (state / "identity.json").exists():
            privileges.hand_over(state, account)
    privileges.drop(host, account)
    if state.exists():
        privileges.require_own(state, os.geteuid())


def _status(arguments: argparse.Namespace) -> int:
    from worker import program

    shown = program.condition(arguments.state)
    Output(as_json=arguments.json).record(shown)
    return OK


def _stop(arguments: argparse.Namespace) -> int:
    import os
    import signal
    import time

    from worker import program
    from worker.errors import AlreadyRunning, NotRunning

    process = program.running_process(arguments.state)
    os.kill(process, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline:
        try:
            program.running_process(arguments.state)
        except NotRunning:
            Output(as_json=arguments.json).record({"stopped": process})
            return OK
        time.sleep(0.05)
    raise AlreadyRunning(
        f"the agent {process} did not stop within {STOP_SECONDS:.0f} s",
        remedy=f"kill -9 {process}: its journal survives that",
    )


def _image(arguments: argparse.Namespace) -> int:
    from capsule_runtime.sandbox.image import RuntimeImage
    from capsule_runtime.sandbox.layout import find_layout

    libraries = contents(arguments.library)
    digest = RuntimeImage.of(find_layout(libraries)).digest
    output = Output(as_json=arguments.json)
    if arguments.json:
        output.record({"image": digest, "libraries": list(libraries)})
    else:
        output.line(digest)
    return OK


def _card(arguments: argparse.Namespace) -> int:
    from capsule_runtime.capsules.card import read_card

    path = arguments.state / "card.json"
    card = read_card(path)
    Output(as_json=arguments.json).record(
        {
            "worker": card.worker,
            "operator": card.operator,
            "site": card.site,
            "territory": card.territory,
            "file": str(path),
        }
    )
    return OK
