"""What leader, helper, workers, trustees and thieves of disks try, and what it gets them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from custody_world import Story, World, denied
from leader import logged

from governance.batches.custody import dealing_of, epoch_of
from governance.batches.errors import HistoryUnreadable, NotLogged, StandingUnknown
from governance.batches.errors import Suspended as VoteSuspended
from governance.helper.masking import sum_masks
from governance.keyholder.errors import RequestMalformed, ShareRefused, SharesAwaited
from governance.keyholder.keyholder import Keyholder
from governance.trustee.errors import (
    AlreadyGiven,
    BatchTooSmall,
    NotMine,
    SummonsRefused,
    TrusteeStateRefused,
)
from protection import custody
from protection.ckks import residues, scheme
from protection.ckks.addition import ResidueSum
from protection.ckks.profile import PRODUIT, SOMME
from protection.ckks.residues import Residues
from protection.custody import Leg
from protection.errors import SeedRepeated
from protection.shamir import Share
from trust.documents import signed
from trust.documents.aggregation import AcceptList, Side
from trust.documents.custody import EpochRetired, ShareReturned
from trust.documents.governance import Suspended
from trust.documents.root import Duty
from trust.documents.rules import Mechanism, Protection
from trust.entropy import seeded
from trust.ids import CampaignId, Digest
from trust.keys import PrivateKey
from trust.log.entry import Kind
from wire.aggregation import CommitAnswer, LoggedDocument
from wire.custody import (
    Contribution,
    OpeningAnswer,
    OpeningRequest,
    Summons,
    SummonsRequest,
)


def prepared(world: World, **story: Any) -> Story:
    made = Story(world, world.keyholder(), **story)
    made.keyholder.prepare(made.preparation())
    return made


def asked(story: Story, request: OpeningRequest | None = None) -> OpeningRequest:
    """An opening that waits for trustees."""
    request = request or story.opening()
    with pytest.raises(SharesAwaited):
        story.keyholder.open(request)
    return request


def summons_of(story: Story, number: int, keyholder: Keyholder | None = None) -> Summons:
    trustee = story.world.trustee(number)
    wanted = (keyholder or story.keyholder).summons(
        SummonsRequest(Digest.of(trustee.certificate()))
    )
    (summons,) = wanted.openings
    return summons


# --- trustees ---


def test_two_of_five_shares_open_nothing(world: World) -> None:
    story = prepared(world)
    request = asked(story)
    assert story.contribute([0, 1]) == [1, 2]
    with pytest.raises(SharesAwaited, match="2 of 3"):
        story.keyholder.open(request)
    assert story.contribute([4]) == [3]
    story.values(story.keyholder.open(request))


def test_a_trustee_who_answers_twice_counts_once(world: World) -> None:
    story = prepared(world)
    request = asked(story)
    summons = summons_of(story, 0)
    first = world.trustee(0).contribute(summons)
    assert world.trustee(0).contribute(summons) == first  # byte for byte
    assert story.keyholder.contribute(first).contributed == 1
    assert story.keyholder.contribute(first).contributed == 1
    assert story.contribute([0]) == []  # no longer wanted
    with pytest.raises(SharesAwaited):
        story.keyholder.open(request)


def test_a_wrong_share_is_refused_and_its_place_is_named(world: World) -> None:
    story = prepared(world)
    request = asked(story)
    summons = summons_of(story, 0)
    honest = world.trustee(0).contribute(summons)
    keyholder = story.keyholder._office
    document, _ = keyholder.trustee(ShareReturned, honest.returned)
    session = story.keyholder._sessions._sessions[world.campaign, 1]
    wrong = custody.seal_share(
        Share(summons.place, bytes(32)),
        epoch_of(story.document),
        dealing_of(story.document),
        X25519PublicKey.from_public_bytes(session.request.document.key),
        trustee=str(Digest.of(world.trustee(0).certificate())),
        leg=Leg.CONTRIBUTED,
    )
    statement = replace(document.document, sealed=Digest.of(wrong))
    raw = signed.sign(statement, [world.trustee(0).key]).envelope.raw
    with pytest.raises(ShareRefused, match=f"place {summons.place}") as caught:
        story.keyholder.contribute(Contribution(raw, wrong))
    assert caught.value.ids == {"place": str(summons.place)}
    # The honest share, and those of others, still count.
    assert story.keyholder.contribute(honest).contributed == 1
    assert story.contribute([1, 2]) == [2, 3]
    story.values(story.keyholder.open(request))


def test_a_share_that_was_altered_or_sent_in_another_name_is_refused(world: World) -> None:
    story = prepared(world)
    asked(story)
    honest = world.trustee(0).contribute(summons_of(story, 0))
    flipped = bytearray(honest.sealed)
    flipped[50] ^= 1
    with pytest.raises(ShareRefused):
        story.keyholder.contribute(Contribution(honest.returned, bytes(flipped)))
    document, _ = story.keyholder._office.trustee(ShareReturned, honest.returned)
    for key, refusal in (
        (world.trustee(1).key, ShareRefused),
        (PrivateKey(bytes([7]) * 32), RequestMalformed),
    ):
        raw = signed.sign(document.document, [key]).envelope.raw
        with pytest.raises(refusal):
            story.keyholder.contribute(Contribution(raw, honest.sealed))
    for place in (0, 6, -1):
        changed = replace(document.document, place=place)
        raw = signed.sign(changed, [world.trustee(0).key]).envelope.raw
        with pytest.raises(ShareRefused):
            story.keyholder.contribute(Contribution(raw, honest.sealed))


def _twin(story: Story, name: str) -> Keyholder:
    """A keyholder restored from a backup of before this round."""
    source, target = story.world.folder / "keyholder", story.world.folder / name
    shutil.copytree(source, target)
    keyholder = story.world.keyholder(name, b"after the restoration")
    with keyholder._office.memory._transaction() as sql:
        for table in ("record", "report", "round"):
            sql.execute(f"DELETE FROM {table}")
    return keyholder


@pytest.mark.parametrize("other", ["sum", "batch"])
def test_a_trustee_gives_their_share_once_per_round(world: World, other: str) -> None:
    world.enrol("ville", 40)
    world.status()
    story = prepared(world, weights=(1, 2, 3, 4))
    batch = story.batch(story.reports)
    request = asked(story, story.opening(batch=batch))
    world.trustee(0).contribute(summons_of(story, 0))
    # A ciphertext of zeros added would be another draw of noise, if it were opened.
    zeros = story.encryptor.encrypt(np.zeros(SOMME.slots))
    total = residues.write(_added(residues.parse(request.sum, SOMME), zeros))

    def second() -> OpeningRequest:
        if other == "sum":
            return story.opening(total=total, batch=batch)
        return story.opening(story.reports[:3])

    backup = _twin(story, "backup")
    backup.prepare(story.preparation())
    assert denied(world, lambda: backup.open(second())) == "already-opened"  # the log tells
    # Where even the log shows a face without the first opening, the trustee remembers.
    del world.territory.log[_first(world, other) :]
    blind = _twin(story, "blind")
    blind.prepare(story.preparation())
    with pytest.raises(SharesAwaited):
        blind.open(second())
    summons = summons_of(story, 0, blind)
    with pytest.raises(NotLogged, match="two faces"):
        world.trustee(0).contribute(summons)
    with pytest.raises(NotLogged, match="two faces"):
        world.trustee(0).contribute(summons)  # nor at the second attempt
    world.restart_trustees()
    with pytest.raises(AlreadyGiven):
        world.trustee(0).contribute(summons)


def _first(world: World, other: str) -> int:
    kind = b" share " if other == "sum" else b" batch "
    return next(index for index, entry in enumerate(world.territory.log) if kind in entry)


def _added(left: Residues, right: Residues) -> Residues:
    total = ResidueSum(left.profile)
    total.add(left)
    total.add(right)
    return total.total()


def test_a_trustee_judges_for_themself(world: World) -> None:
    story = prepared(world)
    asked(story)
    honest = summons_of(story, 0)
    trustee = world.trustee(0)
    other = summons_of(story, 1)
    unproven = LoggedDocument(honest.batch.envelope, b"")
    for wrong, refusal in (
        (other, NotMine),
        (replace(honest, place=other.place), NotMine),
        (replace(honest, sealed=other.sealed), NotMine),
        (replace(honest, request=honest.epoch.envelope), SummonsRefused),
        (replace(honest, plan=honest.batch), SummonsRefused),
    ):
        with pytest.raises(refusal):
            trustee.contribute(wrong)
    for name in ("epoch", "authorisation", "plan", "batch", "leader"):
        exhibit: LoggedDocument = getattr(honest, name)
        hidden = replace(honest, **{name: LoggedDocument(exhibit.envelope, unproven.proof)})
        with pytest.raises(Exception, match="log") as caught:
            trustee.contribute(hidden)
        assert caught.value.code == "not-logged"  # type: ignore[attr-defined]
    world.status(suspensions=(Suspended(world.vote, "harmful"),))
    with pytest.raises(VoteSuspended):
        trustee.contribute(honest)
    assert trustee.status() == []
    world.clock.jump(8 * 86_400)
    with pytest.raises(SummonsRefused, match="time is over"):
        trustee.contribute(honest)


def test_a_trustee_without_a_fresh_status_gives_nothing(world: World) -> None:
    story = prepared(world)
    asked(story)
    summons = summons_of(story, 0)
    world.clock.jump(25 * 3600)
    with pytest.raises(StandingUnknown):
        world.trustee(0).contribute(summons)


def test_a_trustee_refuses_a_commitment_smaller_than_voted(world: World) -> None:
    story = prepared(world)
    asked(story)
    honest = summons_of(story, 0)
    small, _ = story.batch(story.reports, partials=2)
    session = story.keyholder._sessions._sessions[world.campaign, 1]
    assert session.request.document.batch
    with pytest.raises(BatchTooSmall):
        world.trustee(0).contribute(replace(honest, batch=logged(small)))


def test_a_stranger_is_no_trustee(world: World) -> None:
    stranger = replace(world.trustee(0, "stranger"), key=PrivateKey(bytes([9]) * 32))
    with pytest.raises(TrusteeStateRefused):
        stranger.certificate()
    story = prepared(world)
    asked(story)
    with pytest.raises(TrusteeStateRefused):
        world.trustee(0, "without a key").contribute(summons_of(story, 0))


def test_a_trustee_keeps_no_share_in_clear(world: World) -> None:
    story = prepared(world)
    asked(story)
    session = story.keyholder._sessions._sessions[world.campaign, 1]
    story.contribute([0, 1])
    folders = [world.folder / f"trustee{n}" for n in range(2)]
    for share in session.shares.values():
        for folder in folders:
            for path in folder.iterdir():
                assert share.body[:16] not in path.read_bytes()


# --- a keyholder that was restored or restarted ---


def test_a_restarted_keyholder_asks_the_trustees_again(world: World) -> None:
    story = prepared(world)
    request = asked(story)
    story.contribute([0, 1])
    old = story.keyholder
    story.keyholder = world.keyholder(entropy=b"second life")
    with pytest.raises(SharesAwaited, match="0 of 3"):
        story.keyholder.open(request)
    # What was sealed to the session that is gone is of no use.
    with pytest.raises(ShareRefused):
        story.keyholder.contribute(world.trustee(2).contribute(summons_of(story, 2, old)))
    assert story.contribute([0, 1, 2]) == [1, 2, 3]
    _, steps = story.values(story.keyholder.open(request))
    story.require_noised(steps, 6)


def test_a_keyholder_from_an_old_backup_repeats_the_same_draw(world: World) -> None:
    story = prepared(world)
    request = asked(story)
    story.contribute([0, 1, 2])
    answer = story.keyholder.open(request)
    old = _twin(story, "backup")
    old.prepare(story.preparation())
    with pytest.raises(SharesAwaited):
        old.open(request)
    story.contribute([2, 3, 4], old)  # other trustees even
    again = old.open(request)
    assert (again.opened, again.values) == (answer.opened, answer.values)


def test_a_keyholder_from_an_old_backup_does_not_open_a_second_batch(world: World) -> None:
    world.enrol("ville", 40)
    world.status()
    story = prepared(world, weights=(1, 2, 3, 4))
    asked(story)
    story.contribute([0, 1, 2])
    old = _twin(story, "backup")
    fewer = story.reports[:3]
    old.prepare(story.preparation(fewer))
    assert denied(world, lambda: old.open(story.opening(fewer))) == "already-opened"


def test_nothing_is_opened_while_the_log_withholds_an_entry(world: World) -> None:
    story = prepared(world)
    first = story.opening()
    name = Digest.of(first.batch.envelope).removeprefix("sha256:")
    again = story.opening()
    del world.objects[f"objects/sha256/{name[:2]}/{name}"]
    with pytest.raises(HistoryUnreadable):
        story.keyholder.open(again)


def test_a_second_batch_of_an_opened_round_is_refused(world: World) -> None:
    world.enrol("ville", 40)
    world.status()
    story = prepared(world, weights=(1, 2, 3, 4))
    request = asked(story)
    story.contribute([0, 1, 2])
    story.keyholder.open(request)
    second = story.opening(story.reports[:3])
    assert denied(world, lambda: story.keyholder.open(second)) == "already-opened"
    code = denied(world, lambda: story.keyholder.prepare(story.preparation(story.reports[:3])))
    assert code == "already-opened"


def test_a_round_may_only_be_opened_over_the_first_sums(world: World) -> None:
    story = prepared(world)
    batch = story.batch(story.reports)
    asked(story, story.opening(batch=batch))
    zeros = story.encryptor.encrypt(np.zeros(SOMME.slots))
    total = _added(residues.parse(story.total(story.reports), SOMME), zeros)
    again = story.opening(total=residues.write(total), batch=batch)
    assert denied(world, lambda: story.keyholder.open(again)) == "already-opened"


# --- forged ciphertexts: each retires the epoch, each looks the same ---


def faulty(story: Story, request: OpeningRequest) -> EpochRetired:
    """An opening that must retire the epoch; answers the notice."""
    world = story.world
    asked(story, request)
    story.contribute([0, 1, 2])
    assert denied(world, lambda: story.keyholder.open(request)) == "opening-implausible"
    epoch = story.keyholder._office.memory.epoch(world.campaign)
    assert epoch is not None
    assert epoch.retired is not None
    assert epoch.wrapped is None
    assert denied(world, lambda: story.keyholder.open(request)) == "epoch-retired"
    assert denied(world, lambda: world.keyholder().open(request)) == "epoch-retired"
    assert story.contribute([3, 4]) == []
    notice = world.territory.root.verify(EpochRetired, epoch.retired, Duty.KEYHOLDER).document
    assert notice.reason == "opening-implausible"
    return notice


def _key_extraction(size: int) -> Callable[[Residues], Residues]:
    def forge(honest: Residues) -> Residues:
        values = np.zeros_like(honest.values)
        values[1] = np.uint64(1 << size)
        return Residues.checked(honest.profile, values)

    return forge


@pytest.mark.parametrize("size", [36, 48, 58])
def test_a_worker_that_would_extract_the_key_retires_the_epoch(world: World, size: int) -> None:
    story = Story(world, world.keyholder())
    story.reports[1] = story.report(world.stations[1], world.steps(1), forge=_key_extraction(size))
    story.keyholder.prepare(story.preparation())
    notice = faulty(story, story.opening())
    assert notice.epoch == Digest.of(story.key)


def test_a_flipped_bit_retires_the_epoch(world: World) -> None:
    story = prepared(world)
    total = residues.parse(story.total(story.reports), SOMME)
    values = total.values.copy()
    values[0, 0, 77] ^= np.uint64(1 << 50)
    faulty(story, story.opening(total=residues.write(Residues.checked(SOMME, values))))


@pytest.mark.parametrize("wrong", ["missing", "repeated", "of another batch"])
def test_masks_that_are_not_of_this_batch_retire_the_epoch(world: World, wrong: str) -> None:
    story = prepared(world)
    seeds = [report.seed for report in story.reports]
    if wrong == "repeated":
        with pytest.raises(SeedRepeated):
            sum_masks(SOMME, [*seeds, seeds[0]])
    other = type(seeds[0]).draw(seeded(b"other"))
    given = {"missing": seeds[:2], "repeated": [*seeds, other], "of another batch": [other]}
    faulty(story, story.opening(blinding=sum_masks(SOMME, given[wrong])))


def test_a_leader_that_drops_a_report_gets_nothing(world: World) -> None:
    story = prepared(world)
    faulty(story, story.opening(total=story.total(story.reports[:2])))


def test_ciphertexts_of_another_epoch_retire_the_epoch(world: World) -> None:
    story = prepared(world)
    other = scheme.Encryptor(SOMME, scheme.generate(SOMME).public)
    mixed = _added(
        residues.parse(story.total(story.reports), SOMME), other.encrypt(np.ones(SOMME.slots))
    )
    faulty(story, story.opening(total=residues.write(mixed)))


def test_counts_that_the_claimed_contributors_cannot_make_retire_the_epoch(world: World) -> None:
    # 93 contributors of at most 4,582 steps each: 426,126 is the largest honest cell.
    story = prepared(world, weights=(1, 2, 426_200))
    faulty(story, story.opening())


# --- sums that are not even looked at ---


def refused(story: Story, request: OpeningRequest) -> str:
    """The refusal's code; the epoch goes on, and the honest opening still comes through."""
    return denied(story.world, lambda: story.keyholder.open(request))


