from __future__ import annotations

import dataclasses
import hashlib
import json
import random
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protection import batch
from protection.batch import Batch, BatchMember, check_agreement
from protection.errors import (
    BatchDisagreement,
    BatchMalformed,
    BatchMixed,
    BatchRefused,
    ReportRepeated,
)
from protection.scope import Scope
from trust.documents.reporting import Partial
from trust.documents.rules import Protection
from trust.ids import CampaignId, Digest, ReportId, UnitId, WorkerId

SCOPE = Scope(
    territory="demo",
    campaign=CampaignId.from_bytes(bytes(16)),
    round=1,
    bundle=Digest.of(b"bundle"),
    plan=Digest.of(b"plan"),
    parameters=Digest.of(b"parameters"),
)


def member(number: int, **changes: object) -> BatchMember:
    name = number.to_bytes(16, "big")
    plain = BatchMember(
        scope=SCOPE,
        worker=WorkerId.from_bytes(name),
        report=ReportId.from_bytes(name),
        protection=Protection.SHARED,
        partial=Digest.of(b"partial" + name),
        share=Digest.of(b"share" + name),
        seed=Digest.of(b"seed" + name),
        contributors=13,
        capsules=4,
    )
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


MEMBERS = [member(number) for number in range(1, 6)]
BATCH = Batch.of(MEMBERS)


def test_the_order_tells_nothing_about_workers() -> None:
    crossed = [member(1, report=member(2).report), member(2, report=member(1).report)]
    made = Batch.of(crossed)
    assert [line.report for line in made.lines] == [member(1).report, member(2).report]
    assert Batch.decode(made.encode()) == made


@given(st.integers(1, 40), st.randoms())
def test_the_order_of_reports_makes_no_difference(count: int, order: random.Random) -> None:
    members = [member(number) for number in range(count)]
    made = Batch.of(members)
    order.shuffle(members)
    assert Batch.of(members).encode() == made.encode()
    assert Batch.decode(made.encode()) == made
    assert [line.report for line in made.lines] == sorted(m.report for m in members)
    assert made.reports == count


def test_the_bytes_are_these_and_no_others() -> None:
    def sha(text: bytes) -> str:
        return f"sha256:{hashlib.sha256(text).hexdigest()}"

    def line(number: int) -> str:
        name = bytes(15) + bytes([number])
        return (
            f'{{"partial":"{sha(b"partial" + name)}","report":"rep_{number:026d}",'
            f'"seed":"{sha(b"seed" + name)}","share":"{sha(b"share" + name)}"}}'
        )

    made = Batch.of([member(2, contributors=17), member(1)])
    assert made.encode().decode() == (
        '{"capsules_rounded":0,"contributors_rounded":30,"format":"cadastre/batch/v1","lines":['
        f'{line(1)},{line(2)}],"protection":"shared","reports":2,"scope":{{'
        f'"bundle":"{sha(b"bundle")}","campaign":"camp_{0:026d}",'
        f'"parameters":"{sha(b"parameters")}","plan":"{sha(b"plan")}","round":1,'
        '"territory":"demo"}}'
    )
    golden = "sha256:1954343849c12f477336bff3664eeaaaf30d0e1eb4aed0d68f1b36e32851a9ee"
    assert made.digest == golden


def test_no_worker_and_no_exact_count_is_in_the_bytes() -> None:
    text = BATCH.encode()
    assert (BATCH.contributors_rounded, BATCH.capsules_rounded) == (60, 20)
    for one in MEMBERS:
        assert one.worker.encode() not in text
    lines = json.loads(text)["lines"]
    assert all(set(line) == {"report", "partial", "share", "seed"} for line in lines)


@pytest.mark.parametrize("what", ["report", "worker", "partial", "share", "seed"])
def test_nothing_counts_twice(what: str) -> None:
    with pytest.raises(ReportRepeated, match=what):
        Batch.of([*MEMBERS, member(9, **{what: getattr(MEMBERS[2], what)})])
    with pytest.raises(ReportRepeated):
        Batch.of([*MEMBERS, MEMBERS[0]])


@pytest.mark.parametrize(
    ("what", "value"),
    [
        ("territory", "elsewhere"),
        ("campaign", CampaignId.from_bytes(b"\1" * 16)),
        ("round", 2),
        ("bundle", Digest.of(b"another")),
        ("plan", Digest.of(b"another")),
        ("parameters", Digest.of(b"another")),
    ],
)
def test_reports_of_two_rounds_are_not_one_batch(what: str, value: object) -> None:
    other = dataclasses.replace(SCOPE, **{what: value})
    with pytest.raises(BatchMixed, match=what):
        Batch.of([*MEMBERS, member(9, scope=other)])
    moved = Batch.of([dataclasses.replace(one, scope=other) for one in MEMBERS])
    assert moved.digest != BATCH.digest
    with pytest.raises(BatchDisagreement, match="scope"):
        check_agreement(BATCH, moved)


def test_clear_and_shared_are_not_one_batch() -> None:
    with pytest.raises(BatchMixed, match="protection"):
        Batch.of([*MEMBERS, member(9, protection=Protection.CLEAR, seed=None)])


