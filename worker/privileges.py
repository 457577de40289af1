"""Who the agent runs as: an ordinary user stays that user, root becomes a dedicated one.

Root never runs an algorithm: bubblewrap started by root keeps the machine's uid 0 behind its
user namespace. So a root start drops to the dedicated user before anything else happens, and
the agent refuses to go on as uid 0 whatever led there.
"""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from worker.errors import StateUnreadable, StillRoot, UserMissing

DEDICATED_USER = "cadastre-worker"


@dataclass(frozen=True)
class Account:
    """A user of this machine."""

    name: str
    uid: int
    gid: int


class Host(Protocol):
    """What this module asks of the operating system."""

    def effective_uid(self) -> int:
        """Who runs this program now."""
        ...

    def account(self, name: str) -> Account | None:
        """A user by name."""
        ...

    def become(self, account: Account) -> None:
        """Give up everything but `account`, for good."""
        ...


class ThisHost:
    """The machine itself."""

    def effective_uid(self) -> int:
        return os.geteuid()

    def account(self, name: str) -> Account | None:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            return None
        return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)

    def become(self, account: Account) -> None:
        # Groups first: without uid 0 neither of the other two calls would be allowed.
        os.setgroups([])
        os.setresgid(account.gid, account.gid, account.gid)
        os.setresuid(account.uid, account.uid, account.uid)


def dedicated(host: Host, user: str = DEDICATED_USER) -> Account | None:
    """The user to become, or None when an ordinary user started the agent.

    Raises UserMissing or StillRoot.
    """
    if host.effective_uid() != 0:
        return None
    account = host.account(user)
    if account is None:
        raise UserMissing(
            f"the agent was started by root, and its own user {user} does not exist",
            remedy=f"useradd --system --no-create-home --shell /usr/sbin/nologin {user}",
        )
    if account.uid == 0 or account.gid == 0:
        raise StillRoot(
            f"the user {user} is root or in root's group",
            remedy=f"give the worker a user of its own: --user {DEDICATED_USER}",
        )
    return account


def drop(host: Host, account: Account | None) -> None:
    """Become `account` (None: stay). Raises StillRoot when that left uid 0 behind."""
    if account is not None:
        host.become(account)
    if host.effective_uid() == 0:
        raise StillRoot(
            "the agent would run as root",
            remedy=f"start it as an ordinary user, or let it become {DEDICATED_USER}",
        )


def require_own(state: Path, uid: int) -> None:
    """Raise StateUnreadable unless `state` belongs to `uid` and nobody else may enter it."""
    try:
        found = state.stat()
    except OSError as error:
        raise StateUnreadable(
            f"the state directory {state} cannot be entered: {error.strerror}",
            remedy="check the path, and that the agent's user may reach it",
        ) from error
    if found.st_uid != uid:
        raise StateUnreadable(
            f"the state directory {state} belongs to uid {found.st_uid}, the agent is uid {uid}",
            remedy=f"chown -R {uid} {state}",
        )
    if found.st_mode & 0o077:
        raise StateUnreadable(
            f"the state directory {state} is open to other users",
            remedy=f"chmod 700 {state}",
        )


def hand_over(state: Path, account: Account) -> None:
    """Give a state directory that root prepared to the agent's user."""
    for path in (state, *state.rglob("*")):
        os.chown(path, account.uid, account.gid, follow_symlinks=False)
