"""Reserving privacy budget, and what happens when the ledger itself was restored.

One account per owner key (hashed), so that a second capsule of the same person draws on the
same budget. `reserve` is one transaction and comes before dispatch: if we crash after it the
charge stays although nothing may have run (a crash never refunds); if we crash before it
nothing runs. A retry of the same (capsule, campaign, round) is neither charged again nor
refunded.

Whoever keeps a checkpoint elsewhere (the agent's journal, the registry) sees a ledger restored
from an older copy: `confirm` refuses it and `reconcile` charges everything that happened since
before anything else may run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from capsule_runtime.capsules.errors import BudgetExhausted, LedgerConflict, LedgerRestored
from capsule_runtime.database import Database
from capsule_runtime.ledger import chain
from capsule_runtime.ledger.chain import Checkpoint, Link, MissingRound, Writer, account_of
from trust import clock
from trust.clock import Clock
from trust.documents.budget import LEDGER_CAP
from trust.ids import CampaignId, CapsuleId
from trust.keys import PublicKey

# A lifetime ceiling per owner and worker; the registry's cap per owner rests on it.
DEFAULT_CAP = LEDGER_CAP

FILE_NAME = "ledger.sqlite"
_APPLICATION = 0x43414402  # "CAD", file kind 2
_VERSION = 1


@dataclass(frozen=True)
class Charge:
    """One capsule that is to contribute, and whose budget it draws on."""

    capsule: CapsuleId
    owner: PublicKey


@dataclass(frozen=True)
class Reservation:
    """The outcome of `reserve`. `skipped` stays on this worker: report numbers only."""

    reserved: frozenset[CapsuleId]
    skipped: frozenset[CapsuleId]
    checkpoint: Checkpoint


class Ledger:
    """The zCDP ledger in `<state>/ledger.sqlite`."""

    def __init__(self, state: Path, clock_: Clock, *, cap: Fraction = DEFAULT_CAP) -> None:
        """Open, re-computing the whole chain. Raises DatabaseRefused when it does not hold."""
        self._clock = clock_
        self._cap = cap
        self._database = Database(
            state / FILE_NAME, application=_APPLICATION, version=_VERSION, schema=chain.SCHEMA
        )
        try:
            with self._database.reading() as connection:
                chain.verify(connection, self._database.path)
        except BaseException:
            self._database.close()
            raise

    def close(self) -> None:
        """Release the file."""
        self._database.close()

    def reserve(
        self, charges: Sequence[Charge], campaign: CampaignId, round_: int, rho: Fraction
    ) -> Reservation:
        """Charge every capsule that can pay, in one transaction, before anything runs.

        `rho` is the cost of one capsule's contribution to this round. The k-th capsule of one
        owner in the same round costs (2k - 1) rho, so that k of them cost k^2 rho: together
        they can move the sum by k times the clip bound.
        Raises BudgetExhausted when no capsule can pay, LedgerConflict when a repeated
        reservation names another rho; nothing is charged then.
        """
        if rho < 0 or round_ < 1:
            raise LedgerConflict(
                "a charge is not negative and rounds start at 1",
                remedy="reserve with the rho of the authorised release rules",
            )
        reserved: set[CapsuleId] = set()
        skipped: set[CapsuleId] = set()
        with self._database.transaction() as connection:
            writer = Writer(connection, clock.to_text(self._clock.now()))
            for charge in charges:
                if writer.paid(charge.capsule, campaign, round_, rho):
                    reserved.add(charge.capsule)
                    continue
                account = account_of(charge.owner)
                cost = writer.cost(account, campaign, round_, rho)
                if writer.spent(account) + cost > self._cap:
                    skipped.add(charge.capsule)
                    continue
                writer.append(Link("reserve", account, charge.capsule, campaign, round_, rho, cost))
                reserved.add(charge.capsule)
            writer.seal()
            checkpoint = chain.head(connection)
        if skipped and not reserved:
            raise BudgetExhausted(
                f"no capsule here has {rho} zCDP left of its {self._cap}",
                remedy="run a cheaper campaign, or one over other owners",
                skipped=frozenset(skipped),
            )
        return Reservation(frozenset(reserved), frozenset(skipped), checkpoint)

    def spent(self, owner: PublicKey) -> Fraction:
        """What the owner has spent, in zCDP."""
        with self._database.reading() as connection:
            return chain.spent(connection, account_of(owner))

    def checkpoint(self) -> Checkpoint:
        """The chain's present end: note it elsewhere after every reservation."""
        with self._database.reading() as connection:
            return chain.head(connection)

    def confirm(self, seen: Checkpoint) -> None:
        """Return when this ledger contains `seen`. Raises LedgerRestored otherwise.

        A ledger that is ahead of `seen` is fine: we crashed after the charge and before the
        checkpoint was noted elsewhere.
        """
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT hash FROM entry WHERE counter=?", (seen.counter,)
            ).fetchone()
            present = chain.head(connection)
        if seen == chain.START or (row is not None and bytes(row[0]) == seen.hash):
            return
        raise LedgerRestored(
            f"the ledger stands at {present.counter} and does not contain the checkpoint "
            f"{seen.counter} that was seen before: it was restored from an older copy",
            remedy="the worker charges what the copy forgot (reconcile) before it runs anything",
        )

    def reconcile(
        self,
        seen: Checkpoint,
        missing: Iterable[MissingRound] | None,
        hosted: Sequence[Charge],
    ) -> Checkpoint:
        """Make a restored ledger safe: charge what it forgot, then continue after `seen`.

        `missing` are the rounds that the journal knows of; every capsule that is hosted, or
        was ever charged here, pays for each of them that this copy does not know, even over
        the cap and even where it did not take part: a copy cannot prove that. None says that
        the journal is lost too: then all those accounts are charged up to the cap.
        Does nothing when `confirm` holds. All in one transaction: if we crash inside, the next
        start finds the same old copy and does it again.
        """
        try:
            self.confirm(seen)
        except LedgerRestored:
            with self._database.transaction() as connection:
                writer = Writer(connection, clock.to_text(self._clock.now()))
                writer.append(Link("splice", capsule=seen.hash.hex()), after=seen.counter)
                accounts = _accounts(writer, hosted)
                if missing is None:
                    self._close_accounts(writer, set(accounts.values()))
                else:
                    for item in missing:
                        _charge_gap(writer, item, accounts)
                writer.seal()
        return self.checkpoint()

    def charge_gap(self, missing: MissingRound, hosted: Sequence[Charge]) -> Checkpoint:
        """Charge one forgotten round to every hosted or known capsule, even over the cap."""
        with self._database.transaction() as connection:
            writer = Writer(connection, clock.to_text(self._clock.now()))
            _charge_gap(writer, missing, _accounts(writer, hosted))
            writer.seal()
        return self.checkpoint()

    def _close_accounts(self, writer: Writer, accounts: set[str]) -> None:
        for account in sorted(accounts):
            rest = max(self._cap - writer.spent(account), Fraction(0))
            writer.append(Link("closed", account, unit_rho=rest, rho=rest))


def _accounts(writer: Writer, hosted: Sequence[Charge]) -> dict[str, str]:
    return writer.capsules() | {charge.capsule: account_of(charge.owner) for charge in hosted}


def _charge_gap(writer: Writer, missing: MissingRound, accounts: dict[str, str]) -> None:
    for capsule, account in sorted(accounts.items()):
        if writer.known(capsule, missing.campaign, missing.round) is None:
            cost = writer.cost(account, missing.campaign, missing.round, missing.rho)
            writer.append(
                Link(
                    "gap",
                    account,
                    capsule,
                    missing.campaign,
                    missing.round,
                    missing.rho,
                    cost,
                )
            )
