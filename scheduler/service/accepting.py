"""The incoming half of an exchange: reports, lost leases, progress."""

from __future__ import annotations

from sqlalchemy import bindparam
from sqlmodel import col, select

from scheduler.domain.events import Abandon, Acknowledged, Report
from scheduler.domain.reasons import Reason, sentence
from scheduler.domain.states import LIVE_ATTEMPT, AttemptState, RoundState
from scheduler.service import committing, outbox
from scheduler.service.bell import for_campaign
from scheduler.service.desk import Desk
from scheduler.service.statements import Checked
from scheduler.service.units import ITS_ROUND, apply
from scheduler.store.store import Transaction
from scheduler.store.tables import AttemptRow, BlobRow, RoundRow, UnitRow
from trust.documents.campaign import Acknowledgement, UnitKind
from trust.documents.reporting import Partial, ReportBatch
from trust.ids import AttemptId, Digest, WorkerId

_REPORTED = (
    select(UnitRow, AttemptRow, RoundRow)
    .join(AttemptRow, col(AttemptRow.unit) == col(UnitRow.id))
    .join(RoundRow, ITS_ROUND)
    .where(UnitRow.id == bindparam("unit"), AttemptRow.id == bindparam("attempt"))
)
_LIVE = select(AttemptRow).where(
    AttemptRow.worker == bindparam("worker"),
    col(AttemptRow.state).in_([state.value for state in LIVE_ATTEMPT]),
)
_OTHER = AttemptRow.id != bindparam("attempt")
_SAME_NAME = select(AttemptRow.id).where(AttemptRow.report == bindparam("report"), _OTHER)
_COUNTED = (
    select(AttemptRow.id)
    .join(UnitRow, col(UnitRow.id) == col(AttemptRow.unit))
    .where(
        UnitRow.campaign == bindparam("campaign"),
        UnitRow.round == bindparam("round"),
        UnitRow.kind == UnitKind.CONTRIBUTE.value,
        AttemptRow.worker == bindparam("worker"),
        AttemptRow.state == AttemptState.ACCEPTED.value,
        _OTHER,
    )
)
_CLASHES = select(_SAME_NAME.exists(), _COUNTED.exists())


def accept(tx: Transaction, desk: Desk, sender: WorkerId, checked: Checked) -> Acknowledgement:
    """Let one report by `sender` happen to its unit; returns the receipt for the worker."""
    with tx.session.no_autoflush:
        receipt = _accept(tx, desk, sender, checked)
    # All of it in one flush: the next report of the batch is judged with this one in place.
    tx.session.flush()
    return receipt


def _accept(tx: Transaction, desk: Desk, sender: WorkerId, checked: Checked) -> Acknowledgement:
    item = checked.report
    named = {"unit": str(item.unit), "attempt": str(item.attempt)}
    found = tx.session.exec(_REPORTED, params=named).first()
    if found is None:
        return Acknowledgement(
            item.unit,
            item.attempt,
            accepted=False,
            reason=Reason.UNKNOWN_ATTEMPT.value,
            statement=None,
        )
    row, attempt, its_round = found
    refusal, why = checked.refusal, checked.why
    if refusal is Reason.NONE and _is_closed(its_round, row):
        refusal, why = Reason.ROUND_CLOSED, sentence(Reason.ROUND_CLOSED)
    if refusal is Reason.NONE and checked.partial is not None:
        clash = _clash(tx, checked.partial, attempt)
        if clash:
            refusal, why = Reason.STATEMENT_REFUSED, sentence(Reason.STATEMENT_REFUSED, what=clash)
    if refusal is Reason.NONE and _values_gone(desk, checked):
        refusal, why = Reason.VALUES_MISSING, sentence(Reason.VALUES_MISSING)
    effects = apply(
        tx,
        desk,
        row,
        Report(sender, item.attempt, item.token, checked.statement, refusal, why),
    )
    answer = next(effect for effect in effects if isinstance(effect, Acknowledged))
    if answer.accepted and attempt.values_digest is None:
        _keep(tx, desk, row, attempt, checked)
    return Acknowledgement(
        item.unit, item.attempt, answer.accepted, answer.reason.value, answer.statement
    )


