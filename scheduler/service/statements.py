"""Does a partial or a conclusion match its order? Checked before it may be accepted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import bindparam
from sqlmodel import col, select

from jobs import aggregate, conclusion
from jobs.errors import AggregateRefused, ReportRefused
from protection import accounting
from protection.ckks import residues
from protection.ckks.errors import CkksError
from protection.ckks.profile import profile_named
from protection.errors import ProtectionError
from protection.seeds import SEALED_BYTES
from scheduler.domain.planning import CONTRIBUTING_LEVELS
from scheduler.domain.reasons import Reason, quote, sentence
from scheduler.errors import (
    AboveConsents,
    AboveRegistry,
    StatementRefused,
    ValuesMissing,
    ValuesRefused,
)
from scheduler.service import consents
from scheduler.service.desk import Desk
from scheduler.service.facts import CampaignFacts, epoch_of, facts_of
from scheduler.service.standing import Standing
from scheduler.service.units import ITS_ROUND
from scheduler.store.store import Transaction
from scheduler.store.tables import AuthorisationRow, CampaignRow, RoundRow, UnitRow
from trust.documents import signed
from trust.documents.campaign import UnitKind
from trust.documents.reporting import AttemptReport, Conclusion, Outcome, Partial
from trust.documents.rules import PrivacyUnit
from trust.ids import Digest, WorkerId
from trust.keys import PublicKey
from trust.problem import Problem

_WITHOUT_STATEMENT = {
    Outcome.REFUSED: Reason.ATTEMPT_REFUSED,
    Outcome.NOT_READY: Reason.WORKER_NOT_READY,
    Outcome.FAILED: Reason.ATTEMPT_FAILED,
}

_ORDERED = (
    select(UnitRow, RoundRow, CampaignRow, AuthorisationRow)
    .join(CampaignRow, col(CampaignRow.id) == col(UnitRow.campaign))
    .join(RoundRow, ITS_ROUND)
    .join(AuthorisationRow, col(AuthorisationRow.id) == col(CampaignRow.authorisation))
    .where(UnitRow.id == bindparam("unit"))
)


@dataclass(frozen=True)
class Checked:
    """One attempt report after its statement was looked at; `refusal` NONE when it holds."""

    report: AttemptReport
    refusal: Reason
    why: str
    statement: Digest | None = None
    partial: Partial | None = None
    conclusion: Conclusion | None = None


@dataclass(frozen=True)
class Context:
    """What a report with a statement is held against, of one moment."""

    unit: UnitRow
    round: RoundRow
    campaign: CampaignRow
    facts: CampaignFacts
    live: tuple[int, int]  # consents of the sender's capsules: since the plan, and now


@dataclass(frozen=True)
class Claim:
    """One attempt report and what it is held against."""

    report: AttemptReport
    key: PublicKey  # of the worker that sent it
    context: Context | Problem | None
    values: Mapping[Digest, bytes]  # came with the batch's reports, not stored yet


async def check(desk: Desk, standing: Standing, claim: Claim) -> Checked:
    """What becomes of one report, as far as it can be told without changing anything."""
    item = claim.report
    if item.outcome in _WITHOUT_STATEMENT:
        reason = _WITHOUT_STATEMENT[item.outcome]
        what = quote(f"{item.sentence} [{item.reason}]" if item.reason else item.sentence)
        return Checked(item, reason, sentence(reason, what=what))
    try:
        return await _statement(desk, standing, claim)
    except ValuesMissing:
        return Checked(item, Reason.VALUES_MISSING, sentence(Reason.VALUES_MISSING))
    except (AboveConsents, AboveRegistry, ValuesRefused) as error:
        return Checked(item, Reason(error.code), error.sentence)
    except Problem as error:
        what = error.sentence
        return Checked(
            item, Reason.STATEMENT_REFUSED, sentence(Reason.STATEMENT_REFUSED, what=what)
        )


async def _statement(desk: Desk, standing: Standing, claim: Claim) -> Checked:
    item, key, context = claim.report, claim.key, claim.context
    if item.statement is None:
        raise StatementRefused("the report carries no statement")
    if context is None:
        raise StatementRefused("no such unit")
    if isinstance(context, Problem):
        raise context
    facts = context.facts
    if context.unit.kind == UnitKind.CONTRIBUTE.value:
        partial = signed.verify(Partial, item.statement, {key})
        document = partial.document
        _matches(context, document, desk.territory, key.worker_id)
        _fits_rules(document, facts)
        _matches_seal(document, item, facts)
        found, epoch = claim.values.get(document.values), context.campaign.epoch
        await _reading(found, lambda: _read_partial(desk, document, facts, epoch, found))
        await _within_consents(standing, context, document)
        return Checked(item, Reason.NONE, "", partial.digest, partial=document)
    conclusion = signed.verify(Conclusion, item.statement, {key})
    _matches(context, conclusion.document, desk.territory, key.worker_id)
    if conclusion.document.image not in facts.authorisation.images:
        raise StatementRefused("its runtime image is not one that was voted")
    if conclusion.document.aggregate != context.round.aggregate:
        raise StatementRefused("the conclusion read another aggregate")
    found = claim.values.get(conclusion.document.result)
    await _reading(found, lambda: _read_result(desk, conclusion.document, facts, found))
    return Checked(item, Reason.NONE, "", conclusion.digest, conclusion=conclusion.document)


async def _reading(found: bytes | None, read: Callable[[], None]) -> None:
    """Do `read`: on the event loop what came with the report, apart what may be a large blob."""
    if found is None:
        await asyncio.to_thread(read)
    else:
        read()


def context_of(
    tx: Transaction, desk: Desk, sender: WorkerId, item: AttemptReport
) -> Context | Problem | None:
    """What the statement of `item` is held against; None without one, or for an unknown unit.

    A Problem, not raised, where what was voted cannot be read: it is about this report only.
    """
    if item.statement is None:
        return None
    found = tx.session.exec(_ORDERED, params={"unit": str(item.unit)}).first()
    if found is None:
        return None
    unit, rounds, campaign, authorisation = found
    try:
        facts = facts_of(desk, authorisation.digest, campaign.bundle)
    except Problem as error:
        return error
    live = (0, 0)
    if unit.kind == UnitKind.CONTRIBUTE.value:
        voted = facts.authorisation
        live = consents.live_of(
            tx, voted.bundle, voted.purpose, voted.tables, worker=sender, since=rounds.issued_at
        )
    return Context(unit, rounds, campaign, facts, live)


def _matches(
    context: Context, document: Partial | Conclusion, territory: str, sender: WorkerId
) -> None:
    """Every field that repeats the order, compared; and it is about whoever signed it."""
    expected = {
        "territory": territory,
        "campaign": context.campaign.id,
        "round": context.round.number,
        "unit": context.unit.id,
        "bundle": context.campaign.bundle,
        "plan": context.round.plan,
        # A unit for whoever comes names nobody: then its sender is the worker.
        "worker": context.unit.worker or sender,
    }
    if document.worker != sender:
        raise StatementRefused("its worker is not the one that signed it")
    if isinstance(document, Partial):
        expected["parameters"] = context.round.parameters
    for name, value in expected.items():
        if getattr(document, name) != value:
            raise StatementRefused(f"its {name} is not the order's")


def _fits_rules(document: Partial, facts: CampaignFacts) -> None:
    rules = facts.authorisation.rules
    if document.image not in facts.authorisation.images:
        raise StatementRefused("its runtime image is not one that was voted")
    if document.level not in CONTRIBUTING_LEVELS:
        raise StatementRefused("its sandbox level may not see capsules")
    try:
        voted = accounting.variances_of(rules, facts.bundle.manifest.rounds.maximum)
    except ProtectionError as error:
        raise StatementRefused(error.sentence) from error
    if facts.with_helper:
        # Leader and helper add the noise; a partial that says it has some is not as voted.
        voted = dict.fromkeys(voted, "0")
    # Bands are printed from them: noise stated as less, or as more, would make them a lie.
    if document.variances != voted:
        raise StatementRefused("its noise variances are not those of the voted rules")
    for rule in rules:
        if document.protection is not rule.protection:
            raise StatementRefused(f"{rule.output} was voted as {rule.protection.value}")
        # Under a helper the minima are the batch's.
        least = 0 if facts.with_helper else rule.minimum_contributors
        if not least <= document.contributors <= rule.maximum_contributors:
            raise StatementRefused(
                f"{document.contributors} contributors; {rule.output} was voted for "
                f"{least} to {rule.maximum_contributors}"
            )
        if document.capsules < (1 if facts.with_helper else rule.minimum_capsules):
            raise StatementRefused(
                f"{document.capsules} capsules; {rule.output} asks for {rule.minimum_capsules}"
            )


def _matches_seal(document: Partial, item: AttemptReport, facts: CampaignFacts) -> None:
    """The helper's share came with the report exactly where the protection has a helper."""
    if facts.with_helper != (document.sealed is not None):
        raise StatementRefused("its sealed share does not go with the voted protection")
    if (item.sealed is None) != (document.sealed is None):
        raise StatementRefused("the report and its partial disagree about a sealed share")
    if item.sealed is not None and (
        len(item.sealed) != SEALED_BYTES or Digest.of(item.sealed) != document.sealed
    ):
        raise StatementRefused("the sealed share is not the one that the partial names")


