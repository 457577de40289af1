"""Actions in a log: those that hold pass; forged, foreign, unsigned and disobeyed ones do not."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from audit.policy import AuditPolicy
from audit.replay import audit
from tests.audit.evidence_builder import TERRITORY, EvidenceBuilder, FilesEvidence
from trust.documents import signed
from trust.documents.actions import Act, ActingRole, Means, OperatorAction, seal
from trust.documents.membership import Banned
from trust.entropy import seeded
from trust.ids import AccountId, ActionId, CampaignId, Digest, UnitId
from trust.keys import PrivateKey
from trust.log.entry import Kind, LogEntry

ENTROPY = seeded(b"actions")
ACTOR = AccountId.draw(ENTROPY)
FOREIGN = PrivateKey.generate(ENTROPY)


class Acted(EvidenceBuilder):
    """A campaign that somebody started, a worker that is drained for a while, another excluded."""

    def __init__(self, *, before: Any = None, after: Any = None, **options: Any) -> None:
        self._before, self._after = before, after
        super().__init__(**options)

    def deed(self, act: Act, name: str = "", key: PrivateKey | None = None, **fields: Any) -> None:
        about = act.about_worker
        document = OperatorAction(
            **{
                "id": ActionId.draw(ENTROPY),
                "territory": TERRITORY,
                "act": act,
                "campaign": None if about else self.campaign,
                "unit": None,
                "worker": None,
                "bundle": self.bundle.digest if act is Act.START_CAMPAIGN else None,
                "reason": "" if about else "once a year",
                "sealed": seal(bytes(32), "its keeper asked") if about else None,
                "actor": ACTOR,
                "role": ActingRole.OPERATOR,
                "means": Means.PAGE,
                "acted_at": self._tick(),
                **fields,
            }
        )
        self._log(Kind.ACTION, self._sign(name or act.value, document, key or self.keys.orders))

    def ban(self, index: int) -> None:
        key = self.keys.workers[index].public
        banned = Banned(TERRITORY, key.worker_id, key, self._tick())
        self._log(Kind.KEY_EVENT, self._sign("banned", banned, self.keys.orders))

    def worker(self, index: int) -> Any:
        return self.keys.workers[index].public.worker_id

    def _engage(self) -> Any:
        if self._before is None:
            self.deed(Act.START_CAMPAIGN)
            self.deed(Act.DRAIN_WORKER, worker=self.worker(0))
            self.deed(Act.RESUME_WORKER, worker=self.worker(0))
        else:
            self._before(self)
        return super()._engage()

    def _settle(self) -> None:
        super()._settle()
        if self._after is None:
            self.deed(Act.RETRY_UNIT, unit=UnitId.draw(ENTROPY))
            self.ban(1)
            self.deed(Act.EXCLUDE_WORKER, worker=self.worker(1))
        else:
            self._after(self)


def failed(builder: EvidenceBuilder) -> tuple[str, ...]:
    return audit(FilesEvidence(builder.files()), AuditPolicy(builder.pin)).journal.failed


def test_a_log_with_actions_passes_and_says_what_they_do_not_show() -> None:
    built = Acted()
    verdict = audit(FilesEvidence(built.files()), AuditPolicy(built.pin))
    assert verdict.ok, [line for line in verdict.journal.lines if not line.ok]
    assert any("browser has no key" in line for line in verdict.journal.not_checked)
    assert not any("who started" in line for line in verdict.journal.not_checked)


def test_a_campaign_without_its_start_is_named() -> None:
    built = Acted(before=lambda b: b.deed(Act.DRAIN_WORKER, worker=b.worker(3)))
    verdict = audit(FilesEvidence(built.files()), AuditPolicy(built.pin))
    assert any(f"who started {built.campaign}" in line for line in verdict.journal.not_checked)


EDITS = {
    "a reason beside a worker": (Act.DRAIN_WORKER, {"reason": "he drinks"}),
    "no seal": (Act.DRAIN_WORKER, {"sealed": None}),
    "no worker": (Act.DRAIN_WORKER, {"worker": None}),
    "a hidden letter": (Act.START_CAMPAIGN, {"reason": "a \u202e b"}),
    "a long reason": (Act.START_CAMPAIGN, {"reason": "a" * 201}),
    "no bundle": (Act.START_CAMPAIGN, {"bundle": None}),
    "a retry without reason": (Act.RETRY_UNIT, {"reason": ""}),
    "a retry of a campaign": (Act.RETRY_UNIT, {"unit": None}),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_unsound_action_is_refused(name: str) -> None:
    act, fields = EDITS[name]
    edit = {act.value: lambda document: dataclasses.replace(document, **fields)}
    assert "action.form" in failed(Acted(edits=edit))


@pytest.mark.parametrize(
    ("edit", "key"),
    [({}, FOREIGN), ({"territory": "elsewhere.example"}, None)],
    ids=["another's key", "another territory"],
)
def test_a_forged_or_foreign_action_is_refused(edit: Any, key: PrivateKey | None) -> None:
    built = Acted(before=lambda b: b.deed(Act.DRAIN_WORKER, key=key, worker=b.worker(0), **edit))
    assert failed(built) == ("documents.signatures",)


def test_an_unsigned_action_or_another_document_under_its_kind_is_refused() -> None:
    def unsigned(builder: Acted) -> None:
        raw = b'{"payload":"e30=","payloadType":"%s","signatures":[]}' % (
            OperatorAction.TYPE.encode()
        )
        builder.objects[Digest.of(raw)] = raw
        builder.entries.append(LogEntry(Kind.ACTION, Digest.of(raw)).emit())

    def other(builder: Acted) -> None:
        key = builder.keys.workers[1].public
        banned = Banned(TERRITORY, key.worker_id, key, builder.now)
        builder._log(Kind.ACTION, signed.sign(banned, [builder.keys.orders]))

    for before in (unsigned, other):
        assert failed(Acted(before=before)) == ("documents.signatures",)


def start(builder: Acted, **fields: Any) -> None:
    builder.deed(Act.START_CAMPAIGN, **fields)


def cancel(builder: Acted) -> None:
    builder.deed(Act.CANCEL_CAMPAIGN)


def drain(builder: Acted, index: int = 3, act: Act = Act.DRAIN_WORKER) -> None:
    builder.deed(act, worker=builder.worker(index))


def excluded(builder: Acted) -> None:
    builder.ban(3)
    builder.deed(Act.EXCLUDE_WORKER, worker=builder.worker(3))


def both(*steps: Any) -> Any:
    return lambda builder: [step(builder) for step in steps]


DISOBEYED = {
    "planned after its cancellation": ("campaigns", both(start, cancel), None),
    "started twice": ("campaigns", both(start, start), None),
    "of another bundle": ("campaigns", lambda b: start(b, bundle=Digest.of(b"x")), None),
    "started after its plan": ("campaigns", drain, start),
    "a unit of a campaign that never was": (
        "campaigns",
        start,
        lambda b: b.deed(
            Act.RETRY_UNIT, unit=UnitId.draw(ENTROPY), campaign=CampaignId.draw(ENTROPY)
        ),
    ),
    "cancelled twice": (
        "campaigns",
        start,
        both(cancel, cancel),
    ),
    "drained twice": ("workers", start, both(drain, drain)),
    "let again and never drained": (
        "workers", start, lambda b: drain(b, act=Act.RESUME_WORKER),
    ),
    "excluded by nobody": ("workers", start, lambda b: b.ban(3)),
    "excluded in words alone": (
        "workers", start, lambda b: drain(b, act=Act.EXCLUDE_WORKER),
    ),
    "drained after its exclusion": ("workers", start, both(excluded, drain)),
    "ordered while drained": ("obeyed", both(start, lambda b: drain(b, 0)), None),
}  # fmt: skip


@pytest.mark.parametrize("name", DISOBEYED)
def test_what_was_done_against_an_action_is_found(name: str) -> None:
    check, before, after = DISOBEYED[name]
    assert f"action.{check}" in failed(Acted(before=before, after=after or (lambda b: None)))


def test_a_worker_that_never_was_is_refused() -> None:
    stranger = PrivateKey.generate(ENTROPY).public.worker_id
    built = Acted(after=lambda b: b.deed(Act.DRAIN_WORKER, worker=stranger))
    assert failed(built) == ("action.workers",)


def test_one_name_for_two_actions_is_refused() -> None:
    name = ActionId.draw(ENTROPY)
    built = Acted(
        after=both(
            lambda b: b.deed(Act.DRAIN_WORKER, worker=b.worker(3), id=name),
            lambda b: b.deed(Act.RESUME_WORKER, worker=b.worker(3), id=name),
        )
    )
    assert failed(built) == ("action.form",)


def test_what_follows_a_cancellation_in_the_public_log_is_found_without_the_restricted_part() -> (
    None
):
    built = Acted(before=both(start, cancel), after=lambda b: None, restricted=False)
    assert "action.campaigns" in failed(built)
