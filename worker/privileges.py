"""Who the agent runs as: an ordinary user stays that user, root becomes a dedicated one.

Root never runs an algorithm: bubblewrap started by root keeps the machine's uid 0 behind its
user namespace. So a root start drops to the dedicated user before anything else happens, and
the agent refuses to go on as uid 0 whatever led there.
"""

from __future__ import annotations

import os
import pwd
import stat
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


def require_directory(state: Path) -> None:
    """Raise StateUnreadable when `state` is a link: what root does there it would do elsewhere."""
    if state.is_symlink():
        raise _linked(state)


def hand_over(state: Path, account: Account) -> None:
    """Give a state directory that root prepared to the agent's user. Raises StateUnreadable.

    What lies in it may have been put there by that user, and a way to it may be theirs too:
    no link is followed, every step goes through a descriptor of the directory that was looked
    at, and a file that has a second name elsewhere is given to nobody.
    """
    require_directory(state)
    for folder, folders, files, descriptor in os.fwalk(state, onerror=_refuse):
        os.chown(descriptor, account.uid, account.gid)
        for name in (*folders, *files):
            found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            if (found.st_uid, found.st_gid) == (account.uid, account.gid):
                continue  # theirs already, whatever it is
            if stat.S_ISREG(found.st_mode) and found.st_nlink > 1:
                raise _linked(Path(folder) / name)
            if not stat.S_ISDIR(found.st_mode):
                _give(descriptor, name, found, account)


def _give(directory: int, name: str, looked_at: os.stat_result, account: Account) -> None:
    """Chown one name that is no directory, if it still is what was looked at."""
    if not stat.S_ISREG(looked_at.st_mode):
        os.chown(name, account.uid, account.gid, dir_fd=directory, follow_symlinks=False)
        return
    opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
    try:
        found = os.fstat(opened)
        if found.st_nlink > 1 or not os.path.samestat(found, looked_at):
            raise _linked(Path(name))
        os.fchown(opened, account.uid, account.gid)
    finally:
        os.close(opened)


def _refuse(error: OSError) -> None:
    raise StateUnreadable(
        f"the state directory cannot be read: {error.strerror}",
        remedy="check the path; it must be a directory, and no link",
    ) from error


def _linked(path: Path) -> StateUnreadable:
    return StateUnreadable(
        f"{path} is a link, or has a second name: root gives away nothing through it",
        remedy="find out who made it; then give --state a directory of the worker's own",
    )
