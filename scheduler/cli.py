"""`cadastre scheduler`: init, install-root, serve, status and the tokens of members.

Who is let in to the pages: people.py; backups and upgrades: backup/cli.py.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from terminal.arguments import Verbs, leaf, verbs_of

DEFAULT_STATE = "/var/lib/cadastre/scheduler"
DEFAULT_PORTS = {"work": 7443, "enrol": 7444, "http": 7480}


def add_scheduler(verbs: Verbs) -> None:
    """The verbs of the noun `scheduler`."""
    init = leaf(
        verbs,
        "init",
        _init,
        summary="make keys, a certificate authority and the offer for the root ceremony",
        example="cadastre scheduler init --state S --territory plaine.example --host 127.0.0.1",
    )
    state_option(init)
    init.add_argument("--territory", required=True, help="DNS-like name of the territory")
    init.add_argument(
        "--host",
        action="append",
        required=True,
        help="name or address that members reach it by; the first one is told to them",
    )
    init.add_argument("--work-port", type=int, default=DEFAULT_PORTS["work"])
    init.add_argument("--enrol-port", type=int, default=DEFAULT_PORTS["enrol"])
    init.add_argument("--http-port", type=int, default=DEFAULT_PORTS["http"])
    init.add_argument("--site", help="address of the HTTP files when a proxy serves them")
    install = leaf(
        verbs,
        "install-root",
        _install_root,
        summary="install the territory root that the cooperative signed",
        example="cadastre scheduler install-root --state S root.json",
    )
    state_option(install)
    install.add_argument("root", type=Path, help="the signed root envelope")
    serve = leaf(
        verbs,
        "serve",
        _serve,
        summary="run the scheduler until it is told to stop",
        example="cadastre scheduler serve --state S --helper http://127.0.0.1:7005 "
        "--keyholder http://127.0.0.1:7006",
    )
    state_option(serve)
    serve.add_argument(
        "--helper",
        default="",
        metavar="URL",
        help="the second aggregator, for `shared` and `encrypted` campaigns",
    )
    serve.add_argument(
        "--keyholder", default="", metavar="URL", help="who opens `encrypted` campaigns"
    )
    _web_options(serve)
    status = leaf(
        verbs,
        "status",
        _status,
        summary="say whether the scheduler answers and what is missing",
        example="cadastre scheduler status --state S",
    )
    state_option(status)
    tokens = verbs_of(verbs.add_parser("token", help="one-time enrolment tokens"))
    create = leaf(
        tokens,
        "create",
        _token,
        summary="make a token that admits one member within an hour",
        example="cadastre scheduler token create --state S --role worker --operator ville "
        "--site mairie",
    )
    state_option(create)
    create.add_argument(
        "--role", required=True, choices=["worker", "operator", "author", "auditor"]
    )
    create.add_argument("--operator", required=True, help="who answers for it")
    create.add_argument("--site", required=True, help="where it stands")
    create.add_argument(
        "--concludes",
        action="store_true",
        help="a worker that may turn aggregates into reports: one of your own, without capsules",
    )


def state_option(parser: argparse.ArgumentParser) -> None:
    """The option of every verb that works on a state directory."""
    parser.add_argument("--state", type=Path, default=Path(DEFAULT_STATE), help="state directory")


def _web_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--web-listen",
        default="127.0.0.1:0",
        metavar="HOST:PORT",
        help="where the pages answer; port 0 takes a free one, `off` serves none "
        "(default 127.0.0.1:0)",
    )
    parser.add_argument(
        "--web-address",
        default="",
        metavar="URL",
        help="the https address that a proxy on this machine serves them under",
    )
    parser.add_argument(
        "--web-sign-in", type=Path, metavar="FILE", help="TOML about the identity provider"
    )
    parser.add_argument(
        "--web-zone", default="Europe/Paris", help="time zone that the pages show times in"
    )
    parser.add_argument(
        "--web-judging",
        type=Path,
        metavar="FILE",
        help="TOML with the thresholds of alerts and the factors of energy and carbon",
    )


def _init(arguments: argparse.Namespace) -> int:
    from scheduler.state import Configuration, State
    from terminal.output import Output
    from trust.clock import SystemClock
    from trust.entropy import SYSTEM

    site = arguments.site or f"http://{arguments.host[0]}:{arguments.http_port}"
    configuration = Configuration(
        arguments.territory,
        arguments.host,
        arguments.work_port,
        arguments.enrol_port,
        arguments.http_port,
        site.rstrip("/"),
    )
    state = State(arguments.state)
    state.create(configuration, SystemClock(), SYSTEM)
    Output(as_json=arguments.json).record(
        {
            "territory": configuration.territory,
            "offer": str(state.folder / "offer.json"),
            "orders_key": str(state.orders_key().public),
            "next": "cadastre root draft --offer …, sign it, then cadastre scheduler install-root",
        }
    )
    return 0


def _install_root(arguments: argparse.Namespace) -> int:
    from scheduler.database import alone
    from scheduler.state import State
    from terminal.output import Output
    from trust.clock import SystemClock

    state = State(arguments.state)
    state.configuration()
    with alone(state):
        trusted = state.install_root(_read(arguments.root), SystemClock())
    Output(as_json=arguments.json).record(
        {
            "territory": trusted.document.territory,
            "version": trusted.document.version,
            "root": str(trusted.digest),
        }
    )
    return 0


def _serve(arguments: argparse.Namespace) -> int:
    import asyncio

    from scheduler.opening import opener
    from scheduler.program import serve
    from scheduler.state import State

    state = State(arguments.state)
    asyncio.run(
        serve(
            state,
            helper=arguments.helper,
            keyholder=arguments.keyholder,
            opener=opener(
                state,
                listen=arguments.web_listen,
                address=arguments.web_address,
                issuer=arguments.web_sign_in,
                zone=arguments.web_zone,
            ),
            judging=arguments.web_judging,
        )
    )
    return 0


def _status(arguments: argparse.Namespace) -> int:
    from scheduler.state import State
    from terminal.exits import NOT_READY, OK
    from terminal.output import Output
    from wire.errors import Unreachable
    from wire.site import fetch

    configuration = State(arguments.state).configuration()
    try:
        answer = (fetch(f"http://127.0.0.1:{configuration.http_port}/readyz") or b"").decode()
    except Unreachable as error:
        answer = error.sentence
    ready = answer == "ready\n"
    Output(as_json=arguments.json).record(
        {"territory": configuration.territory, "ready": ready, "says": answer.strip()}
    )
    return OK if ready else NOT_READY


def _token(arguments: argparse.Namespace) -> int:
    from scheduler.database import opened
    from scheduler.service.desk import Limits
    from scheduler.service.membership import create_token
    from scheduler.state import State
    from terminal.output import Output
    from trust.entropy import SYSTEM
    from trust.ids import Digest
    from wire.token import Token

    state = State(arguments.state)
    configuration, roots = state.configuration(), state.roots()
    with opened(state) as store:
        secret, row = create_token(
            store,
            SYSTEM,
            Limits().token_life.total_seconds(),
            role=arguments.role,
            operator=arguments.operator,
            site=arguments.site,
            concludes=arguments.concludes,
        )
    token = Token(
        enrol=configuration.enrol_address,
        site=configuration.site,
        root=Digest.of(roots[0]),
        secret=secret,
        role=arguments.role,
        operator=arguments.operator,
        place=arguments.site,
        expires=row.expires_at,
    )
    output = Output(as_json=arguments.json)
    if arguments.json:
        output.record({"token": str(token), "role": arguments.role})
    else:
        output.line(str(token))
    return 0


def _read(path: Path) -> bytes:
    from scheduler.errors import InputRefused

    try:
        return path.read_bytes()
    except OSError as error:
        raise InputRefused(f"{path} cannot be read: {error.strerror}") from error