def test_sums_of_another_shape_are_refused_and_the_epoch_goes_on(world: World) -> None:
    story = prepared(world)
    batch = story.batch(story.reports)
    honest = story.total(story.reports)
    big = np.frombuffer(honest, np.uint8).copy()
    big[200:208] = 255  # a residue that is not below q
    wide = np.zeros((2, 3, PRODUIT.degree), np.uint64)
    foreign = residues.write(Residues.checked(PRODUIT, wide))
    for total in (b"", honest[:-1], honest + b"\0", big.tobytes(), foreign):
        request = story.opening(total=total, batch=batch)
        assert refused(story, request) == "encrypted-sum-refused"
        # The log now holds that sum as the round's first: an honest one must come first.
        world.territory.log.pop()
    for blinding in (b"", bytes(8 * SOMME.degree - 1), b"\xff" * 8 * SOMME.degree):
        request = story.opening(blinding=blinding, batch=batch)
        assert refused(story, request) == "encrypted-sum-refused"
        world.territory.log.pop()
    story.keyholder = world.keyholder(entropy=b"fresh view of the log")
    asked(story, story.opening(batch=batch))
    epoch = story.keyholder._office.memory.epoch(world.campaign)
    assert epoch is not None
    assert epoch.retired is None


@pytest.mark.parametrize(
    "change",
    [
        {"side": Side.HELPER},
        {"batch": Digest.of(b"x")},
        {"plan": Digest.of(b"x")},
        {"parameters": Digest.of(b"x")},
        {"round": 2},
        {"campaign": CampaignId.draw(seeded(b"x"))},
        {"territory": "other.example"},
        {"values": Digest.of(b"x")},
        {"variances": {}},
        {"variances": {"moments": "7"}},
    ],
)
def test_a_sum_that_says_something_else(world: World, change: dict[str, Any]) -> None:
    story = prepared(world)
    batch = story.batch(story.reports)
    leader = story.opening(leader=change, batch=batch)
    assert refused(story, leader) == "encrypted-sum-refused"
    if change.get("side") is Side.HELPER:
        change = {"side": Side.LEADER}
    assert refused(story, story.opening(helper=change, batch=batch)) == "encrypted-sum-refused"


