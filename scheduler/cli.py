"""`cadastre scheduler`: init, install-root, serve, status, tokens, backup, who is let in.

`invite` and `tie-author` are about the pages' visitors, `exclude` about members.
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
    _state(init)
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
    _state(install)
    install.add_argument("root", type=Path, help="the signed root envelope")
    serve = leaf(
        verbs,
        "serve",
        _serve,
        summary="run the scheduler until it is told to stop",
        example="cadastre scheduler serve --state S --helper http://127.0.0.1:7005 "
        "--keyholder http://127.0.0.1:7006",
    )
    _state(serve)
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
    _state(status)
    tokens = verbs_of(verbs.add_parser("token", help="one-time enrolment tokens"))
    create = leaf(
        tokens,
        "create",
        _token,
        summary="make a token that admits one member within an hour",
        example="cadastre scheduler token create --state S --role worker --operator ville "
        "--site mairie",
    )
    _state(create)
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

    _add_people(verbs)
    _add_copies(verbs)


def _add_people(verbs: Verbs) -> None:
    """Who is let in, to the pages and to the grid."""
    invite = leaf(
        verbs,
        "invite",
        _invite,
        summary="make a token that signs one person in to the pages, once, within three days",
        example="cadastre scheduler invite --state S --role operator --name 'Inès Martin'",
    )
    _state(invite)
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
    _state(tie)
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
    _state(out)
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
    _state(exclude)
    exclude.add_argument("member", help="a person as in their token's --operator, or wrk_…")
    exclude.add_argument("--reason", required=True, help="kept here, never published")


def _add_copies(verbs: Verbs) -> None:
    """Backups, and databases of other versions."""
    backup = leaf(
        verbs,
        "backup",
        _backup,
        summary="write the state into one file, also while the scheduler runs",
        example="cadastre scheduler backup --state S --out /backup/2026-11-30.tar",
    )
    _state(backup)
    backup.add_argument("--out", type=Path, required=True, help="a file that does not exist")
    backup.add_argument(
        "--keys-passphrase",
        type=Path,
        metavar="FILE",
        help="also the private keys, sealed under the passphrase in FILE; without it, no key",
    )

    upgrade = leaf(
        verbs,
        "upgrade",
        _upgrade,
        summary="bring the database of an older release to this one's tables, scheduler stopped",
        example="cadastre scheduler upgrade --state S --backup /backup/before.tar",
    )
    _state(upgrade)
    upgrade.add_argument(
        "--backup", type=Path, required=True, help="written first: the way back to the old release"
    )

    restore = leaf(
        verbs,
        "restore",
        _restore,
        summary="put a backup into an empty folder, if the log did not go on since",
        example="cadastre scheduler restore /backup/2026-11-30.tar --state S",
    )
    restore.add_argument("backup", type=Path, help="what `scheduler backup` wrote")
    _state(restore)
    restore.add_argument(
        "--keys-passphrase", type=Path, metavar="FILE", help="opens the keys in it"
    )


def _state(parser: argparse.ArgumentParser) -> None:
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
                judging=arguments.web_judging,
            ),
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


def _backup(arguments: argparse.Namespace) -> int:
    from scheduler.backup.sealing import passphrase_in
    from scheduler.backup.taking import take
    from scheduler.state import State
    from terminal.output import Output
    from trust.clock import SystemClock
    from trust.entropy import SYSTEM

    phrase = arguments.keys_passphrase and passphrase_in(arguments.keys_passphrase)
    manifest = take(State(arguments.state), arguments.out, SystemClock(), SYSTEM, passphrase=phrase)
    Output(as_json=arguments.json).record(
        {
            "backup": str(arguments.out),
            "territory": manifest.territory,
            "log entries": manifest.log_size,
            "files": len(manifest.files),
            "bytes": sum(size for size, _ in manifest.files.values()),
            "keys": "sealed" if phrase else "not in it: keep a copy of the folder `keys` apart",
        }
    )
    return 0


def _restore(arguments: argparse.Namespace) -> int:
    from scheduler.backup.restoring import restore
    from scheduler.backup.sealing import passphrase_in
    from terminal.output import Output
    from trust.clock import SystemClock, to_text

    phrase = arguments.keys_passphrase and passphrase_in(arguments.keys_passphrase)
    done = restore(arguments.backup, arguments.state, SystemClock(), passphrase=phrase)
    keys = "" if done.with_keys else "put the folder `keys` back, then "
    Output(as_json=arguments.json).record(
        {
            "state": str(arguments.state),
            "territory": done.manifest.territory,
            "taken": to_text(done.manifest.taken_at),
            "log entries": done.manifest.log_size,
            "witnesses agree": " ".join(done.witnesses) or "none are asked",
            "next": f"{keys}cadastre scheduler serve --state {arguments.state}",
        }
    )
    return 0


def _upgrade(arguments: argparse.Namespace) -> int:
    from scheduler.state import State
    from scheduler.upgrading import upgrade
    from terminal.output import Output
    from trust.clock import SystemClock
    from trust.entropy import SYSTEM

    done = upgrade(State(arguments.state), arguments.backup, SystemClock(), SYSTEM)
    Output(as_json=arguments.json).record(
        {
            "from": done.old,
            "to": done.new,
            "backup": str(arguments.backup) if done.changed else "not taken: nothing to do",
            "next": f"cadastre scheduler serve --state {arguments.state}",
        }
    )
    return 0


def _read(path: Path) -> bytes:
    from scheduler.errors import InputRefused

    try:
        return path.read_bytes()
    except OSError as error:
        raise InputRefused(f"{path} cannot be read: {error.strerror}") from error
