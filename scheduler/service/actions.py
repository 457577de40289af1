"""An operator's deed in the log: written in the transaction of the deed itself, or not at all.

Nothing here does anything to the grid: whoever does calls `record` in the same transaction. If
we crash before its commit, neither the deed nor its entry exists; after it, both do, and the
outbox appends the entry. Whoever asks again with the same request finds what was done (`known`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from sqlmodel import col, func, select

from durable.blobs import BlobFolder
from scheduler.errors import Conflict, InputRefused, TooManyActions
from scheduler.service import outbox
from scheduler.store.store import Transaction
from scheduler.store.tables import AccountRow, ActionRow
from trust.documents import signed
from trust.documents.actions import (
    MAXIMUM_REASON,
    SALT_BYTES,
    Act,
    ActingRole,
    Means,
    OperatorAction,
    flaw,
    seal,
    tidy_reason,
)
from trust.entropy import SYSTEM, Entropy
from trust.ids import AccountId, ActionId, CampaignId, Digest, UnitId, WorkerId
from trust.keys import PrivateKey
from trust.log.entry import Kind

MAXIMUM_REQUEST = 128
# Each is an entry that the log keeps for ever: a stolen token must not fill it.
MOST_AN_HOUR = 120
_BOUNDED = frozenset({Means.PAGE, Means.PROGRAM})


class Office(Protocol):
    """What a deed is signed and stored with: a Desk, or less of it outside the server."""

    @property
    def territory(self) -> str: ...
    @property
    def orders(self) -> PrivateKey: ...
    @property
    def blobs(self) -> BlobFolder: ...
    @property
    def entropy(self) -> Entropy: ...


@dataclass(frozen=True)
class LocalOffice:
    """The Office of a command on the scheduler's own machine."""

    territory: str
    orders: PrivateKey = field(repr=False)
    blobs: BlobFolder
    entropy: Entropy = SYSTEM


@dataclass(frozen=True)
class Actor:
    """Who acts. `subject` names them for ever, as sign-in or a certificate does; never logged."""

    subject: str
    means: Means

    @classmethod
    def member(cls, name: str) -> Actor:
        """The holder of an operator's certificate."""
        return cls(f"member:{name}", Means.CERTIFICATE)


# Whoever may run commands on the scheduler's own machine; it does not know who that is.
CONSOLE = Actor("console", Means.CONSOLE)


@dataclass(frozen=True)
class Deed:
    """What is about to be done, to what, why. `request`: the asker's own key, "" for none."""

    act: Act
    reason: str
    campaign: str | None = None
    unit: str | None = None
    worker: str | None = None
    bundle: str | None = None
    request: str = ""


def require_reason(text: str) -> str:
    """`text` as the log may hold it. Raises InputRefused for none, and for one too long."""
    reason = tidy_reason(text)
    if not 0 < len(reason) <= MAXIMUM_REASON:
        raise InputRefused(
            f"what an operator does by hand has a reason, of {MAXIMUM_REASON} letters at most",
            remedy="say in a few words why, without naming anybody",
        )
    return reason


def require_request(key: str) -> None:
    """Raise InputRefused unless `key` may name a request; "" names none."""
    if len(key) > MAXIMUM_REQUEST or not key.isprintable():
        raise InputRefused(f"the request key has 1 to {MAXIMUM_REQUEST} printable characters")


def account_of(tx: Transaction, office: Office, actor: Actor) -> AccountId:
    """The random name of whoever acts, drawn at their first deed."""
    row = tx.session.exec(select(AccountRow).where(AccountRow.subject == actor.subject)).first()
    if row is None:
        row = AccountRow(
            id=AccountId.draw(office.entropy), subject=actor.subject, created_at=tx.now
        )
        tx.session.add(row)
        tx.session.flush()
    return AccountId(row.id)


def known(tx: Transaction, actor: Actor, deed: Deed) -> ActionRow | None:
    """What the same request did before. Raises Conflict where it was about another deed.

    Of a start, the campaign is drawn anew each time; that it is the same start is told by the
    campaign's own row.
    """
    if not deed.request:
        return None
    row = tx.session.exec(
        select(ActionRow)
        .join(AccountRow)
        .where(AccountRow.subject == actor.subject, ActionRow.request == deed.request)
    ).first()
    if row is None:
        return None
    start = deed.act is Act.START_CAMPAIGN
    was = (row.act, row.unit, row.worker, row.reason, None if start else row.campaign)
    now = (deed.act.value, deed.unit, deed.worker, deed.reason, None if start else deed.campaign)
    if was != now:
        raise Conflict(
            "this form was sent before with other content",
            remedy="open the form again, and send it once",
        )
    return row


def newest(tx: Transaction, act: Act, worker: str) -> ActionRow | None:
    """The newest deed of one kind to a worker."""
    query = select(ActionRow).where(ActionRow.worker == worker, ActionRow.act == act.value)
    return tx.session.exec(query.order_by(col(ActionRow.acted_at).desc()).limit(1)).first()


def record(tx: Transaction, office: Office, actor: Actor, deed: Deed) -> ActionRow:
    """Sign what is done in this transaction and queue it for the log. Raises TooManyActions."""
    account = account_of(tx, office, actor)
    _require_pace(tx, account, actor)
    identity = ActionId.draw(office.entropy)
    salt = office.entropy(SALT_BYTES) if deed.act.about_worker else None
    document = OperatorAction(
        id=identity,
        territory=office.territory,
        act=deed.act,
        campaign=None if deed.campaign is None else CampaignId(deed.campaign),
        unit=None if deed.unit is None else UnitId(deed.unit),
        worker=None if deed.worker is None else WorkerId(deed.worker),
        bundle=None if deed.bundle is None else Digest(deed.bundle),
        reason="" if salt else deed.reason,
        sealed=seal(salt, deed.reason) if salt else None,
        actor=account,
        role=ActingRole.OPERATOR,
        means=actor.means,
        acted_at=tx.now,
    )
    wrong = flaw(document)
    assert not wrong, wrong
    row = ActionRow(
        id=identity,
        account=document.actor,
        request=deed.request or identity,
        act=deed.act.value,
        means=actor.means.value,
        campaign=deed.campaign,
        unit=deed.unit,
        worker=deed.worker,
        reason=deed.reason,
        salt=salt,
        digest=outbox.publish(
            tx, office, Kind.ACTION, signed.sign(document, [office.orders]), deed.campaign
        ),
        acted_at=tx.now,
    )
    tx.session.add(row)
    tx.session.flush()
    return row


def _require_pace(tx: Transaction, account: str, actor: Actor) -> None:
    if actor.means not in _BOUNDED:
        return  # of machines that people enrolled: their keys are kept otherwise
    lately = select(func.count()).where(
        col(ActionRow.acted_at) > tx.now - timedelta(hours=1), ActionRow.account == account
    )
    if tx.session.exec(lately).one() >= MOST_AN_HOUR:
        raise TooManyActions(f"{MOST_AN_HOUR} actions in an hour are the most for one person")