def test_a_leader_alone_cannot_speak_for_the_helper(world: World) -> None:
    story = prepared(world)
    request = story.opening()
    exhibit, _ = story.batch(story.reports)
    forged = story.share(exhibit, Side.LEADER, request.helper.values, side=Side.HELPER)
    request = replace(request, helper=CommitAnswer(forged, request.helper.values))
    assert refused(story, request) == "encrypted-sum-refused"


def test_a_sum_or_a_batch_that_is_not_logged(world: World) -> None:
    story = prepared(world)
    request = story.opening()
    for name in ("batch", "leader"):
        exhibit: LoggedDocument = getattr(request, name)
        hidden = replace(request, **{name: LoggedDocument(exhibit.envelope, b"")})
        assert refused(story, hidden) == "not-logged"


@pytest.mark.parametrize(
    "change",
    [
        {"partials": 2},
        {"contributors_rounded": 100},
        {"parameters": Digest.of(b"x")},
        {"plan": Digest.of(b"x")},
        {"helper": Digest.of(b"x")},
        {"batch": Digest.of(b"x")},
    ],
)
def test_a_commitment_that_says_something_else(world: World, change: dict[str, Any]) -> None:
    story = prepared(world)
    request = story.opening(batch=story.batch(story.reports, **change))
    assert refused(story, request) == "batch-differs"


