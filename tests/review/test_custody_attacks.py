"""Attacks on `encrypted`: leader, workers, trustees and thieves of disks against key and noise."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import sys
import threading
import urllib.request
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

sys.path.insert(0, str(Path(__file__).parent.parent / "policy"))
sys.path.insert(0, str(Path(__file__).parent.parent / "helper"))
sys.path.insert(0, str(Path(__file__).parent.parent / "keyholder"))

from custody_world import Story, TrustedTerritory, World, denied
from leader import Leader, logged, shared_bundle
from worker_territory import Territory

from durable.keyfile import write_key
from governance.batches.custody import dealing_of, epoch_of
from governance.batches.errors import AlreadyOpened, HistoryUnreadable
from governance.batches.history import CHECKPOINT
from governance.batches.votes import PREPARED_LIFE
from governance.helper.masking import sum_masks
from governance.helper.office import Denied as Refused
from governance.keyholder import main, opening
from governance.keyholder.epochs import DRAFT_LIFE
from governance.keyholder.errors import CeremonyAwaited, ShareRefused, SharesAwaited
from governance.keyholder.keyholder import Keyholder
from governance.keyholder.office import Denied
from governance.keyholder.server import KeyholderServer
from governance.trustee import link
from governance.trustee import main as trustees
from governance.trustee.errors import KeyholderUnreachable, SummonsRefused
from protection import custody
from protection.ckks import residues
from protection.ckks.blobs import parse_masks
from protection.ckks.profile import SOMME
from protection.ckks.residues import Residues
from protection.custody import Leg
from protection.shamir import Share
from trust import schema
from trust.documents import signed
from trust.documents.aggregation import Side
from trust.documents.custody import ShareRequest, ShareReturned
from trust.documents.root import Duty
from trust.entropy import seeded
from trust.ids import AuthorisationId, CampaignId, Digest
from trust.log.entry import Kind
from wire.custody import (
    PREPARE,
    Contribution,
    ContributionAnswer,
    OpeningRequest,
    Summons,
    SummonsRequest,
)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Any:
    for module in ("tenseal", "backports.zstd"):
        pytest.importorskip(module, reason=f"no {module}: pip install cadastre[encrypted]")
    return shared_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def world(bundle: Any, tmp_path: Path) -> World:
    world = World(TrustedTerritory(), bundle, tmp_path)
    world.enrol("ville", 40)
    world.status()
    return world


def prepared(world: World) -> Story:
    story = Story(world, world.keyholder(), weights=(1, 2, 3, 4))
    story.keyholder.prepare(story.preparation())
    return story


def awaiting(story: Story, request: OpeningRequest | None = None) -> OpeningRequest:
    request = request or story.opening()
    with pytest.raises(SharesAwaited):
        story.keyholder.open(request)
    return request


def backup(world: World, name: str = "backup") -> str:
    """The keyholder's folder as it is now, under another name."""
    shutil.copytree(world.folder / "keyholder", world.folder / name)
    return name


def fresh_status(leader: Leader) -> None:
    now = leader.clock.now()
    leader.status(issued_at=now, expires_at=now + timedelta(hours=24))


def summons_of(world: World, keyholder: Keyholder, number: int) -> Summons:
    trustee = world.trustee(number)
    (summons,) = keyholder.summons(SummonsRequest(Digest.of(trustee.certificate()))).openings
    return summons


# --- a second batch, past a keyholder or a trustee that forgot the first ---


def test_a_key_that_is_logged_again_does_not_hide_the_first_batch(world: World) -> None:
    # "First of its round" is looked for from the epoch's key on. A leader can log key and plan
    # again behind the first batch, and show those proofs to a keyholder from a backup.
    story = Story(world, world.keyholder(), weights=(1, 2, 3, 4))
    old = backup(world)
    story.keyholder.prepare(story.preparation())
    awaiting(story)
    story.contribute([0, 1, 2])
    later = world.log_raw(Kind.EPOCH_KEY, story.key)
    story.plan = world.log_raw(Kind.PLAN, story.plan.envelope)
    restored = world.keyholder(old, b"restored")
    fewer = story.reports[:3]
    restored.prepare(story.preparation(fewer, epoch=logged(later)))
    assert denied(world, lambda: restored.open(story.opening(fewer))) == "already-opened"


