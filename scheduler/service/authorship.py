"""Whose bundles an account of the pages sees: author keys, tied to it by whoever runs the grid.

A bundle names its author by the key that signed its statement, which the scheduler verified when
it was submitted. An account has no keys of its own; an operator, who knows the person, says which
belong to it. Nothing else ties them: neither a name nor a certificate.
"""

from __future__ import annotations

from sqlmodel import col, select

from scheduler.errors import InputRefused
from scheduler.store.store import Transaction
from scheduler.store.tables import WebAuthorRow
from trust.keys import PublicKey

LONGEST_SUBJECT = 512
MOST_KEYS = 32  # of one account; a person has one, or a few over the years


def tie(tx: Transaction, subject: str, key: PublicKey, *, by: str) -> bool:
    """Show `subject` the bundles of `key`; whether that is new. Raises InputRefused."""
    if not 0 < len(subject) <= LONGEST_SUBJECT or not subject.isprintable():
        raise InputRefused("a subject has 1 to 512 printable letters")
    if tx.session.get(WebAuthorRow, (subject, str(key))) is not None:
        return False
    if len(keys_of(tx, subject)) >= MOST_KEYS:
        raise InputRefused(
            f"the account follows {MOST_KEYS} author keys already",
            remedy="take one away first: `cadastre scheduler tie-author --undo`",
        )
    tx.session.add(WebAuthorRow(subject=subject, key=str(key), tied_by=by, tied_at=tx.now))
    tx.session.flush()
    return True


def untie(tx: Transaction, subject: str, key: PublicKey) -> bool:
    """No longer show them; whether they were shown."""
    row = tx.session.get(WebAuthorRow, (subject, str(key)))
    if row is not None:
        tx.session.delete(row)
    return row is not None


def keys_of(tx: Transaction, subject: str) -> tuple[str, ...]:
    """The author keys of an account, in the order of their text."""
    query = select(WebAuthorRow.key).where(WebAuthorRow.subject == subject)
    return tuple(tx.session.exec(query.order_by(col(WebAuthorRow.key))))
