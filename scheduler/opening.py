"""Whether there are pages, where, and who is let in first: between the command line and the pages.

The pages need the extra `web`; a scheduler without it serves everything else.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from durable.files import write_atomic
from scheduler.errors import PagesRefused
from scheduler.judging import Judging
from scheduler.log.writer import LogWriter
from scheduler.program import Opener
from scheduler.program import Pages as AnyPages
from scheduler.service import authorship
from scheduler.service.desk import Desk
from scheduler.state import State
from scheduler.store.store import Store, Transaction
from scheduler.views.watching import Watch
from trust.keys import PublicKey

OFF = "off"
_NEEDED = ("fastapi", "jinja2", "babel", "uvicorn")
_FILE = "web-address"  # in the state directory: where the running scheduler's pages are
_LOG = logging.getLogger("cadastre.scheduler.pages")


def opener(
    state: State,
    *,
    listen: str,
    address: str,
    issuer: Path | None,
    zone: str,
) -> Opener | None:
    """What makes the pages once the desk stands; None for none. Raises PagesRefused."""
    if listen == OFF:
        return None
    host, port = _split(listen)

    def open_pages(desk: Desk, log: LogWriter, judged: Judging, watch: Watch) -> AnyPages:
        if missing := [name for name in _NEEDED if find_spec(name) is None]:
            _LOG.warning(
                "no pages: the extra `web` is not installed", extra={"missing": ", ".join(missing)}
            )
            return _NoPages()
        from scheduler.web.surface import Pages, Settings

        settings = Settings(host, port, address, issuer, zone)
        pages = Pages(desk, settings, log.waiting, judged, watch)
        write_atomic(state.folder / _FILE, pages.address.encode())
        # To the terminal and to no log: whoever reads the token is the first operator.
        sys.stdout.write(f"pages: {pages.address}\n")
        if line := pages.start_line():
            sys.stdout.write(f"first operator, once, within 15 minutes: {line}\n")
        sys.stdout.flush()
        return pages

    return open_pages


def invite(
    store: Store, name: str, roles: Sequence[str], author_keys: Sequence[str] = ()
) -> tuple[str, str]:
    """A token that signs `name` in, once, and the account; it sees the bundles of `author_keys`.

    Raises PagesRefused, KeyRefused, RequestRefused.
    """
    keys = [PublicKey.parse(key) for key in author_keys]
    _require_pages()
    from scheduler.web.signin_store import SignInTables
    from trust.entropy import SYSTEM
    from web.signin.credentials import THIS_MACHINE, Credentials, subject_of
    from web.signin.roles import Role

    if keys and Role.AUTHOR not in roles:
        raise PagesRefused(
            "an author key shows bundles to authors, and this is an invitation of another role",
            remedy="add --role author, or leave --author-key out",
        )
    credentials = Credentials(SignInTables(store), store.clock, SYSTEM)
    token = credentials.invite(name, map(Role, roles))
    # If we crash in between, the invitation was shown to nobody and expires.
    subject = subject_of(token)

    def tie_all(tx: Transaction) -> None:
        for key in keys:
            authorship.tie(tx, subject, key, by=THIS_MACHINE)

    if keys:
        store.run("tie-author", tie_all)
    return token, subject


def tie(store: Store, subject: str, key: str, *, undo: bool = False) -> bool:
    """Show `subject` the bundles of an author key, or no longer. Raises KeyRefused, InputRefused.

    For people whom an identity provider knows; it says whether anything changed.
    """
    parsed = PublicKey.parse(key)
    if undo:
        return store.run("untie-author", lambda tx: authorship.untie(tx, subject, parsed))
    return store.run(
        "tie-author", lambda tx: authorship.tie(tx, subject, parsed, by="this machine")
    )


def shut_out(store: Store, subject: str) -> tuple[int, int]:
    """End the sessions of `subject` and take back their keys and tokens; how many of each.

    An issuer that still knows them lets them in again: they are excluded there first. Raises
    PagesRefused.
    """
    _require_pages()
    from scheduler.web.signin_store import SignInTables
    from trust.entropy import SYSTEM
    from web.signin.credentials import Credentials
    from web.signin.entrance import shut_out
    from web.signin.sessions import Sessions

    tables = SignInTables(store)
    credentials = Credentials(tables, store.clock, SYSTEM)
    return shut_out(credentials, Sessions(tables, store.clock, SYSTEM), subject)


def _require_pages() -> None:
    if find_spec("fastapi") is None:
        raise PagesRefused(
            "the extra `web` is not installed", remedy="pip install 'cadastre[web]', then again"
        )


def whereabouts(state: State) -> str:
    """The address of the pages of whichever scheduler ran here last; "" when none did."""
    path = state.folder / _FILE
    return path.read_text().strip() if path.exists() else ""


def _split(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise PagesRefused(
            f"{listen[:60]!r} is no HOST:PORT", remedy="write it like 127.0.0.1:7481, or `off`"
        )
    return host, int(port)


class _NoPages:
    """Where the extra is missing."""

    def start(self) -> None:
        """Nothing answers."""

    def stop(self) -> None:
        """Nothing answered."""

    def sweep(self) -> int:
        """Nobody was signed in."""
        return 0
