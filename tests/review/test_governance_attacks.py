"""Attacks on the cooperative's programs: registry, status, decisions, the root ceremony."""

from __future__ import annotations

import http.client
import json
import os
import random
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from durable.errors import StorageFailed
from governance.ceremony.roots import Composition, Witness, compose
from governance.ceremony.signing import show, standing
from governance.college.showing import in_words, signatures
from governance.drafts import Draft, read_file
from governance.errors import CeremonyRefused, DraftRefused, GovernanceError, StateRefused
from governance.offer import Offer
from governance.status import main as status_main
from governance.status import registry as registries
from governance.status.publisher import Publisher
from governance.status.registry import Registry
from governance.status.server import StatusServer
from jobs import archive
from tests.governance import territory
from tests.governance.territory import ENTROPY, NAME, NOW, consent
from trust import dsse, root, schema
from trust.clock import ManualClock
from trust.documents import signed
from trust.documents.consent import Decision, revocation_token
from trust.documents.governance import Authorisation, Status, Suspension
from trust.documents.root import Duty, DutyKeys, Root
from trust.entropy import Entropy
from trust.errors import SignatureInvalid, TrustError
from trust.ids import AuthorisationId, CapsuleId, Digest, WorkerId
from trust.keys import PrivateKey
from trust.log.cosignature import CosignerKey
from trust.log.note import LogKey
from trust.problem import Problem

OWNER, STRANGER, STATUS, COLLEGE = (PrivateKey.generate(ENTROPY) for _ in range(4))
EXAMPLE = Path(archive.__file__).parent / "bundles" / "example"


def capsule() -> CapsuleId:
    return CapsuleId.draw(ENTROPY)


def opened(folder: Path) -> Registry:
    return Registry(folder, NAME, ENTROPY)


def publishing(folder: Path, registry: Registry, clock: ManualClock) -> Publisher:
    return Publisher(registry, NAME, STATUS, folder / "status.json", clock)


def read(raw: bytes) -> Status:
    return signed.verify(Status, raw, {STATUS.public}).document


def suspension(reason: str = "why") -> signed.Signed[Suspension]:
    return signed.sign(Suspension(NAME, AuthorisationId.draw(ENTROPY), reason, NOW), [COLLEGE])


# --- what strangers may post ---


