"""The model that a released campaign trained, as files; followed round by round before it is given.

The same check as `cadastre model export`, which also fetches the log's proofs: whoever does not
believe this scheduler uses that command.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Sequence
from importlib.util import find_spec

from sqlmodel import col, select

from jobs import archive, lineage
from jobs.lineage import Lineage, Model
from scheduler.domain.states import RoundState
from scheduler.errors import ExtraMissing
from scheduler.service import conclusions
from scheduler.service.desk import Desk
from scheduler.store.store import Transaction
from scheduler.store.tables import AuthorisationRow, CampaignRow, RoundRow
from trust.documents.campaign import Opening, Plan, Release
from trust.documents.governance import Authorisation
from trust.documents.root import Duty
from trust.ids import Digest

# Following a model holds its state and its rounds' results: one at a time is memory enough.
_ONE = threading.Lock()


def weights(desk: Desk, campaign: str) -> bytes:
    """`model.safetensors`. Raises NoModel, LineageBroken, SignatureInvalid, ExtraMissing."""
    if find_spec("safetensors") is None:
        raise ExtraMissing(
            "this scheduler has no library that writes safetensors",
            remedy="whoever runs it adds the extra: pip install 'cadastre[models]'",
        )
    with _ONE:
        made: bytes = importlib.import_module("jobs.model").weights(_model(desk, campaign))
    return made


def card(desk: Desk, campaign: str) -> bytes:
    """`MODEL_CARD.md`. Raises NoModel, LineageBroken, SignatureInvalid, ExtraMissing."""
    if find_spec("safetensors") is None:
        raise ExtraMissing(
            "this scheduler has no library that describes models",
            remedy="whoever runs it adds the extra: pip install 'cadastre[models]'",
        )
    with _ONE:
        made: bytes = importlib.import_module("jobs.model_card").render(_model(desk, campaign))
    return made


def _model(desk: Desk, campaign: str) -> Model:
    row, vote, rounds, concluded = desk.store.read("view-model", lambda tx: _rows(tx, campaign))
    digest = Digest(row.bundle)
    bundle = archive.read(desk.blobs.get(digest), digest)
    lineage.require_state(bundle)
    assert row.release is not None

    def raw(named: str | None) -> bytes:
        assert named is not None
        return desk.blobs.get(Digest(named))

    root = desk.root
    chain = Lineage(
        bundle,
        root.verify(Authorisation, raw(vote.digest), Duty.COLLEGE),
        root.verify(Release, raw(row.release), Duty.ORDERS),
    )
    chain.start(raw(rounds[0].parameters))
    for one, envelope in zip(rounds, concluded, strict=True):
        conclusion = raw(envelope)
        chain.take(
            root.verify(Plan, raw(one.plan), Duty.ORDERS),
            root.verify(Opening, raw(one.opening), Duty.ORDERS),
            conclusion,
            raw(lineage.result_of(one.number, conclusion)),
        )
    return chain.finish()


def _rows(
    tx: Transaction, campaign: str
) -> tuple[CampaignRow, AuthorisationRow, Sequence[RoundRow], list[str | None]]:
    row = tx.session.get(CampaignRow, campaign)
    assert row is not None
    vote = tx.session.get(AuthorisationRow, row.authorisation)
    assert vote is not None
    rounds = tx.session.exec(
        select(RoundRow)
        .where(RoundRow.campaign == campaign, RoundRow.state == RoundState.OPENED.value)
        .order_by(col(RoundRow.number))
    ).all()
    concluded = [conclusions.envelope_of(tx, campaign, one.number) for one in rounds]
    return row, vote, rounds, [*concluded]
