"""An encrypted batch from the ceremony to the noised steps, with real keys and ciphertexts."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from custody_world import THRESHOLD, TRUSTEES, Story, World, denied, secret_of

from governance.keyholder import opening
from governance.keyholder.errors import CeremonyAwaited, CeremonyRefused, SharesAwaited
from governance.keyholder.schema import FILE_NAME
from protection import accounting
from protection.aggregators import draw_noise
from protection.ckks.profile import SOMME
from trust.documents.custody import EpochRetired, ShareRequest, ShareReturned
from trust.documents.root import Duty
from trust.ids import Digest
from wire.custody import OpeningAnswer, SummonsRequest


def opened(story: Story, numbers: tuple[int, ...] = (0, 1, 2)) -> OpeningAnswer:
    story.keyholder.prepare(story.preparation())
    request = story.opening()
    with pytest.raises(SharesAwaited):
        story.keyholder.open(request)
    assert story.contribute(numbers) == [1, 2, 3]
    return story.keyholder.open(request)


def test_a_batch_from_the_ceremony_to_the_noised_steps(world: World) -> None:
    story = Story(world, world.keyholder())
    answer = opened(story, (4, 0, 2))
    document, steps = story.values(answer)
    story.require_noised(steps, 6)
    assert document.epoch == Digest.of(story.key)
    for rule in world.rules:
        variance = accounting.noise_of(rule).variance
        assert document.variances[rule.output] == accounting.to_text(variance)
    root = world.territory.root
    request = root.verify(ShareRequest, answer.request, Duty.KEYHOLDER)
    assert request.document.batch == document.batch
    places = set()
    for raw in answer.returned:
        found = world.keyholder("elsewhere")._office.trustee(ShareReturned, raw)[0].document
        assert found.request == request.digest
        places.add(found.place)
    assert len(places) == THRESHOLD


def test_what_is_opened_is_exact_but_for_the_one_noise(world: World) -> None:
    story = Story(world, world.keyholder())
    secret = secret_of(story)
    story.keyholder.prepare(story.preparation())
    request = story.opening()
    with pytest.raises(SharesAwaited):
        story.keyholder.open(request)
    story.contribute([1, 2, 3])
    _, steps = story.values(story.keyholder.open(request))
    batch = world.territory.root.verify(
        opening.BatchCommitment, request.batch.envelope, Duty.ORDERS
    ).document
    live = story.keyholder._epochs.live(world.campaign)
    sums = opening.read_sums(request, batch, live, world.territory.root)
    noise = draw_noise(world.rules, 1, opening._noise_of(secret, sums))
    for rule in world.rules:
        np.testing.assert_array_equal(steps[rule.output] - noise[rule.output], 6)


def test_the_same_question_gets_the_same_bytes(world: World) -> None:
    story = Story(world, world.keyholder())
    preparation = story.preparation()
    first = story.keyholder.prepare(preparation)
    turned = story.preparation(list(reversed(story.reports)))
    assert story.keyholder.prepare(turned) == first
    request = story.opening()
    with pytest.raises(SharesAwaited):
        story.keyholder.open(request)
    story.contribute([0, 1, 2])
    answer = story.keyholder.open(request)
    assert story.keyholder.open(request) == answer
    assert world.keyholder().open(request) == answer  # after a restart, from the disk
    story.keyholder.end(world.ended_epoch())
    assert story.keyholder.open(request) == answer  # noised already; the key is gone


def test_a_campaign_waits_for_its_ceremony_and_has_one(world: World) -> None:
    keyholder = world.keyholder()
    assert denied(world, lambda: keyholder.ceremony(world.campaign, world.trustees())) == (
        "epoch-unknown"
    )
    with pytest.raises(CeremonyAwaited):
        keyholder.engage(world.engagement())
    assert keyholder._office.memory.awaiting() == [world.campaign]
    key = keyholder.ceremony(world.campaign, world.trustees())
    assert keyholder.ceremony(world.campaign, world.trustees()) == key
    answer = keyholder.engage(world.engagement())
    assert answer.key == key
    document = Story(world, keyholder).document
    assert Digest.of(answer.public) == document.public
    assert document.profile == SOMME.name
    assert document.threshold == THRESHOLD
    assert len(document.trustees) == len(document.sealed) == TRUSTEES
    assert set(document.trustees) == {Digest.of(raw) for raw in answer.trustees}
    assert keyholder._office.memory.awaiting() == []


def test_the_ceremony_takes_one_key_of_every_trustee_of_the_root(world: World) -> None:
    keyholder = world.keyholder()
    with pytest.raises(CeremonyAwaited):
        keyholder.engage(world.engagement())
    keys = world.trustees()
    for wrong in (keys[:4], [*keys, world.trustee(0, "again").certificate()]):
        with pytest.raises(CeremonyRefused):
            keyholder.ceremony(world.campaign, wrong)
    assert keyholder._office.memory.epoch(world.campaign) is None


@pytest.mark.parametrize("how", ["ended", "command", "expired"])
def test_an_epoch_ends(world: World, how: str) -> None:
    story = Story(world, world.keyholder())
    keyholder = story.keyholder
    ways: dict[str, Callable[[], object]] = {
        "ended": lambda: keyholder.end(world.ended_epoch()),
        "command": lambda: keyholder.retire(world.campaign),
        "expired": lambda: (world.clock.jump(31 * 86_400), keyholder.expire()),
    }
    ways[how]()
    epoch = keyholder._office.memory.epoch(world.campaign)
    assert epoch is not None
    assert epoch.wrapped is None
    assert epoch.retired is not None
    notice = world.territory.root.verify(EpochRetired, epoch.retired, Duty.KEYHOLDER).document
    assert notice.epoch == Digest.of(story.key)
    assert keyholder.retire(world.campaign) == epoch.retired
    assert denied(world, lambda: keyholder.prepare(story.preparation())) == "epoch-retired"
    code = denied(world, lambda: keyholder.ceremony(world.campaign, world.trustees()))
    assert code == "epoch-retired"


def test_the_wrapped_key_leaves_no_trace_once_retired(world: World) -> None:
    story = Story(world, world.keyholder())
    epoch = story.keyholder._office.memory.epoch(world.campaign)
    assert epoch is not None
    assert epoch.wrapped is not None
    sealed = story.keyholder._office.memory.entrusted(world.campaign)[0].sealed
    assert sealed is not None
    folder = world.folder / "keyholder"
    # Pieces, because one of them may lie across two pages of the file.
    pieces = [epoch.wrapped[at : at + 32] for at in range(0, len(epoch.wrapped), 999)]
    assert sum(traces(folder, piece) > 0 for piece in pieces) > len(pieces) // 2
    other = world.keyholder("keyholder")  # the command line has the file open, too
    story.keyholder.retire(world.campaign)
    assert not any(traces(folder, piece) for piece in (*pieces, sealed))
    assert other._office.memory.epoch(world.campaign) is not None


@pytest.mark.parametrize("who", ["the server", "the command line", "the next start"])
def test_a_retired_key_leaves_the_write_ahead_log_once_nobody_reads(world: World, who: str) -> None:
    """The keyholder once tried a single time, and left the key there where somebody was reading."""
    story = Story(world, world.keyholder())
    server, folder = story.keyholder, world.folder / "keyholder"
    epoch = server._office.memory.epoch(world.campaign)
    assert epoch is not None
    assert epoch.wrapped is not None
    pieces = [epoch.wrapped[at : at + 32] for at in range(0, len(epoch.wrapped), 999)]
    retiring = world.keyholder("keyholder") if who == "the command line" else server
    with sqlite3.connect(folder / FILE_NAME, isolation_level=None) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM campaign").fetchone()
        retiring.retire(world.campaign)
        assert any(traces(folder, piece) for piece in pieces)  # the snapshot needs those pages
        if who == "the next start":
            # Files as a crash leaves them: retired in the log, the old pages beside it.
            folder = shutil.copytree(folder, world.folder / "crashed")
        reader.execute("COMMIT")
    reader.close()
    if who == "the next start":
        world.keyholder("crashed")
    else:
        server.expire()
    assert not any(traces(folder, piece) for piece in pieces)


def traces(folder: Path, needle: bytes) -> int:
    """How many files hold it, or a half of it."""
    half = needle[: max(16, len(needle) // 2)]
    return sum(half in path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_neither_key_nor_shares_nor_raw_sums_are_on_any_disk(world: World) -> None:
    # A canary that every int64 or float64 spelling of the exact sum would carry.
    world.use(bound="5")
    story = Story(world, world.keyholder(), weights=(100_003, 110_017, 120_011))
    secret = secret_of(story)
    captured: list[bytes] = []
    story.keyholder.prepare(story.preparation())
    request = story.opening()
    with pytest.raises(SharesAwaited):
        story.keyholder.open(request)
    original = story.keyholder._sessions.take

    def take(contribution: object) -> object:
        session = original(contribution)  # type: ignore[arg-type]
        captured.extend(share.body for share in session.shares.values())
        captured.append(session.secret.private_bytes_raw())
        return session

    story.keyholder._sessions.take = take  # type: ignore[method-assign, assignment]
    story.contribute([0, 1, 2])
    story.keyholder.open(request)
    exact = 330_031
    canaries = [
        secret[5000:5064],
        secret[40_000:40_064],
        *captured,
        np.full(3, exact, "<i8").tobytes(),
        np.full(3, exact, "<f8").tobytes(),
        str(exact).encode(),
    ]
    assert len(captured) >= 6
    for canary in canaries:
        assert not traces(world.folder, canary)
    # The search finds what is there.
    assert any(traces(world.folder, story.public[at : at + 64]) for at in (1000, 3000, 5000))


def test_no_sentence_or_repr_tells_a_secret(world: World) -> None:
    story = Story(world, world.keyholder())
    epoch = story.keyholder._office.memory.epoch(world.campaign)
    entrusted = story.keyholder._office.memory.entrusted(world.campaign)
    identity = world.trustee(0).memory.identity()
    assert epoch is not None
    assert identity is not None
    for shown in (repr(epoch), repr(entrusted), repr(identity)):
        assert "wrapped=" not in shown
        assert "sealed=" not in shown
        assert "secret=" not in shown


def test_the_files_are_for_their_owner_alone(world: World) -> None:
    story = Story(world, world.keyholder())
    del story
    for name in ("keyholder/keyholder.sqlite", "trustee0/trustee.sqlite"):
        assert (world.folder / name).stat().st_mode & 0o077 == 0
        assert (world.folder / name).parent.stat().st_mode & 0o077 == 0


def test_a_stranger_is_wanted_for_nothing(world: World) -> None:
    story = Story(world, world.keyholder())
    story.keyholder.prepare(story.preparation())
    with pytest.raises(SharesAwaited):
        story.keyholder.open(story.opening())
    assert story.keyholder.summons(SummonsRequest(Digest.of(b"a stranger"))).openings == ()


def test_the_database_is_the_format_it_says(world: World) -> None:
    Story(world, world.keyholder())
    connection = sqlite3.connect(world.folder / "keyholder" / FILE_NAME)
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    connection.close()