def test_strangers_revocations_never_stop_the_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody can make capsules and revoke them: 45,000 tokens made the status too large to
    sign, and with it every later suspension unheard."""
    monkeypatch.setattr(registries, "STATUS_BYTES", 20_000)
    registry = opened(tmp_path)
    lines = [consent(STRANGER, capsule(), decision=Decision.REVOKE) for _ in range(400)]
    receipt = registry.submit(lines, NOW)
    assert {refused.code for refused in receipt.refused} == {"registry-full"}
    registry.suspend(suspension("x" * 500))
    status = publishing(tmp_path, registry, ManualClock(NOW)).publish()
    assert len(schema.encode(read(status.raw))) < 20_000 + 3_000
    assert len(read(status.raw).suspensions) == 1


def test_strangers_targets_never_stop_the_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registries, "STATUS_BYTES", 20_000)
    registry = opened(tmp_path)
    lines = [
        consent(STRANGER, capsule(), target=f"purpose:{number}{'é' * 180}") for number in range(200)
    ]
    assert {refused.code for refused in registry.submit(lines, NOW).refused} == {"registry-full"}
    status = publishing(tmp_path, registry, ManualClock(NOW)).publish()
    assert len(schema.encode(read(status.raw))) < 20_000


def test_strangers_workers_never_stop_the_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registries, "STATUS_BYTES", 20_000)
    registry = opened(tmp_path)
    lines = [
        consent(PrivateKey.generate(ENTROPY), capsule(), worker=WorkerId.draw(ENTROPY))
        for _ in range(600)
    ]
    assert {refused.code for refused in registry.submit(lines, NOW).refused} == {"registry-full"}
    raw = publishing(tmp_path, registry, ManualClock(NOW)).publish().raw
    assert len(schema.encode(read(raw))) < 20_000


def test_what_fills_the_status_always_leaves_room_in_the_envelope() -> None:
    payload = registries.STATUS_BYTES + registries.SUSPENSIONS_BYTES + 1000
    assert payload * 4 / 3 < dsse.MAXIMUM_ENVELOPE_BYTES


def test_a_full_status_still_takes_a_change_that_needs_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = opened(tmp_path)
    mine = capsule()
    registry.submit([consent(OWNER, mine), consent(OWNER, capsule())], NOW)
    monkeypatch.setattr(registries, "STATUS_BYTES", 200)
    receipt = registry.submit([consent(OWNER, mine, serial=2)], NOW)
    assert receipt.accepted == 1


def test_a_purpose_as_long_as_a_manifests_is_taken(tmp_path: Path) -> None:
    """Manifest and worker allow 400 letters; the registry refused more than 200 in all."""
    line = consent(OWNER, capsule(), target="purpose:" + "p" * 400)
    assert opened(tmp_path).submit([line], NOW).accepted == 1


@pytest.mark.parametrize(
    "target",
    ["purpose:", "purpose:a\nb", "purpose:\x1b[2J", "sha256:", "sha256:zz", "purpose:" + "p" * 401],
)
def test_a_target_that_no_worker_could_match_is_not_kept(tmp_path: Path, target: str) -> None:
    registry = opened(tmp_path)
    (refused,) = registry.submit([consent(OWNER, capsule(), target=target)], NOW).refused
    assert refused.code == "consent-malformed"


def test_another_key_neither_revokes_nor_moves_a_capsule(tmp_path: Path) -> None:
    registry = opened(tmp_path)
    mine = capsule()
    registry.submit([consent(OWNER, mine)], NOW)
    elsewhere = WorkerId.draw(ENTROPY)
    lines = [
        consent(STRANGER, mine, serial=2, decision=Decision.REVOKE),
        consent(STRANGER, mine, serial=3, worker=elsewhere),
        consent(STRANGER, mine, serial=4, target="purpose:another"),
    ]
    assert [r.code for r in registry.submit(lines, NOW).refused] == ["consent-owner-changed"] * 3
    assert registry.snapshot(NOW).revoked == ()


def test_a_consent_signed_as_another_document_is_refused(tmp_path: Path) -> None:
    raw = consent(OWNER, capsule())
    payload = dsse.Envelope.parse(raw).payload
    forged = dsse.sign(Suspension.TYPE, payload, [OWNER]).raw
    assert opened(tmp_path).submit([forged], NOW).accepted == 0


# --- time ---


def test_a_revocation_is_never_too_late(tmp_path: Path) -> None:
    """Held back until its own date had passed, it was refused and the grant lived on."""
    registry = opened(tmp_path)
    mine = capsule()
    registry.submit([consent(OWNER, mine)], NOW)
    late = consent(OWNER, mine, serial=2, decision=Decision.REVOKE, days=1)
    later = NOW + timedelta(days=30)
    assert registry.submit([late], later).accepted == 1
    assert registry.snapshot(later).live_consents == {}
    assert registry.snapshot(later).revoked


def test_a_revocation_by_a_slow_clock_outlives_the_grant(tmp_path: Path) -> None:
    """Its token was kept for a year from the date that the owner's clock gave."""
    registry = opened(tmp_path)
    mine = capsule()
    registry.submit([consent(OWNER, mine)], NOW)
    slow = consent(
        OWNER, mine, serial=2, decision=Decision.REVOKE, issued=NOW - timedelta(days=300)
    )
    assert registry.submit([slow], NOW).accepted == 1
    assert registry.snapshot(NOW + timedelta(days=364)).revoked == (
        revocation_token(mine, "purpose:mobility"),
    )


def test_a_clock_that_jumped_ahead_and_back_forgets_no_revocation(tmp_path: Path) -> None:
    """One look at the year 2030 deleted them, and the old grants could be replayed."""
    registry = opened(tmp_path)
    mine = capsule()
    granted = consent(OWNER, mine)
    registry.submit([granted, consent(OWNER, mine, serial=2, decision=Decision.REVOKE)], NOW)
    registry.snapshot(NOW + timedelta(days=1500))
    assert registry.snapshot(NOW).revoked == (revocation_token(mine, "purpose:mobility"),)
    assert registry.submit([granted], NOW).accepted == 0


def test_an_expired_grant_is_not_replaced_by_an_older_one(tmp_path: Path) -> None:
    registry = opened(tmp_path)
    mine = capsule()
    registry.submit([consent(OWNER, mine, serial=5, days=10)], NOW)
    later = NOW + timedelta(days=20)
    assert registry.snapshot(later).live_consents == {}
    assert registry.submit([consent(OWNER, mine, serial=4)], later).accepted == 0