def test_a_seed_goes_with_what_is_not_clear() -> None:
    clear = Batch.of([member(n, protection=Protection.CLEAR, seed=None) for n in range(3)])
    assert Batch.decode(clear.encode()) == clear
    for wrong in (member(1, seed=None), member(1, protection=Protection.CLEAR)):
        with pytest.raises(BatchRefused):
            Batch.of([wrong])


def test_nobody_is_no_batch_and_nothing_counts_less_than_nobody() -> None:
    for members in ([], [member(1, contributors=-1)], [member(1), member(2, capsules=-1)]):
        with pytest.raises(BatchRefused):
            Batch.of(members)


def test_claimed_counts_that_no_document_can_hold_are_refused_by_name() -> None:
    # Each fits 64 bits, their sum does not: the refusal must not come from the encoder.
    with pytest.raises(BatchRefused):
        Batch.of([member(n, contributors=2**63 - 1) for n in range(2)])
    with pytest.raises(BatchRefused):
        Batch.of([member(n, capsules=2**63 - 1) for n in range(2)])


def test_more_bytes_than_any_batch_has_are_not_parsed() -> None:
    with pytest.raises(BatchMalformed, match="limit"):
        Batch.decode(b"[" * (batch.MAXIMUM_BYTES + 1))


def test_every_digest_and_every_report_is_committed_to() -> None:
    digests = {BATCH.digest, Batch.of(MEMBERS[1:]).digest, Batch.of([*MEMBERS, member(9)]).digest}
    for what in ("partial", "share", "seed"):
        changed = dataclasses.replace(MEMBERS[2], **{what: Digest.of(b"swapped")})
        digests.add(Batch.of([*MEMBERS[:2], changed, *MEMBERS[3:]]).digest)
    digests.add(Batch.of([*MEMBERS[:4], member(5, report=member(99).report)]).digest)
    assert len(digests) == 7


def test_a_disagreement_names_what_differs() -> None:
    check_agreement(BATCH, Batch.of(reversed(MEMBERS)))
    with pytest.raises(BatchDisagreement) as dropped:
        check_agreement(BATCH, Batch.of(MEMBERS[:-1]))
    assert MEMBERS[-1].report in dropped.value.sentence
    assert "1 reports" in dropped.value.sentence
    swapped = dataclasses.replace(MEMBERS[0], share=MEMBERS[0].partial)
    with pytest.raises(BatchDisagreement, match=MEMBERS[0].report):
        check_agreement(BATCH, Batch.of([swapped, *MEMBERS[1:]]))
    with pytest.raises(BatchDisagreement, match="contributors_rounded"):
        check_agreement(BATCH, dataclasses.replace(BATCH, contributors_rounded=0))


def spelled(**changes: object) -> bytes:
    plain = json.loads(BATCH.encode()) | changes
    return json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()


LINES = json.loads(BATCH.encode())["lines"]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        BATCH.encode() + b"\n",
        BATCH.encode().replace(b":", b": ", 1),
        spelled(format="cadastre/batch/v2"),
        spelled(reports=4),
        spelled(lines=[], reports=0),
        spelled(lines=LINES[::-1]),
        spelled(lines=[LINES[0], LINES[0]], reports=2),
        spelled(lines=[LINES[0] | {"seed": None}], reports=1),
        spelled(protection="clear"),
        spelled(contributors_rounded=65),
        spelled(capsules_rounded=-10),
        spelled(more=1),
    ],
)
def test_another_spelling_is_no_batch(raw: bytes) -> None:
    with pytest.raises(BatchMalformed):
        Batch.decode(raw)


def test_two_workers_may_have_the_same_values_in_the_clear() -> None:
    same = [
        member(n, protection=Protection.CLEAR, seed=None, share=Digest.of(b"v")) for n in range(3)
    ]
    batch = Batch.of(same)
    assert Batch.decode(batch.encode()) == batch


def test_a_decoded_list_has_no_share_twice_either() -> None:
    for what in ("partial", "share", "seed"):
        twice = [LINES[0], LINES[1] | {what: LINES[0][what]}]
        with pytest.raises(ReportRepeated):
            Batch.decode(spelled(lines=twice, reports=2))


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_without_another_error(junk: bytes) -> None:
    with pytest.raises(BatchMalformed):
        Batch.decode(junk)


def test_a_member_is_what_its_partial_says() -> None:
    partial = Partial(
        territory=SCOPE.territory,
        campaign=SCOPE.campaign,
        round=SCOPE.round,
        unit=UnitId.from_bytes(bytes(16)),
        worker=MEMBERS[0].worker,
        report=MEMBERS[0].report,
        bundle=SCOPE.bundle,
        plan=SCOPE.plan,
        parameters=SCOPE.parameters,
        capsules=4,
        contributors=13,
        values=MEMBERS[0].share,
        protection=Protection.SHARED,
        variances={},
        rho="0.1",
        image=Digest.of(b"image"),
        level="L3",
        made_at=datetime(2026, 11, 22, tzinfo=UTC),
    )
    assert BatchMember.of(partial, MEMBERS[0].partial, MEMBERS[0].seed) == MEMBERS[0]