def _read_partial(
    desk: Desk, document: Partial, facts: CampaignFacts, epoch: str | None, found: bytes | None
) -> None:
    values = _stored(desk, document.values) if found is None else found
    rules, rounds = facts.authorisation.rules, facts.bundle.manifest.rounds.maximum
    try:
        if epoch is None:
            aggregate.require_partial(rules, values, rounds=rounds)
        else:
            # One whole ciphertext of the epoch's profile, every residue in its range. For which
            # key it was made, only the opening shows; that it was for this epoch, its plan says.
            profile = profile_named(epoch_of(desk, epoch).profile)
            residues.parse(values, profile)
    except (AggregateRefused, CkksError) as error:
        what = error.sentence
        raise ValuesRefused(sentence(Reason.VALUES_REFUSED, what=what)) from error


def _read_result(
    desk: Desk, document: Conclusion, facts: CampaignFacts, found: bytes | None
) -> None:
    result = _stored(desk, document.result) if found is None else found
    try:
        conclusion.read(facts.bundle.manifest, result)
    except ReportRefused as error:
        what = error.sentence
        raise ValuesRefused(sentence(Reason.VALUES_REFUSED, what=what)) from error


def _stored(desk: Desk, digest: Digest) -> bytes:
    if not desk.blobs.has(digest):
        raise ValuesMissing("what the statement names was not put as a blob")
    return desk.blobs.get(digest)


async def _within_consents(standing: Standing, context: Context, document: Partial) -> None:
    """No more people than consents: the scheduler's own count, then the registry's."""
    authorisation = context.facts.authorisation
    by_owner = any(rule.unit is PrivacyUnit.OWNER for rule in authorisation.rules)
    claimed = max(document.capsules, document.contributors if by_owner else 0)
    known, now = context.live
    if claimed > known:
        raise AboveConsents(sentence(Reason.ABOVE_CONSENTS, claimed=claimed, known=known))
    registered = await standing.live_consents(
        authorisation.bundle, authorisation.purpose, WorkerId(document.worker), least=claimed
    )
    if registered is None:
        return
    # Consents that were withdrawn after the plan may already be in the partial.
    withdrawn = max(0, known - now)
    if claimed > registered + withdrawn:
        raise AboveRegistry(
            sentence(Reason.ABOVE_REGISTRY, claimed=claimed, known=registered + withdrawn)
        )