# --- disk and processes ---


def fill(registry: Registry) -> None:
    """The disk is full from now on, as SQLite itself says it."""
    (pages,) = registry._file.connection.execute("PRAGMA page_count").fetchone()
    registry._file.connection.execute(f"PRAGMA max_page_count = {pages}")


def test_a_full_disk_is_a_refusal_and_passes(tmp_path: Path) -> None:
    """SQLite's own error went through: it killed the publishing thread for good."""
    registry = opened(tmp_path)
    fill(registry)
    lines = [consent(OWNER, capsule()) for _ in range(500)]
    with pytest.raises(StorageFailed):
        registry.submit(lines, NOW)
    registry._file.connection.execute("PRAGMA max_page_count = 1000000")
    assert registry.submit(lines, NOW).accepted == 500


def test_a_database_held_by_another_program_is_a_refusal_and_passes(tmp_path: Path) -> None:
    registry = opened(tmp_path)
    registry._file.connection.execute("PRAGMA busy_timeout = 50")
    other = sqlite3.connect(tmp_path / "registry.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageFailed):
        registry.numbers.next()
    other.execute("ROLLBACK")
    other.close()
    assert registry.numbers.next() == 1


def test_a_commit_that_fails_leaves_no_open_transaction(tmp_path: Path) -> None:
    registry = opened(tmp_path)
    connection = registry._file.connection
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("CREATE TABLE parent (id INTEGER PRIMARY KEY)")
    connection.execute(
        "CREATE TABLE child (id INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)"
    )
    with pytest.raises(Problem), registry._file.transaction() as sql:
        sql.execute("INSERT INTO child VALUES (7)")  # refused at the commit
    assert registry.numbers.next() == 1


def test_two_first_starts_at_once_agree_on_one_salt(tmp_path: Path) -> None:
    """The second wrote over the salt that the first was using: every pin of an owner was lost."""
    together = threading.Barrier(2)
    folders: list[Registry] = []

    def drawing(fill_byte: int) -> Entropy:
        def draw(size: int) -> bytes:
            with suppress(threading.BrokenBarrierError):
                together.wait(1)
            return bytes([fill_byte]) * size

        return draw

    def start(fill_byte: int) -> None:
        folders.append(Registry(tmp_path, NAME, drawing(fill_byte)))

    threads = [threading.Thread(target=start, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    mine = capsule()
    assert folders[0].submit([consent(OWNER, mine)], NOW).accepted == 1
    assert folders[1].submit([consent(OWNER, mine)], NOW).unchanged == 1
    assert folders[1].submit([consent(STRANGER, mine, serial=2)], NOW).accepted == 0


def test_only_its_owner_can_read_registry_and_salt(tmp_path: Path) -> None:
    opened(tmp_path / "G")
    for path in (tmp_path / "G").iterdir():
        assert path.stat().st_mode & 0o077 == 0, path.name
    assert (tmp_path / "G").stat().st_mode & 0o077 == 0


def test_racing_submissions_count_every_capsule_once(tmp_path: Path) -> None:
    registry = opened(tmp_path)
    lines = [consent(OWNER, capsule()) for _ in range(40)]
    threads = [
        threading.Thread(target=registry.submit, args=(lines[::step], NOW))
        for step in (1, -1, 2, 3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert registry.snapshot(NOW).live_consents == {"purpose:mobility": {territory.WORKER: 40}}


def test_a_full_disk_is_answered_without_a_path_and_passes(tmp_path: Path) -> None:
    """The client was told 413, as if its own words were too many, or nothing at all."""
    clock = ManualClock(NOW)
    registry = opened(tmp_path)
    publisher = publishing(tmp_path, registry, clock)
    server = StatusServer(("127.0.0.1", 0), registry, publisher, clock)
    thread = threading.Thread(target=server.serve)
    thread.start()
    lines = b"\n".join(consent(OWNER, capsule()) for _ in range(300))
    try:
        fill(registry)
        status, said = post(server, lines)
        assert status == 503
        assert str(tmp_path) not in said
        registry._file.connection.execute("PRAGMA max_page_count = 1000000")
        status, said = post(server, lines)
        assert (status, json.loads(said)["accepted"]) == (200, 300)
    finally:
        server.close()
        thread.join()
        registry.close()


def test_unchanged_is_answered_only_once_it_is_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a publication that failed, sending again was told "unchanged" and heard by nobody."""
    from governance.status import publisher as module

    clock = ManualClock(NOW)
    registry = opened(tmp_path)
    publisher = publishing(tmp_path, registry, clock)
    monkeypatch.setattr("governance.status.server.TICK", 3600.0)
    server = StatusServer(("127.0.0.1", 0), registry, publisher, clock)
    thread = threading.Thread(target=server.serve)
    publisher.publish()
    thread.start()
    line = consent(OWNER, capsule())

    def full(path: Path, _data: bytes) -> None:
        raise StorageFailed.writing(path, OSError(28, "No space left on device"))

    try:
        with monkeypatch.context() as patch:
            patch.setattr(module, "write_atomic", full)
            assert post(server, line)[0] == 503
        status, said = post(server, line)
        assert (status, json.loads(said)["unchanged"]) == (200, 1)
        assert read(publisher.published.raw).live_consents
    finally:
        server.close()
        thread.join()
        registry.close()


def post(server: StatusServer, body: bytes) -> tuple[int, str]:
    line = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    try:
        line.request("POST", "/consents", body)
        answer = line.getresponse()
        return answer.status, answer.read().decode()
    finally:
        line.close()


@pytest.mark.parametrize("number", [-1, 2**63, 2**200])
def test_an_absurd_number_is_never_taken_up(tmp_path: Path, number: int) -> None:
    registry = opened(tmp_path)
    with pytest.raises(StateRefused):
        registry.numbers.raise_above(number)
    registry.numbers.raise_above(7)
    registry.numbers.raise_above(3)
    assert registry.numbers.next() == 8


# --- the status ---


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    territory.set_up(tmp_path)
    return tmp_path


@contextmanager
def held(folder: Path) -> Iterator[status_main.Programme]:
    with status_main.open_programme(
        folder / "G", folder / "s", folder / "root.json", ManualClock(NOW)
    ) as programme:
        yield programme


def test_a_database_put_back_from_an_old_copy_does_not_serve(folder: Path) -> None:
    """Its numbers had been used: workers would refuse, and what was revoked since was forgotten."""
    with held(folder) as programme:
        programme.publisher.publish()
    copy = (folder / "G" / "registry.sqlite").read_bytes()
    mine = capsule()
    with held(folder) as programme:
        programme.registry.submit([consent(OWNER, mine, decision=Decision.REVOKE)], NOW)
        programme.publisher.publish()
    for path in (folder / "G").glob("registry.sqlite*"):
        path.unlink()
    (folder / "G" / "registry.sqlite").write_bytes(copy)
    with pytest.raises(StateRefused, match="older than"), held(folder):
        pass
    newest = status_main.state.last_number(folder / "G")
    with status_main.open_programme(
        folder / "G", folder / "s", folder / "root.json", ManualClock(NOW), number_above=newest
    ) as programme:
        assert programme.publisher.publish().number == newest + 1


def test_two_servers_never_publish_from_one_folder(folder: Path) -> None:
    """Each would hold back what the other's number had made old."""
    with held(folder):
        with pytest.raises(StateRefused, match="another"), held(folder):
            pass
        # The command line may still hand a suspension in.
        with suppress(Problem):
            status_main.suspend(folder / "G", b"{}", None)
    with held(folder):
        pass


def test_a_wrong_first_root_is_not_kept(folder: Path) -> None:
    """A mistaken --root was written before its key was looked at; the right one then failed."""
    with (
        pytest.raises(StateRefused),
        status_main.open_programme(
            folder / "G", folder / "x", folder / "root.json", ManualClock(NOW)
        ),
    ):
        pass
    assert not (folder / "G" / "root.json").exists()


def test_a_suspension_that_is_refused_leaves_nothing_behind(folder: Path) -> None:
    raw = signed.sign(Suspension(NAME, AuthorisationId.draw(ENTROPY), "x", NOW), [COLLEGE])
    with pytest.raises(SignatureInvalid):
        status_main.suspend(folder / "G", raw.envelope.raw, (folder / "root.json").read_bytes())
    assert not (folder / "G").exists() or not list((folder / "G").iterdir())


def test_a_suspension_by_one_key_twice_is_a_minority(folder: Path) -> None:
    key = _key(folder / "x")
    stop = Suspension(NAME, AuthorisationId.draw(ENTROPY), "x", NOW)
    envelope = dsse.sign(Suspension.TYPE, schema.encode(stop), [key, key, key])
    with pytest.raises(SignatureInvalid, match="1 of the 2"):
        status_main.suspend(folder / "G", envelope.raw, (folder / "root.json").read_bytes())


def test_a_suspension_of_another_territory_with_the_same_college_is_refused(folder: Path) -> None:
    keys = [_key(folder / name) for name in "xy"]
    stop = signed.sign(Suspension("other.example", AuthorisationId.draw(ENTROPY), "x", NOW), keys)
    with pytest.raises(GovernanceError):
        status_main.suspend(folder / "G", stop.envelope.raw, (folder / "root.json").read_bytes())


def test_a_vote_is_no_suspension_and_a_suspension_no_vote(folder: Path) -> None:
    keys = [_key(folder / name) for name in "xy"]
    stop = Suspension(NAME, AuthorisationId.draw(ENTROPY), "x", NOW)
    mislabelled = dsse.sign(Authorisation.TYPE, schema.encode(stop), keys)
    with pytest.raises(TrustError):
        status_main.suspend(folder / "G", mislabelled.raw, (folder / "root.json").read_bytes())
    with pytest.raises(TrustError):
        in_words(Draft.parse(mislabelled.raw))


def test_an_older_root_is_not_taken_back(folder: Path) -> None:
    first = (folder / "root.json").read_bytes()
    assert territory.draft(folder, "root-2.json", "--previous", folder / "root.json") == 0
    for name in "ab":
        assert territory.run("root", "sign", folder / "root-2.json", "--key", folder / name) == 0
    with held(folder):
        pass
    (folder / "root.json").write_bytes((folder / "root-2.json").read_bytes())
    with held(folder):
        pass
    (folder / "root.json").write_bytes(first)
    with pytest.raises(TrustError), held(folder):
        pass


def test_a_suspension_is_published_although_the_clock_went_back(tmp_path: Path) -> None:
    clock = ManualClock(NOW)
    registry = opened(tmp_path)
    publisher = publishing(tmp_path, registry, clock)
    before = publisher.publish()
    clock.jump(-86400 * 400)
    registry.suspend(suspension())
    after = publisher.refresh()
    assert after.number > before.number
    assert len(read(after.raw).suspensions) == 1


def test_publishing_at_once_from_many_threads_never_repeats_a_number(tmp_path: Path) -> None:
    publisher = publishing(tmp_path, opened(tmp_path), ManualClock(NOW))
    seen: dict[int, set[bytes]] = {}
    lock = threading.Lock()

    def publish() -> None:
        for _ in range(10):
            made = publisher.publish()
            with lock:
                seen.setdefault(made.number, set()).add(made.raw)

    threads = [threading.Thread(target=publish) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 40
    assert all(len(raws) == 1 for raws in seen.values())
    newest = (tmp_path / "status.json").read_bytes()
    assert newest == publisher.published.raw
    assert read(newest).number == max(seen)


# --- what members are shown, and sign ---


def a_vote(folder: Path) -> Authorisation:
    (folder / "example.cadastre").write_bytes(archive.pack_folder(EXAMPLE).raw)
    assert territory.run(
        "authorisation", "draft", folder / "example.cadastre", "--territory", NAME,
        "--image", str(Digest.of(b"image")), "--out", folder / "vote.json",
    ) == 0  # fmt: skip
    return Draft.parse((folder / "vote.json").read_bytes()).document(Authorisation)


def test_a_second_release_under_the_same_name_is_not_hidden(folder: Path) -> None:
    """Only the last rule of a name was shown to those who signed both."""
    vote = a_vote(folder)
    leaky = replace(vote.rules[0], minimum_contributors=1, rho="100")
    with pytest.raises(GovernanceError, match="twice"):
        in_words(Draft.of(replace(vote, rules=(leaky, *vote.rules))))


@pytest.mark.parametrize("field", ["title", "purpose"])
@pytest.mark.parametrize("trick", ["\x1b[1A\x1b[2K", "\r", "\u202e", "a\nbundle  sha256:0"])
def test_no_text_of_a_vote_writes_over_another_line(folder: Path, field: str, trick: str) -> None:
    vote = replace(a_vote(folder), **{field: f"harmless{trick}words"})
    with pytest.raises(Problem):
        in_words(Draft.of(vote))


@pytest.mark.parametrize("trick", ["\x1b[1A\x1b[2K", "\u202e", "a\nb"])
def test_no_reason_of_a_suspension_writes_over_another_line(trick: str) -> None:
    stop = Suspension(NAME, AuthorisationId.draw(ENTROPY), f"x{trick}", NOW)
    with pytest.raises(Problem):
        in_words(Draft.of(stop))


@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "1e999999999", "-1", "", "1" * 5000, "1e-999999999"]
)
@pytest.mark.parametrize("field", ["rho_budget", "rho", "bound", "step"])
def test_a_vote_with_absurd_numbers_is_refused_in_words(
    folder: Path, field: str, number: str
) -> None:
    vote = a_vote(folder)
    if field == "rho_budget":
        vote = replace(vote, rho_budget=number)
    else:
        vote = replace(vote, rules=(replace(vote.rules[0], **{field: number}),))
    with suppress(Problem):
        in_words(Draft.of(vote))


@pytest.mark.parametrize(
    "shape", [(0,), (-3, -3), (2**62, 2**62), (1 << 21,), (1,) * 9 + (1 << 30,)]
)
def test_a_vote_with_an_absurd_shape_is_refused_in_words(
    folder: Path, shape: tuple[int, ...]
) -> None:
    vote = a_vote(folder)
    vote = replace(vote, rules=(replace(vote.rules[0], shape=shape),))
    with pytest.raises(Problem):
        in_words(Draft.of(vote))


def test_a_count_under_another_territorys_root_says_so(folder: Path) -> None:
    """The same people in two colleges: "still needed 0" for a vote that counts nowhere here."""
    vote = replace(a_vote(folder), territory="other.example")
    keys = [_key(folder / name) for name in "xy"]
    draft = Draft.of(vote).sign(keys[0]).sign(keys[1])
    with pytest.raises(GovernanceError, match=r"other\.example"):
        signatures(draft, (folder / "root.json").read_bytes())


def test_a_decision_signed_thrice_by_one_key_counts_once(folder: Path) -> None:
    key = _key(folder / "x")
    envelope = dsse.sign(Authorisation.TYPE, schema.encode(a_vote(folder)), [key] * 3)
    shown = signatures(Draft.parse(envelope.raw), (folder / "root.json").read_bytes())
    assert shown["still needed"] == 1


def test_a_draft_with_two_lists_of_signatures_is_refused(folder: Path) -> None:
    """Readers differ on which counts; signing dropped what others had signed."""
    a_vote(folder)
    twice = b'"signatures":[1],"signatures":[]'
    raw = (folder / "vote.json").read_bytes().replace(b'"signatures":[]', twice)
    with pytest.raises(Problem):
        Draft.parse(raw)


def test_an_endless_file_is_not_read_to_its_end() -> None:
    with pytest.raises(DraftRefused, match="limit"):
        read_file(Path("/dev/zero"), 10_000)


def test_drafting_never_writes_through_a_link(folder: Path) -> None:
    (folder / "dangling.json").symlink_to(folder / "elsewhere.json")
    assert territory.draft(folder, "dangling.json") == 1
    assert not (folder / "elsewhere.json").exists()
    assert (folder / "dangling.json").is_symlink()


# --- the ceremony ---


def a_choice(folder: Path) -> Composition:
    def public(names: str) -> tuple[Any, ...]:
        return tuple(_key(folder / name).public for name in names)

    key = CosignerKey("w.example", PrivateKey.generate(ENTROPY).public)
    return Composition(
        root_keys=public("abc"), root_threshold=2, college_keys=public("xyz"),
        college_threshold=2, status_key=public("s")[0], registry_key=None,
        helper_key=None, keyholder_key=None, trustee_keys=(), trustee_threshold=None,
        witnesses=(Witness(key, "http://127.0.0.1:7003"),), quorum=1,
        status_url="http://127.0.0.1:7004/status.json", days=730,
    )  # fmt: skip


def an_offer(folder: Path, **changed: Any) -> Offer:
    return replace(Offer.parse((folder / "offer.json").read_bytes()), **changed)


@pytest.mark.parametrize(
    "site",
    ["http://s\nquorum none\n#", "http://s x", "http://s\tx", "ftp://s", "s", "http://",
     "http://s/\u202e", "http://s#", "http://user:secret@s", "http://s\x00"],
)  # fmt: skip
def test_an_offers_address_adds_no_line_to_the_log_policy(folder: Path, site: str) -> None:
    with pytest.raises(CeremonyRefused):
        compose(an_offer(folder, site=site), a_choice(folder), NOW)


@pytest.mark.parametrize("url", ["http://w\nquorum none", "http://w x", "https://", "w"])
def test_no_other_address_does_either(folder: Path, url: str) -> None:
    choice = a_choice(folder)
    with pytest.raises(CeremonyRefused):
        compose(an_offer(folder), replace(choice, status_url=url), NOW)
    witness = replace(choice.witnesses[0], url=url)
    with pytest.raises(CeremonyRefused):
        compose(an_offer(folder), replace(choice, witnesses=(witness,)), NOW)


@pytest.mark.parametrize("name", ["", "a b", "a\nb", "\x1b[2J", "x" * 300, "é\u202e"])
def test_an_offers_territory_is_a_plain_name(folder: Path, name: str) -> None:
    with pytest.raises(CeremonyRefused):
        compose(an_offer(folder, territory=name), a_choice(folder), NOW)


def test_a_root_that_nobody_will_believe_is_not_drafted(folder: Path) -> None:
    """Members met, signed, and every reader refused it: the log's key was also of the college."""
    offer = an_offer(folder, log_key=LogKey("log.x", _key(folder / "x").public))
    with pytest.raises(CeremonyRefused):
        compose(offer, a_choice(folder), NOW)
    judge = Witness(CosignerKey("w.example", _key(folder / "s").public), "http://w")
    with pytest.raises(CeremonyRefused):
        compose(an_offer(folder), replace(a_choice(folder), witnesses=(judge,)), NOW)


def _with_policy(folder: Path, change: Any) -> Draft:
    made = compose(an_offer(folder), a_choice(folder), NOW)
    return Draft.of(replace(made, log_policy=change(made.log_policy)))


def test_a_root_whose_log_needs_no_witness_says_so(folder: Path) -> None:
    """`root show` printed the size of a group that the policy never asks for."""
    draft = _with_policy(
        folder, lambda text: text.replace("quorum quorum-of-witnesses", "quorum none")
    )
    assert "none" in str(show(draft)["quorum"])


def test_a_quorum_of_one_witness_is_shown_by_its_name(folder: Path) -> None:
    draft = _with_policy(
        folder, lambda text: text.replace("quorum quorum-of-witnesses", "quorum w.example")
    )
    assert show(draft)["quorum"] == "w.example alone"


def test_every_log_of_a_root_is_shown(folder: Path) -> None:
    second = LogKey("second.example", PrivateKey.generate(ENTROPY).public)
    draft = _with_policy(folder, lambda text: f"log {second} http://second\n{text}")
    shown = show(draft)
    assert any(str(second) in str(value) for value in shown.values())
    assert any(f"log.{NAME}" in str(value) for value in shown.values())


@pytest.mark.parametrize("duties", [{}, {Duty.COLLEGE: DutyKeys((OWNER.public,), 1)}])
def test_a_root_without_root_keys_is_refused_in_words(folder: Path, duties: Any) -> None:
    made = compose(an_offer(folder), a_choice(folder), NOW)
    with pytest.raises(Problem):
        standing(Draft.of(replace(made, duties=duties)))


@pytest.mark.parametrize("field", ["territory", "status_url"])
def test_no_text_of_a_root_writes_over_another_line(folder: Path, field: str) -> None:
    made = compose(an_offer(folder), a_choice(folder), NOW)
    with pytest.raises(Problem):
        show(Draft.of(replace(made, **{field: "http://x\x1b[1A\x1b[2K"})))


def test_a_root_that_cannot_be_shown_is_not_signed(folder: Path) -> None:
    made = compose(an_offer(folder), a_choice(folder), NOW)
    hostile = Draft.of(replace(made, status_url="http://x\x1b[1A\x1b[2K"))
    (folder / "hostile.json").write_bytes(hostile.emit())
    assert territory.run("root", "sign", folder / "hostile.json", "--key", folder / "a") == 1
    assert (folder / "hostile.json").read_bytes() == hostile.emit()


def test_a_rotation_needs_the_old_keys_and_their_order(folder: Path) -> None:
    first = (folder / "root.json").read_bytes()
    trusted = root.trust_pinned(first, Digest.of(first))
    a, b, c, x, y = (_key(folder / name) for name in "abcxy")
    del c
    following = replace(
        trusted.document,
        version=2,
        duties={**trusted.document.duties, Duty.ROOT: DutyKeys((x.public, y.public), 1)}
        | {Duty.COLLEGE: DutyKeys((a.public, b.public), 2)},
    )
    coup = signed.sign(following, [x, y])  # the new keys alone
    with pytest.raises(TrustError):
        root.rotate(trusted, coup.envelope.raw)
    twice = dsse.sign(Root.TYPE, schema.encode(following), [a, a, x, y])
    with pytest.raises(TrustError):
        root.rotate(trusted, twice.raw)
    skipped = signed.sign(replace(following, version=3), [a, b, x])
    with pytest.raises(TrustError):
        root.rotate(trusted, skipped.envelope.raw)
    assert root.rotate(trusted, signed.sign(following, [a, b, x]).envelope.raw)


def test_keys_are_never_shown_by_an_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seed = (folder / "x").read_text().split()[-1]
    words: list[tuple[str | Path, ...]] = [
        ("root", "show", folder / "x"),
        ("root", "sign", folder / "x", "--key", folder / "a"),
        ("authorisation", "show", folder / "x"),
        ("authorisation", "sign", folder / "x", "--key", folder / "x"),
        ("authorisation", "suspend", folder / "x", "--reason", "r", "--out", folder / "n.json"),
        ("status", "suspend", "--state", folder / "G", folder / "x",
         "--root", folder / "root.json"),
        ("status", "serve", "--state", folder / "G", "--key", folder / "s", "--listen",
         "127.0.0.1:0", "--root", folder / "x"),
        ("witness", "follow", "--state", folder / "W", "--log-vkey-from", folder / "x"),
    ]  # fmt: skip
    for each in words:
        capsys.readouterr()
        assert territory.run(*each) != 0
        said = capsys.readouterr()
        assert seed[:8] not in said.err + said.out, each


def _key(path: Path) -> PrivateKey:
    from durable.keyfile import read_key

    return read_key(path)


# --- killed at any instant ---

_PUBLISHING = """
import sys
from pathlib import Path
from governance.status.publisher import Publisher
from governance.status.registry import Registry
from tests.governance.territory import NAME, NOW, consent
from trust.clock import ManualClock
from trust.entropy import SYSTEM
from trust.ids import CapsuleId
from trust.keys import PrivateKey

folder, start = Path(sys.argv[1]), int(sys.argv[2])
registry = Registry(folder, NAME, SYSTEM)
publisher = Publisher(
    registry, NAME, PrivateKey(bytes([9]) * 32), folder / "status.json", ManualClock(NOW)
)
owner = PrivateKey(bytes([8]) * 32)
for number in range(start, start + 100_000):
    mine = CapsuleId.from_bytes(number.to_bytes(16, "big"))
    registry.submit([consent(owner, mine)], NOW)
    print(number, publisher.refresh().number, flush=True)
"""


@pytest.mark.processes
def test_killed_at_any_instant_no_answer_is_lost_and_no_number_comes_twice(tmp_path: Path) -> None:
    chance = random.Random(20261122)
    taken: set[int] = set()
    highest, start = 0, 1
    for _ in range(5):
        command = [sys.executable, "-c", _PUBLISHING, str(tmp_path), str(start)]
        house = Path(archive.__file__).parents[1]
        environment = {**os.environ, "PYTHONPATH": str(house)}
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
            assert process.stdout is not None
            for _ in range(chance.randrange(1, 40)):
                mine, number = map(int, process.stdout.readline().split())
                assert number > highest
                highest = number
                taken.add(mine)
            process.kill()
            for line in process.stdout:  # what it said before the kill arrived
                if line.endswith(b"\n"):
                    mine, number = map(int, line.split())
                    highest = max(highest, number)
                    taken.add(mine)
        start = max(taken) + 2  # the one that was cut off may or may not be there
        registry = opened(tmp_path)
        counted = sum(registry.snapshot(NOW).live_consents["purpose:mobility"].values())
        assert len(taken) <= counted <= len(taken) + 5
        registry.numbers.require(status_main.state.last_number(tmp_path))
        registry.close()
        last = signed.verify(
            Status, (tmp_path / "status.json").read_bytes(), {PrivateKey(bytes([9]) * 32).public}
        )
        assert last.document.number >= highest
        highest = last.document.number