def test_a_trustee_looks_for_the_first_batch_from_the_keys_first_place_on(world: World) -> None:
    # Which proofs a summons shows is for keyholder and leader to choose; a trustee restored from
    # a backup does not remember what the share was given for.
    story = prepared(world)
    awaiting(story)
    shutil.copytree(world.folder / "trustee0", world.folder / "trustee0restored")
    honest = summons_of(world, story.keyholder, 0)
    world.trustee(0).contribute(honest)
    second = story.opening(story.reports[:3])
    later = world.log_raw(Kind.EPOCH_KEY, story.key)
    batch, lines = story.batch(story.reports[:3])
    leader = world.log_raw(Kind.SHARE, story.share(batch, Side.LEADER, second.sum))
    root, territory = world.territory.root, world.territory
    asked = root.verify(ShareRequest, honest.request, Duty.KEYHOLDER).document
    asked = replace(asked, batch=lines.digest, sum=Digest.of(second.sum))
    request = signed.sign(asked, [territory.keyholder_key]).envelope.raw
    shown = replace(
        honest, epoch=logged(later), batch=logged(batch), leader=logged(leader), request=request
    )
    with pytest.raises(AlreadyOpened):
        world.trustee(0, "restored").contribute(shown)


# --- keyholder and helper from a backup: what they said is gone stays gone ---


def test_a_restored_keyholder_reads_in_the_log_that_its_epoch_was_retired(world: World) -> None:
    story = prepared(world)
    request = story.opening()
    old = backup(world)
    world.log_raw(Kind.EPOCH_RETIRED, story.keyholder.end(world.ended_epoch()))
    restored = world.keyholder(old, b"restored")
    for question in (
        lambda: restored.engage(world.engagement()),
        lambda: restored.prepare(story.preparation(story.reports[:3])),
        lambda: restored.open(request),
    ):
        # Each is the first question to a keyholder that was restored once more.
        assert denied(world, question) in {"epoch-retired", "batch-differs"}
    assert denied(world, lambda: restored.open(request)) == "epoch-retired"
    epoch = restored._office.memory.epoch(world.campaign)
    assert epoch is not None
    assert epoch.wrapped is None  # and what a backup brought back is destroyed again


def test_a_restored_helper_reads_in_the_log_that_its_key_was_destroyed(
    bundle: Any, tmp_path: Path
) -> None:
    leader = Leader(Territory(), bundle, tmp_path)
    helper = leader.helper()
    plan = leader.plan(helper.engage(leader.engagement()))
    reports = [leader.report(plan, s, leader.steps(1))[0] for s in leader.stations]
    helper.prepare(leader.preparation(plan, reports))
    commitment = leader.commitment(plan, reports)
    for name in ("engage", "prepare", "commit"):
        shutil.copytree(tmp_path / "helper", tmp_path / name)
    leader.log_raw(Kind.KEY_DESTROYED, helper.end(leader.ended()))
    for name, question in (
        ("engage", leader.engagement()),
        ("prepare", leader.preparation(leader.plan(leader.certificate, round=2), reports)),
        ("commit", commitment),
    ):
        restored = leader.helper(name, b"restored")
        with pytest.raises(Refused) as caught:
            getattr(restored, name)(question)
        assert caught.value.problem.code == "helper-key-destroyed"
        entry = restored._campaigns._office.memory.campaign(leader.campaign)
        assert entry is not None
        assert entry.secret is None


def test_nothing_is_answered_while_the_log_does_not_say_whether_the_key_lives(
    world: World,
) -> None:
    story = Story(world, world.keyholder(), weights=(1, 2, 3, 4))
    question = story.preparation()
    world.hidden.add(CHECKPOINT)
    with pytest.raises(HistoryUnreadable):
        story.keyholder.prepare(question)
    world.hidden.clear()
    assert story.keyholder.prepare(question)