def test_a_batch_with_a_report_that_was_not_accepted(world: World) -> None:
    world.enrol("ville", 40)
    world.status()
    story = Story(world, world.keyholder(), weights=(1, 2, 3, 4))
    story.keyholder.prepare(story.preparation(story.reports[:3]))
    assert refused(story, story.opening()) == "batch-differs"


def test_a_batch_that_the_helper_made_smaller_opens_while_it_is_large_enough(
    world: World,
) -> None:
    world.enrol("ville", 40)
    world.status()
    story = prepared(world, weights=(1, 2, 3, 4))
    request = asked(story, story.opening(story.reports[:3]))
    story.contribute([0, 1, 2])
    _, steps = story.values(story.keyholder.open(request))
    story.require_noised(steps, 6)


def test_a_batch_that_became_too_small_is_refused(world: World) -> None:
    story = prepared(world)
    assert refused(story, story.opening(story.reports[:2])) == "too-few-operators"


def test_a_suspension_before_the_opening(world: World) -> None:
    story = prepared(world)
    request = story.opening()
    world.status(suspensions=(Suspended(world.vote, "harmful"),))
    assert refused(story, request) == "authorisation-suspended"


# --- prepare ---


def test_a_batch_below_the_minimum(world: World) -> None:
    world.use(minimum_contributors=94, minimum_workers=3, minimum_operators=2)
    story = Story(world, world.keyholder())
    code = denied(world, lambda: story.keyholder.prepare(story.preparation()))
    assert code == "below-minimum"


