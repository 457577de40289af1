"""Landlock: the child gives up every path, TCP, and signals to anything outside itself.

It needs no privilege and no mount, so it still holds when a bind list is wrong. No path at all is
allowed: whatever a child may use was imported before it was forked.
Facts: linux/landlock.h; the rights a kernel knows grow with its ABI number, and asking for an
unknown right is an error, so the rule set follows the number.
"""

from __future__ import annotations

import ctypes
import os

CREATE_RULESET, RESTRICT_SELF = 444, 446
QUERY_VERSION = 1
PR_SET_NO_NEW_PRIVS = 38
# (first ABI that knows them, how many file rights exist from there on)
FILE_RIGHTS = ((5, 16), (3, 15), (2, 14), (1, 13))
NETWORK_ABI, NETWORK_RIGHTS = 4, 0b11  # bind and connect TCP
SCOPE_ABI, SCOPES = 6, 0b11  # abstract unix sockets, signals


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("file_rights", ctypes.c_uint64),
        ("network_rights", ctypes.c_uint64),
        ("scopes", ctypes.c_uint64),
    )


def supported_abi(libc: ctypes.CDLL) -> int:
    """The kernel's Landlock ABI number, 0 where there is none."""
    version: int = libc.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), QUERY_VERSION)
    return max(version, 0)


def forbid_everything(libc: ctypes.CDLL, abi: int) -> None:
    """Restrict this process for good to no path, no TCP and no foreign signal.

    Raises OSError. With ABI 0 there is nothing to do; the self-test has lowered the level.
    """
    if abi < 1:
        return
    rules = _Ruleset()
    rules.file_rights = (1 << next(count for first, count in FILE_RIGHTS if abi >= first)) - 1
    rules.network_rights = NETWORK_RIGHTS if abi >= NETWORK_ABI else 0
    rules.scopes = SCOPES if abi >= SCOPE_ABI else 0
    size = 24 if abi >= SCOPE_ABI else 16 if abi >= NETWORK_ABI else 8
    ruleset = libc.syscall(CREATE_RULESET, ctypes.byref(rules), ctypes.c_size_t(size), 0)
    if ruleset < 0:
        raise OSError(ctypes.get_errno(), "landlock_create_ruleset")
    try:
        if libc.syscall(RESTRICT_SELF, ruleset, 0) != 0:
            raise OSError(ctypes.get_errno(), "landlock_restrict_self")
    finally:
        os.close(ruleset)