def test_a_keyholder_from_before_the_ceremony_makes_no_second_key(world: World) -> None:
    keyholder = world.keyholder()
    with pytest.raises(CeremonyAwaited):
        keyholder.engage(world.engagement())
    old = backup(world)
    Story(world, keyholder)
    restored = world.keyholder(old, b"restored")
    code = denied(world, lambda: restored.ceremony(world.campaign, world.trustees()))
    assert code == "epoch-elsewhere"
    assert restored._office.memory.epoch(world.campaign) is None


# --- a batch that a leader keeps in its drawer ---


def test_a_batch_that_comes_long_after_its_consents_were_counted_is_refused(
    bundle: Any, tmp_path: Path
) -> None:
    leader = Leader(Territory(), bundle, tmp_path)
    helper = leader.helper()
    plan = leader.plan(helper.engage(leader.engagement()))
    reports = [leader.report(plan, s, leader.steps(1))[0] for s in leader.stations]
    helper.prepare(leader.preparation(plan, reports))
    commitment = leader.commitment(plan, reports)
    leader.clock.jump(int(PREPARED_LIFE.total_seconds()) + 1)
    with pytest.raises(Refused) as caught:
        helper.commit(commitment)
    assert caught.value.problem.code == "batch-expired"
    leader.clock.jump(-3600)
    fresh_status(leader)
    answer = helper.commit(commitment)
    leader.clock.jump(7200)
    assert helper.commit(commitment) == answer  # given already: it is noised


def test_an_opening_that_is_asked_long_after_consents_were_counted_is_refused(
    world: World,
) -> None:
    story = prepared(world)
    request = story.opening()
    world.clock.jump(int(PREPARED_LIFE.total_seconds()) + 1)
    assert denied(world, lambda: story.keyholder.open(request)) == "batch-expired"
    world.clock.jump(-3600)
    fresh_status(world)
    awaiting(story, request)
    # Asked in time; people may take theirs.
    world.clock.jump(7200)
    awaiting(story, request)


# --- keys that should be gone from the keyholder's disk ---


def pieces_of(story: Story) -> list[bytes]:
    """The wrapped key, cut small because it lies across pages, and the sealed shares."""
    memory = story.keyholder._office.memory
    epoch = memory.epoch(story.world.campaign)
    assert epoch is not None
    assert epoch.wrapped is not None
    sealed = [item.sealed or b"" for item in memory.entrusted(story.world.campaign)]
    return [epoch.wrapped[at : at + 32] for at in range(0, len(epoch.wrapped), 999)] + sealed


def traces(folder: Path, pieces: list[bytes]) -> int:
    files = [path.read_bytes() for path in folder.iterdir()]
    return sum(piece in raw for piece in pieces for raw in files)


def test_a_retired_key_leaves_the_write_ahead_log_once_nobody_reads(world: World) -> None:
    story = Story(world, world.keyholder(), weights=(1, 2, 3, 4))
    pieces, folder = pieces_of(story), world.folder / "keyholder"
    with sqlite3.connect(folder / "keyholder.sqlite", isolation_level=None) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM campaign").fetchone()
        story.keyholder.retire(world.campaign)
        assert traces(folder, pieces)  # the reader's snapshot needs those pages
        shutil.copytree(folder, world.folder / "crashed")
        reader.execute("COMMIT")
    reader.close()
    story.keyholder.expire()
    assert not traces(folder, pieces)
    # And where the power failed meanwhile, they go at the next start.
    assert traces(world.folder / "crashed", pieces)
    world.keyholder("crashed")
    assert not traces(world.folder / "crashed", pieces)