def test_a_batch_above_the_admitted_maximum(world: World) -> None:
    world.use(maximum_contributors=92, minimum_workers=3, minimum_operators=2)
    story = Story(world, world.keyholder())
    code = denied(world, lambda: story.keyholder.prepare(story.preparation()))
    assert code == "above-maximum"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"capsules": 41}, "above-registry"),
        ({"contributors": 41}, "above-registry"),
        ({"parameters": Digest.of(b"x")}, "parameters-mixed"),
        ({"plan": Digest.of(b"x")}, "partial-mismatch"),
        ({"protection": Protection.SHARED}, "partial-mismatch"),
        ({"level": "L0"}, "partial-mismatch"),
    ],
)
def test_one_report_is_dropped_and_the_batch_goes_on(
    world: World, change: dict[str, Any], code: str
) -> None:
    world.enrol("ville", 40)
    world.status()
    story = Story(world, world.keyholder(), weights=(1, 2, 3, 4))
    story.reports[3] = story.report(world.stations[3], world.steps(1), **change)
    raw = story.keyholder.prepare(story.preparation())
    accept = world.territory.root.verify(AcceptList, raw, Duty.KEYHOLDER).document
    assert len(accept.accepted) == 3
    assert [item.code for item in accept.dropped] == [code]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"epoch": None}, "epoch-mismatch"),
        ({"epoch": Digest.of(b"x")}, "epoch-mismatch"),
        ({"helper": None}, "epoch-mismatch"),
        ({"bundle": Digest.of(b"x")}, "plan-mismatch"),
        ({"round": 2}, "plan-mismatch"),
    ],
)
def test_a_plan_for_another_epoch_or_vote(world: World, change: dict[str, Any], code: str) -> None:
    story = Story(world, world.keyholder())
    story.plan = world.plan_for(story, **change)
    question = story.preparation([])
    assert denied(world, lambda: story.keyholder.prepare(question)) == code


