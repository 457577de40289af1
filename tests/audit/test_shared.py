"""Campaigns that two institutions open: honest ones pass, and each lie is named by its check."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from audit.policy import AuditPolicy
from audit.replay import SINGLE_SHARES, WITH_SHARES, audit
from protection.batch import Batch
from protection.layout import Role, Vector
from tests.audit.evidence_builder import FilesEvidence, change, rebatch
from tests.audit.judging import (
    downloaded,
    found,
    require_bits_count,
    require_honest,
    require_list_counts,
    require_named,
    require_object_counts,
    signed_by,
    verdict_of,
)
from tests.audit.shared_evidence import SharedBuilder
from trust import schema
from trust.documents.aggregation import Side
from trust.ids import Digest

SEED = 20_261_123


@pytest.fixture(scope="module")
def territory() -> SharedBuilder:
    return SharedBuilder()


def test_an_honest_shared_campaign_passes(territory: SharedBuilder) -> None:
    verdict = verdict_of(territory)
    require_honest(verdict)
    assert found(verdict, "helper.key") == "1 helper keys, named by 1 plans"
    assert found(verdict, "share.sum") == "1 aggregates are the sum of their two shares"
    assert found(verdict, "helper.destroyed") == "1 of 1 helper keys destroyed"
    assert {WITH_SHARES, SINGLE_SHARES} <= set(verdict.journal.not_checked)
    assert len(verdict.journal.not_checked) == 7


def test_the_public_part_alone_shows_the_sum_of_the_shares() -> None:
    verdict = verdict_of(SharedBuilder(restricted=False))
    require_honest(verdict)
    assert found(verdict, "share.sum").startswith("1 aggregates")


def test_a_key_that_was_not_destroyed_is_told_and_no_failure() -> None:
    verdict = verdict_of(SharedBuilder(edits={"kept_key": lambda x: x}))
    assert verdict.ok
    assert any("destroyed its key" in line for line in verdict.journal.not_checked)


KINDS = [
    "helper_key", "batch_commitment", "leader_share", "helper_share", "leader_values",
    "helper_values", "key_destroyed", "batch", "plan", "opening", "partial1",
]  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_a_changed_or_missing_object_of_each_kind_is_found(
    territory: SharedBuilder, name: str
) -> None:
    require_object_counts(territory, name)


def _vector_of_another_round(_: bytes) -> bytes:
    other = SharedBuilder(seed=b"another round")
    return other.objects[other.kinds["leader_values"]]


def _one_more(raw: bytes) -> bytes:
    return raw[:-8] + (int.from_bytes(raw[-8:], "little") ^ 1).to_bytes(8, "little")


def _lines(edit: Callable[[Any], Any]) -> Callable[[bytes], bytes]:
    def edited(raw: bytes) -> bytes:
        batch = schema.decode(Batch, raw)
        first = edit(batch.lines[0])
        return dataclasses.replace(batch, lines=(first, *batch.lines[1:])).encode()

    return edited


def _only(*names: str) -> Callable[[Any], Any]:
    """An opening with these of its shares, by place."""
    return lambda o: dataclasses.replace(o, shares=tuple(o.shares[int(n)] for n in names))


X = Digest.of(b"x")
LIES: list[tuple[str, dict[str, Callable[[Any], Any]], str]] = [
    ("a helper key of another campaign",
     {"helper_key": lambda k: dataclasses.replace(k, campaign=type(k.campaign).from_bytes(
         bytes(16)))}, "helper.key"),
    ("a helper key for another bundle", {"helper_key": change(bundle=X)}, "helper.key"),
    ("a helper key that is none", {"helper_key": change(key=bytes(31))}, "helper.key"),
    ("a helper key that had ended",
     {"helper_key": lambda k: dataclasses.replace(k, not_after=k.made_at + timedelta(seconds=1))},
     "helper.key"),
    ("a helper key of another territory", {"helper_key": change(territory="elsewhere.example")},
     "documents.signatures"),
    ("a helper key logged after its plan", {"late_key": lambda x: x}, "helper.key"),
    ("two helper keys", {"second_key": change(key=bytes(32))}, "helper.key"),
    ("a plan without its helper", {"plan": change(helper=None)}, "helper.key"),
    ("a plan for a key nobody logged", {"plan": change(helper=X)}, "helper.key"),
    ("a plan with a key epoch", {"plan": change(epoch=X)}, "epoch.key"),
    ("a commitment for another helper key", {"batch_commitment": change(helper=X)},
     "batch.committed"),
    ("a commitment to another list", {"batch_commitment": change(batch=X)}, "batch.committed"),
    ("a commitment of another round", {"batch_commitment": change(round=2)}, "batch.committed"),
    ("a commitment to more reports", {"batch_commitment": change(partials=4)}, "batch.committed"),
    ("a commitment to more people", {"batch_commitment": change(contributors_rounded=80)},
     "batch.committed"),
    ("a commitment to a plan nobody logged", {"batch_commitment": change(plan=X)},
     "batch.committed"),
    ("an opening without a commitment", {"no_batch": lambda x: x}, "batch.committed"),
    ("a second batch commitment", {"second_batch": change(batch=X)}, "batch.first"),
    ("the same batch committed again",
     {"second_batch": lambda b: dataclasses.replace(b, committed_at=b.committed_at
                                                    + timedelta(seconds=1))}, "batch.first"),
    ("a share of a single worker", {"leaked": lambda blobs: blobs["share"]}, "batch.withheld"),
    ("a sealed seed", {"leaked": lambda blobs: blobs["seed"]}, "batch.withheld"),
    ("a leader share of another batch", {"leader_share": change(batch=X)}, "share.signatures"),
    ("a helper share of another batch", {"helper_share": change(batch=X)}, "share.signatures"),
    ("a helper share of another plan", {"helper_share": change(plan=X)}, "share.signatures"),
    ("a leader share of other parameters", {"leader_share": change(parameters=X)},
     "share.signatures"),
    ("a helper share with less noise", {"helper_share": change(variances={"modes": "1"})},
     "share.signatures"),
    ("a leader share without noise", {"leader_share": change(variances={})}, "share.signatures"),
    ("a helper share that claims the leader's side", {"helper_share": change(side=Side.LEADER)},
     "documents.signatures"),
    ("an opening from one share", {"opening": _only("0")}, "share.signatures"),
    ("an opening from one share twice", {"opening": _only("0", "0")}, "share.signatures"),
    ("an opening of exchanged shares", {"opening": _only("1", "0")}, "share.signatures"),
    ("an opening of shares nobody logged", {"opening": change(shares=(X, X))},
     "share.signatures"),
    ("the leader's sum of another round", {"leader_values": _vector_of_another_round},
     "share.sum"),
    ("a helper's sum that differs by one", {"helper_values": _one_more}, "share.sum"),
    ("a helper's sum in another layout", {"helper_values": lambda raw: raw[:-8]}, "share.sum"),
    ("an aggregate that is not the sum", {"aggregate": _one_more}, "share.sum"),
    ("an opening after a refusal", {"refusal": lambda x: x}, "helper.refusals"),
    ("anything after a refusal of all", {"refusal": change(round=0)}, "helper.refusals"),
    ("a refusal of another territory", {"refusal": change(territory="elsewhere.example")},
     "documents.signatures"),
    ("the wrong key destroyed", {"key_destroyed": change(helper=X)}, "helper.destroyed"),
    ("another campaign's key destroyed",
     {"key_destroyed": lambda k: dataclasses.replace(k, campaign=type(k.campaign).from_bytes(
         bytes(16)))}, "helper.destroyed"),
    ("a batch that names another share", {"batch": _lines(lambda line: dataclasses.replace(
        line, share=X))}, "partial.signatures"),
    ("a batch that names another seed", {"batch": _lines(lambda line: dataclasses.replace(
        line, seed=X))}, "partial.signatures"),
    ("a batch without a seed", {"batch": _lines(lambda line: dataclasses.replace(
        line, seed=None))}, "opening.batch"),
    ("a cohort of one operator's", {"enrolled1": change(operator="operator 0")},
     "partial.cohort"),
    ("a cohort too small without one operator",
     {"partial1": change(contributors=19), "partial0": change(contributors=10),
      "partial2": change(contributors=9)}, "partial.cohort"),
    ("noise of a worker's own", {"partial1": change(variances={"modes": "5"})}, "partial.noise"),
    ("more capsules than reported", {"batch": rebatch(capsules_rounded=90)}, "partial.cohort"),
    ("a partial left out", {"parts": lambda parts: parts[1:]}, "order.receipts"),
]  # fmt: skip


@pytest.mark.parametrize(("edits", "check"), [lie[1:] for lie in LIES], ids=[x[0] for x in LIES])
def test_a_lie_with_the_right_keys_is_found(
    edits: dict[str, Callable[[Any], Any]], check: str
) -> None:
    require_named(verdict_of(SharedBuilder(edits=edits)), check)


@pytest.mark.parametrize(
    ("name", "signer"),
    [
        ("helper_share", "orders"),
        ("leader_share", "helper"),
        ("helper_key", "orders"),
        ("batch_commitment", "helper"),
        ("key_destroyed", "orders"),
    ],
)
def test_a_document_signed_by_the_other_institution_is_found(name: str, signer: str) -> None:
    impostor = signed_by(SharedBuilder, name, lambda keys: getattr(keys, signer))
    assert verdict_of(impostor()).journal.failed == ("documents.signatures",)


def test_a_refusal_signed_by_the_leader_is_found() -> None:
    impostor = signed_by(SharedBuilder, "refusal", lambda keys: keys.orders)
    builder = impostor(edits={"refusal": lambda x: x})
    assert verdict_of(builder).journal.failed == ("documents.signatures",)


def test_a_copy_signed_again_by_other_keys_fails_under_the_original_policy(
    territory: SharedBuilder,
) -> None:
    copy = SharedBuilder(seed=b"somebody else")
    assert verdict_of(copy).ok
    verdict = audit(FilesEvidence(copy.files()), AuditPolicy(territory.pin))
    assert verdict.journal.failed == ("root.pin",)


def test_both_sums_lying_together_are_not_found_and_the_audit_says_so() -> None:
    """What nobody can see in files stands among what was not checked."""
    layout = SharedBuilder().layout

    def zero(role: Role) -> bytes:
        return Vector.zeros(layout, role).encode()

    class Together(SharedBuilder):
        def _sum(self, parts: Any, batch: Digest) -> Any:
            from jobs import aggregate

            _, shares = super()._sum(parts, batch)
            opened = aggregate.open_shares(
                self.vote.rules, zero(Role.SHARE), zero(Role.MASKS), rounds=1, contributors=79
            )
            return opened, shares

    verdict = verdict_of(
        Together(
            edits={
                "leader_values": lambda _: zero(Role.SHARE),
                "helper_values": lambda _: zero(Role.MASKS),
            }
        )
    )
    assert verdict.ok
    assert WITH_SHARES in verdict.journal.not_checked


class WithDropped(SharedBuilder):
    """Four workers report, the helper leaves the first one out and signs that it did."""

    contributing = 4

    def __init__(self, **edits: Callable[[Any], Any]) -> None:
        drops = {"parts": lambda parts: parts[1:], "accept_list": lambda x: x}
        super().__init__(edits={**drops, **edits})


def test_what_the_helper_left_out_is_explained_by_its_accept_list() -> None:
    """A consent that was withdrawn meanwhile once made an honest campaign red."""
    verdict = verdict_of(WithDropped())
    require_honest(verdict)
    assert found(verdict, "order.dropped") == "1 accept lists of the helper, 1 reports left out"


def test_an_accept_list_that_does_not_fit_is_found() -> None:
    require_list_counts(WithDropped, "accept_list", lambda keys: keys.orders)


def test_batch_and_shares_are_fetched_by_the_documents_that_name_them(tmp_path: Path) -> None:
    """An index that lists next to nothing hides nothing from who follows the log."""
    builder = SharedBuilder(restricted=False)
    fetched, verdict = downloaded(builder, tmp_path)
    require_honest(verdict)
    assert found(verdict, "share.sum") == "1 aggregates are the sum of their two shares"
    # The conclusion is for accredited auditors alone, roots are below policy/.
    names = ("conclusion", "root", "root2")
    assert set(fetched.missing) == {builder.kinds[name] for name in names}


def test_a_hundred_flipped_bits_are_each_found(territory: SharedBuilder) -> None:
    require_bits_count(territory, 100, SEED)