def test_the_epochs_of_many_campaigns_leave_no_trace_in_pages_that_were_split(
    world: World,
) -> None:
    keyholder, trustees = world.keyholder(), world.trustees()
    pieces: list[bytes] = []
    campaigns = [CampaignId.draw(seeded(b"campaign %d" % number)) for number in range(12)]
    for world.campaign in campaigns:
        with pytest.raises(CeremonyAwaited):
            keyholder.engage(world.engagement())
        keyholder.ceremony(world.campaign, trustees)
        memory = keyholder._office.memory
        pieces += [item.sealed or b"" for item in memory.entrusted(world.campaign)]
    assert traces(world.folder / "keyholder", pieces)
    for campaign in campaigns:
        keyholder.retire(campaign)
    assert not traces(world.folder / "keyholder", pieces)


def test_what_ended_while_nothing_ran_goes_before_the_first_question(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = Story(world, world.keyholder(), weights=(1, 2, 3, 4))
    pieces, folder = pieces_of(story), world.folder / "keyholder"
    write_key(folder / "keyholder.key", world.territory.keyholder_key)
    root_file = world.folder / "root.json"
    root_file.write_bytes(world.territory.raw_root)
    world.clock.jump(31 * 86_400)
    monkeypatch.setattr(main, "SystemClock", lambda: world.clock)
    monkeypatch.setattr(main, "harden", lambda: None)  # not of the tests' own process
    monkeypatch.setattr(main, "until_stopped", lambda server, _: server.server_close())
    assert traces(folder, pieces)
    main.serve(folder, "127.0.0.1:0", root_file, "http://127.0.0.1:1")
    assert not traces(folder, pieces)


def test_what_the_command_line_retires_during_an_opening_is_not_opened(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = prepared(world)
    request = awaiting(story)
    story.contribute([0, 1, 2])
    decrypt = opening.open_sums

    def meanwhile(*arguments: Any, **named: Any) -> bytes:
        values = decrypt(*arguments, **named)
        world.keyholder(entropy=b"command line").retire(world.campaign)
        return values

    monkeypatch.setattr(opening, "open_sums", meanwhile)
    assert denied(world, lambda: story.keyholder.open(request)) == "epoch-retired"
    known = story.keyholder._office.memory.round(world.campaign, 1)
    assert known is not None
    assert known.values is None


@pytest.mark.parametrize("whose", ["keyholder", "helper"])
def test_a_site_that_drips_does_not_keep_a_key_past_its_time(
    world: World, bundle: Any, tmp_path: Path, whose: str
) -> None:
    # The scheduler serves the log and asks the questions: it can make one take for ever.
    held, asked = threading.Event(), threading.Event()
    leader: Leader = world
    if whose == "keyholder":
        story = Story(world, world.keyholder(), weights=(1, 2, 3, 4))
        opener: Any = story.keyholder
        question: Any = story.preparation()
    else:
        leader = Leader(Territory(), bundle, tmp_path / "shared")
        opener = leader.helper()
        plan = leader.plan(opener.engage(leader.engagement()))
        reports = [leader.report(plan, s, leader.steps(1))[0] for s in leader.stations]
        question = leader.preparation(plan, reports)
    history = (opener._office if whose == "keyholder" else opener._rounds._office).history
    fetch = history._fetch

    def drip(path: str) -> bytes | None:
        asked.set()
        held.wait(60)
        found: bytes | None = fetch(path)
        return found

    history._fetch = drip

    def ask() -> None:
        with contextlib.suppress(Exception):
            opener.prepare(question)

    asking = threading.Thread(target=ask)
    asking.start()
    assert asked.wait(60)
    leader.clock.jump(31 * 86_400)
    expiring = threading.Thread(target=opener.expire)
    expiring.start()
    expiring.join(20)
    try:
        assert not expiring.is_alive()
        memory = (opener._office if whose == "keyholder" else opener._rounds._office).memory
        assert memory.expired(leader.clock.now()) == []
    finally:
        held.set()
        expiring.join()
        asking.join()


# --- campaigns that ended before they had a key ---


def test_a_draft_that_ended_before_its_ceremony_waits_for_none(world: World) -> None:
    keyholder = world.keyholder()
    memory = keyholder._office.memory
    with pytest.raises(CeremonyAwaited):
        keyholder.engage(world.engagement())
    assert memory.awaiting() == [world.campaign]
    world.certificate = b""
    assert denied(world, lambda: keyholder.end(world.ended_epoch())) == "epoch-unknown"
    assert memory.awaiting() == []
    code = denied(world, lambda: keyholder.ceremony(world.campaign, world.trustees()))
    assert code == "epoch-unknown"  # no key is made for nobody


def test_a_draft_that_nobody_speaks_of_any_more_is_forgotten(world: World) -> None:
    keyholder = world.keyholder()
    memory = keyholder._office.memory
    with pytest.raises(CeremonyAwaited):
        keyholder.engage(world.engagement())
    other = World(world.territory, world.bundle, world.folder)
    world.clock.jump(int(DRAFT_LIFE.total_seconds()) - 1)
    keyholder.expire()
    assert memory.awaiting() == [world.campaign]
    world.clock.jump(2)
    keyholder.expire()
    assert memory.awaiting() == []
    # One that has its key lives as long as that.
    story = Story(other, other.keyholder("other"))
    other.clock.jump(int(DRAFT_LIFE.total_seconds()) + 1)
    story.keyholder.expire()
    assert story.keyholder._office.memory.epoch(other.campaign) is not None


# --- stale faces of the log, and trustees who read it for themselves ---


def test_a_site_with_a_stale_checkpoint_does_not_hide_a_retirement(world: World) -> None:
    story = prepared(world)
    old = backup(world)
    stale = world.territory.checkpoint()
    world.log_raw(Kind.EPOCH_RETIRED, story.keyholder.end(world.ended_epoch()))
    restored = world.keyholder(old, b"restored")
    fetch = restored._office.history._fetch
    restored._office.history._fetch = lambda path: stale if path == CHECKPOINT else fetch(path)
    # The batch, which must be proven, is logged behind the notice.
    assert denied(world, lambda: restored.open(story.opening())) == "epoch-retired"


def test_a_trustee_gives_no_share_of_an_epoch_that_the_log_says_is_retired(world: World) -> None:
    story = prepared(world)
    old = backup(world)
    world.log_raw(Kind.EPOCH_RETIRED, story.keyholder.end(world.ended_epoch()))
    # A keyholder that was restored and does not read what it said.
    restored = world.keyholder(old, b"restored")
    before = len(world.territory.log)
    notice = world.territory.log.pop()
    awaiting(told_to(story, restored))
    assert len(world.territory.log) > before
    world.territory.log.append(notice)
    summons = summons_of(world, restored, 0)
    with pytest.raises(SummonsRefused, match="retired"):
        world.trustee(0).contribute(summons)


def told_to(story: Story, keyholder: Keyholder) -> Story:
    """The same campaign, told to another keyholder."""
    other = Story.__new__(Story)
    other.__dict__ = {**story.__dict__, "keyholder": keyholder}
    return other


@pytest.mark.parametrize(
    "change",
    [
        {"sealed": ()},
        {"shares": ()},
        {"threshold": 256},
        {"threshold": 6},
    ],
)
def test_an_epoch_that_does_not_hold_together_is_refused_in_words(
    world: World, change: dict[str, Any]
) -> None:
    story = prepared(world)
    awaiting(story)
    summons = summons_of(world, story.keyholder, 0)
    forged = replace(story.document, **change)
    raw = signed.sign(forged, [world.territory.keyholder_key]).envelope.raw
    with pytest.raises(SummonsRefused):
        world.trustee(0).contribute(
            replace(summons, epoch=logged(world.log_raw(Kind.EPOCH_KEY, raw)))
        )


def test_one_opening_that_is_not_taken_does_not_stop_a_trustees_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = prepared(world)
    awaiting(story)
    trustee, summons = world.trustee(0), summons_of(world, story.keyholder, 0)
    answers = [KeyholderUnreachable("no opening waits for this share"), None]

    def give(_: str, contribution: Contribution) -> ContributionAnswer:
        refusal = answers.pop(0)
        if refusal is not None:
            raise refusal
        return story.keyholder.contribute(contribution)

    monkeypatch.setattr(trustees, "open_trustee", lambda *_: contextlib.nullcontext(trustee))
    monkeypatch.setattr(link, "wanted", lambda *_: (summons, summons))
    monkeypatch.setattr(link, "give", give)
    root = world.folder / "root.json"
    root.write_bytes(world.territory.raw_root)
    first, second = trustees.contribute(world.folder, root, "http://s", "http://k")
    assert isinstance(first.refusal, KeyholderUnreachable)
    assert (second.contributed, second.refusal) == (1, None)


# --- shares that are somebody else's ---


def contributed(story: Story, number: int, share: Share, **said: Any) -> Contribution:
    """`share` as trustee `number` would give it in the opening that waits."""
    world, document = story.world, story.document
    session = story.keyholder._sessions._sessions[world.campaign, 1]
    trustee = world.trustee(number)
    mine = Digest.of(trustee.certificate())
    sealed = custody.seal_share(
        share,
        epoch_of(document),
        dealing_of(document),
        X25519PublicKey.from_public_bytes(session.request.document.key),
        trustee=str(mine),
        leg=Leg.CONTRIBUTED,
    )
    asked = session.request.document
    statement = ShareReturned(
        territory=asked.territory,
        campaign=asked.campaign,
        round=asked.round,
        epoch=asked.epoch,
        batch=asked.batch,
        request=session.request.digest,
        place=document.trustees.index(mine) + 1,
        sealed=Digest.of(sealed),
        returned_at=asked.asked_at,
    )
    raw = signed.sign(replace(statement, **said), [trustee.key]).envelope.raw
    return Contribution(raw, sealed)


def own_share(story: Story, number: int) -> Share:
    """A trustee's share in clear, taken out outside every rule."""
    world, document = story.world, story.document
    identity = world.trustee(number).memory.identity()
    assert identity is not None
    mine = Digest.of(identity.certificate)
    entrusted = story.keyholder._office.memory.entrusted(world.campaign)
    return custody.open_share(
        entrusted[document.trustees.index(mine)].sealed or b"",
        epoch_of(document),
        dealing_of(document),
        X25519PrivateKey.from_private_bytes(identity.secret),
        trustee=mine,
        leg=Leg.ENTRUSTED,
    )


def test_a_share_that_is_lent_to_another_trustee_counts_for_nobody(world: World) -> None:
    # Three trustees must act: one who hands theirs to a friend has not acted.
    story = prepared(world)
    awaiting(story)
    assert story.contribute([0]) == [1]
    lent = own_share(story, 1)
    place = lent.place
    for contribution in (
        contributed(story, 0, lent),
        contributed(story, 2, lent),
        contributed(story, 2, lent, place=place),
    ):
        with pytest.raises(ShareRefused):
            story.keyholder.contribute(contribution)
    session = story.keyholder._sessions._sessions[world.campaign, 1]
    assert len(session.shares) == 1


def test_a_share_of_another_epoch_is_refused_and_its_place_is_named(world: World) -> None:
    story = prepared(world)
    awaiting(story)
    first = world.campaign
    world.campaign = CampaignId.draw(seeded(b"another campaign"))
    other = Story(world, story.keyholder, weights=(1, 2, 3, 4))
    foreign = own_share(other, 0)
    world.campaign = first
    with pytest.raises(ShareRefused, match="place") as caught:
        story.keyholder.contribute(contributed(story, 0, foreign))
    assert caught.value.ids
    other_epoch = {"epoch": Digest.of(other.key)}
    honest = own_share(story, 0)
    with pytest.raises(ShareRefused):
        story.keyholder.contribute(contributed(story, 0, honest, **other_epoch))
    assert story.keyholder.contribute(contributed(story, 0, honest)).contributed == 1


# --- a leader's sums, and its engagements ---


@pytest.mark.parametrize("shape", ["no key part", "nothing at all", "the mask alone"])
def test_a_sum_without_a_key_part_is_one_more_refusal(world: World, shape: str) -> None:
    # SEAL calls them transparent and some of its calls throw: whatever it does, one refusal.
    story = prepared(world)
    honest = residues.parse(story.total(story.reports), SOMME).values.copy()
    blinding = parse_masks(sum_masks(SOMME, [r.seed for r in story.reports]), SOMME).values
    honest[1] = 0
    if shape != "no key part":
        honest[0] = blinding[0]
    if shape == "the mask alone":
        honest[1, 0, 0] = 1
    request = story.opening(total=residues.write(Residues.checked(SOMME, honest)))
    awaiting(story, request)
    story.contribute([0, 1, 2])
    code = None
    try:
        # What decrypts to zeros without any key tells nothing but the noise.
        _, steps = story.values(story.keyholder.open(request))
        story.require_noised(steps, 0)
    except Denied as refused:
        code = refused.problem.code
    assert code in {None, "opening-implausible"}
    epoch = story.keyholder._office.memory.epoch(world.campaign)
    assert epoch is not None
    assert (epoch.retired is None) == (code is None)


def test_a_campaign_is_not_engaged_for_another_bundle(world: World) -> None:
    story = Story(world, world.keyholder(), weights=(1, 2, 3, 4))
    for change in (
        {"bundle": Digest.of(b"another")},
        {"authorisation": AuthorisationId.draw(seeded(b"another"))},
    ):
        question = world.engagement(**change)
        ask = partial(story.keyholder.engage, question)
        assert denied(world, ask) == "not-authorised"


def test_a_full_disk_before_the_answer_answers_nothing_and_draws_nothing_again(
    world: World,
) -> None:
    story = prepared(world)
    request = awaiting(story)
    twin = world.keyholder(backup(world), b"twin")
    story.contribute([0, 1, 2])
    with story.keyholder._office.memory._transaction() as sql:
        sql.execute(
            "CREATE TRIGGER full BEFORE INSERT ON record BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
    with pytest.raises(sqlite3.Error):
        story.keyholder.open(request)
    with story.keyholder._office.memory._transaction() as sql:
        sql.execute("DROP TRIGGER full")
    with pytest.raises(SharesAwaited):
        story.keyholder.open(request)  # the shares went with the attempt
    story.contribute([2, 3, 4])
    answer = story.keyholder.open(request)
    with pytest.raises(SharesAwaited):
        twin.open(request)
    story.contribute([1, 2, 4], twin)
    again = twin.open(request)
    assert (again.opened, again.values) == (answer.opened, answer.values)


def test_a_disk_that_fails_is_told_to_the_operator_and_not_to_strangers(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    story = Story(world, world.keyholder(), weights=(1, 2, 3, 4))
    question = schema.encode(story.preparation())
    with story.keyholder._office.memory._transaction() as sql:
        sql.execute(
            "CREATE TRIGGER full BEFORE INSERT ON round BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
    server = KeyholderServer(("127.0.0.1", 0), story.keyholder)
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        request = urllib.request.Request(server.url + PREPARE, data=question, method="POST")
        with caplog.at_level("INFO"), pytest.raises(OSError) as caught:  # noqa: PT011 - any end
            urllib.request.urlopen(request, timeout=20)
        assert "full" not in str(caught.value)
    finally:
        server.close()
        thread.join()
    (told,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "IntegrityError" in told.getMessage()
    assert told.exc_info is None  # a traceback could quote what was decrypted


def test_reports_that_come_while_their_key_is_destroyed_are_not_kept(
    bundle: Any, tmp_path: Path
) -> None:
    # The clock destroys beside a question that is under way.
    leader = Leader(Territory(), bundle, tmp_path)
    helper = leader.helper()
    plan = leader.plan(helper.engage(leader.engagement()))
    reports = [leader.report(plan, s, leader.steps(1))[0] for s in leader.stations]
    helper.prepare(leader.preparation(plan, reports))
    memory = helper._rounds._office.memory
    prepared, kept = memory.round(leader.campaign, 1), memory.reports(leader.campaign, 1)
    assert prepared is not None
    assert kept
    helper.end(leader.ended())
    memory.prepare(replace(prepared, number=2), kept)
    assert memory.reports(leader.campaign, 2) == []