def test_a_plan_that_was_logged_before_its_key(world: World) -> None:
    story = Story(world, world.keyholder())
    late = world.log_raw(Kind.EPOCH_KEY, story.key)
    request = story.preparation(epoch=logged(late))
    assert denied(world, lambda: story.keyholder.prepare(request)) == "epoch-mismatch"


def test_an_unlogged_key_or_plan(world: World) -> None:
    story = Story(world, world.keyholder())
    honest = story.preparation()
    for name in ("epoch", "plan"):
        exhibit: LoggedDocument = getattr(honest, name)
        hidden = story.preparation(**{name: LoggedDocument(exhibit.envelope, b"")})
        code = denied(world, lambda h=hidden: story.keyholder.prepare(h))  # type: ignore[misc]
        assert code == "not-logged"


def test_a_list_that_the_leader_did_not_sign_settles_no_round(world: World) -> None:
    # Plans, proofs and enrolments are public; whoever has partials of its own could else come
    # before the leader, or leave one out on its way.
    story = Story(world, world.keyholder())
    honest = story.preparation()
    for forged in (
        replace(honest, partials=honest.partials[1:]),
        replace(honest, enrolments=honest.enrolments[1:]),
        replace(honest, question=honest.plan.envelope),
        replace(honest, question=b"{}"),
    ):
        with pytest.raises(RequestMalformed):
            story.keyholder.prepare(forged)
    assert story.keyholder.prepare(honest)