def abandon_lost(tx: Transaction, desk: Desk, document: ReportBatch) -> None:
    """Live attempts that the worker neither holds nor reports are lost: lease them again.

    Orders are given in answers to earlier batches, so whoever sends a new batch has had them.
    """
    mentioned = {str(item) for item in document.held}
    mentioned |= {str(item.attempt) for item in document.reports}
    for attempt in tx.session.exec(_LIVE, params={"worker": str(document.worker)}).all():
        if attempt.id not in mentioned:
            row = tx.session.get(UnitRow, attempt.unit)
            assert row is not None
            apply(tx, desk, row, Abandon(AttemptId(attempt.id)))


def note_progress(tx: Transaction, document: ReportBatch) -> None:
    """How far running attempts are, for the operator's view.

    Workers say a coarse share of their cohort; it is shown as that share of the unit's capsules.
    """
    for item in document.progress:
        row = tx.session.get(UnitRow, str(item.unit))
        attempt = tx.session.get(AttemptRow, str(item.attempt))
        if row is None or attempt is None or attempt.unit != row.id:
            continue
        if attempt.worker != document.worker or attempt.state != AttemptState.LEASED.value:
            continue
        done = row.capsules * max(0, min(item.done, item.total)) // max(1, item.total)
        if done != row.done:
            row.done = done
            tx.rings.add(for_campaign(row.campaign))


def _is_closed(row: RoundRow, unit: UnitRow) -> bool:
    return unit.kind == UnitKind.CONTRIBUTE.value and row.state != RoundState.OPEN.value


def _values_gone(desk: Desk, checked: Checked) -> bool:
    """Whether the values were swept since the check: here no sweep can come in between."""
    if checked.partial is not None:
        return not desk.blobs.has(checked.partial.values)
    return checked.conclusion is not None and not desk.blobs.has(checked.conclusion.result)


def _clash(tx: Transaction, partial: Partial, attempt: AttemptRow) -> str:
    """What keeps a partial from counting beside those that are accepted; "" when nothing does.

    Judged by what the document is, not by its envelope's digest: the same partial in another
    envelope, or another partial in its place, is still the round's second one.
    """
    named = {
        "report": str(partial.report),
        "campaign": str(partial.campaign),
        "round": partial.round,
        "worker": str(partial.worker),
        "attempt": attempt.id,
    }
    same_name, counted = tx.session.exec(_CLASHES, params=named).one()
    what = "a partial of this worker counts in this round already" if counted else ""
    if same_name:
        what = "another partial has the same report id"
    return what


def _keep(
    tx: Transaction, desk: Desk, unit: UnitRow, attempt: AttemptRow, checked: Checked
) -> None:
    """The accepted statement, verbatim, for auditors; its figures for the opening."""
    statement = checked.report.statement
    assert statement is not None
    committing.keep(tx, desk, committing.PARTIALS, statement, unit.campaign)
    if checked.partial is not None:
        partial = checked.partial
        attempt.report, attempt.values_digest = str(partial.report), str(partial.values)
        attempt.capsules, attempt.contributors = partial.capsules, partial.contributors
        attempt.sealed = checked.report.sealed
        unit.done = unit.capsules
    if checked.conclusion is not None:
        attempt.values_digest = str(checked.conclusion.result)
        tx.session.flush()  # what is filed here may have come with this very batch
        # The release names its conclusion: whoever audits it renders the report again.
        outbox.keep_blob(tx, desk, statement)
        _publish_result(tx, desk, checked.conclusion.result)


def _publish_result(tx: Transaction, desk: Desk, digest: Digest) -> None:
    """The conclusion's arrays are the release: public from now on."""
    row = tx.session.get(BlobRow, str(digest))
    size = row.size if row is not None else len(desk.blobs.get(digest))
    outbox.register_blob(tx, digest, size, public=True, giver="")