def test_a_vote_for_another_protection_or_too_large_a_sum(world: World) -> None:
    for changes in (
        {"protection": Protection.SHARED},
        {"protection": Protection.CLEAR},
        {"maximum_contributors": 1_000_000},
        {"mechanism": Mechanism.NONE},
    ):
        world.use(**changes)
        code = denied(world, lambda: world.keyholder().engage(world.engagement()))
        assert code == "not-authorised"


def test_only_the_leader_is_answered(world: World) -> None:
    keyholder = world.keyholder()
    honest = world.territory.orders_key
    world.territory.orders_key = PrivateKey(bytes([9]) * 32)
    forged = world.engagement()
    world.territory.orders_key = honest
    with pytest.raises(RequestMalformed):
        keyholder.engage(forged)
    with pytest.raises(RequestMalformed):
        keyholder.engage(replace(forged, engagement=b"{}"))


def test_an_answer_is_the_answer_to_exactly_its_question(world: World) -> None:
    story = prepared(world)
    request = asked(story)
    story.contribute([0, 1, 2])
    answer: OpeningAnswer = story.keyholder.open(request)
    fresher = replace(request, batch=LoggedDocument(request.batch.envelope, b"another proof"))
    assert story.keyholder.open(fresher) == answer  # answered already: no proof is needed
    world.clock.jump(int(timedelta(days=40).total_seconds()))
    story.keyholder.expire()
    assert story.keyholder.open(request) == answer


def test_an_epoch_whose_time_is_over_opens_nothing_even_before_anybody_swept(
    world: World,
) -> None:
    story = prepared(world)
    request = asked(story)
    story.contribute([0, 1, 2])
    world.clock.jump(31 * 86_400)
    assert denied(world, lambda: story.keyholder.open(request)) == "epoch-retired"
    epoch = story.keyholder._office.memory.epoch(world.campaign)
    assert epoch is not None
    assert epoch.wrapped is None


def test_a_suspension_while_the_trustees_come_together(world: World) -> None:
    story = prepared(world)
    request = asked(story)
    story.contribute([0, 1, 2])
    world.status(suspensions=(Suspended(world.vote, "harmful"),))
    assert denied(world, lambda: story.keyholder.open(request)) == "authorisation-suspended"


def test_an_epoch_retired_by_the_command_line_while_shares_are_here(world: World) -> None:
    story = prepared(world)
    request = asked(story)
    story.contribute([0, 1, 2])
    world.keyholder(entropy=b"command line").retire(world.campaign)
    assert denied(world, lambda: story.keyholder.open(request)) == "epoch-retired"
    story.keyholder.expire()
    assert story.keyholder._sessions.campaigns() == set()


def test_a_consent_withdrawn_after_the_batch_was_fixed_does_not_stop_its_opening(
    world: World,
) -> None:
    # A consent that is withdrawn acts until the batch is fixed; trustees may take days.
    story = prepared(world)
    request = asked(story)
    world.stations[0].contributors -= 1
    world.status()
    story.contribute([0, 1, 2])
    story.values(story.keyholder.open(request))
