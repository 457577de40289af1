"""Attacks on the audit: each test is a way in which wrong evidence, or its server, got through."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import socket
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import audit.publisher
import cadastre
from audit.checks.commitments import read_listing
from audit.checks.helpers import protection_of
from audit.checks.openings import read_batch
from audit.download import download
from audit.errors import AuditFailure, DownloadFailed
from audit.evidence import EvidenceFolder
from audit.policy import AuditPolicy
from audit.replay import Verdict
from audit.replay import audit as replay
from jobs import statement
from tests.audit.encrypted_evidence import EncryptedBuilder
from tests.audit.evidence_builder import (
    START,
    TERRITORY,
    EvidenceBuilder,
    FilesEvidence,
    change,
    object_path,
    rebatch,
    write,
)
from tests.audit.shared_evidence import SharedBuilder
from trust import schema
from trust.clock import ManualClock
from trust.documents.custody import KeyholderRefusal
from trust.documents.membership import Banned
from trust.documents.rules import Protection
from trust.entropy import seeded
from trust.ids import Digest
from trust.keys import PrivateKey
from trust.log.cosignature import CosignerKey, cosign
from trust.log.entry import Kind

ESCAPE = "\x1b]0;owned\x07"


@pytest.fixture(scope="module")
def territory() -> EvidenceBuilder:
    return EvidenceBuilder()


def verdict_of(builder: EvidenceBuilder, files: dict[str, bytes] | None = None) -> Verdict:
    evidence = FilesEvidence(builder.files() if files is None else files)
    return replay(evidence, AuditPolicy(builder.pin))


def lied(**edits: Callable[[Any], Any]) -> tuple[str, ...]:
    return verdict_of(EvidenceBuilder(edits=edits)).journal.failed


# --- evidence that is wrong ---


def test_an_object_that_stands_in_both_parts_is_not_left_unread(
    territory: EvidenceBuilder,
) -> None:
    """The restricted copy once hid the public one, whose bytes nobody looked at."""
    files = territory.files()
    del files["objects/index"]
    path = object_path(territory.kinds["report"])
    files[f"restricted/{path}"] = files[path]
    files[path] = b"what everybody else downloads"
    assert verdict_of(territory, files).journal.failed == ("evidence.layout",)


def test_more_rounds_than_voted_are_found() -> None:
    """Each round costs rho / maximum: one more is privacy that nobody voted."""
    assert lied(second_plan=change(round=2)) == ("plan.rounds", "plan.carried")


def test_a_public_count_too_small_for_its_partials_is_found() -> None:
    """Under `clear` every partial needs the minimum alone: three of 20 are not 20 in all."""
    few = EvidenceBuilder(
        edits={
            "batch": rebatch(contributors_rounded=50),
            "opening": change(contributors_rounded=50),
            "release": change(contributors_rounded=50),
        },
        restricted=False,
    )
    assert verdict_of(few).journal.failed == ("opening.minima",)


def test_a_plan_dated_back_into_its_window_is_found() -> None:
    late = change(enrolled_at=START + timedelta(days=40))
    assert lied(enrolled0=late) == ("plan.authorised",)


def test_a_plan_made_under_an_expired_root_is_found() -> None:
    assert lied(root=change(expires_at=START)) == ("plan.authorised",)


def test_an_opening_days_after_a_suspension_that_was_logged_late_is_found(
    territory: EvidenceBuilder,
) -> None:
    """Only plans were once compared with the suspension's own date."""
    later = START + timedelta(days=3)
    failed = lied(
        suspension=change(authorisation=territory.vote.id, issued_at=START),
        opening=change(opened_at=later),
        release=change(released_at=later),
    )
    assert failed == ("plan.suspended",)


def test_an_order_days_after_a_suspension_that_was_logged_late_is_found(
    territory: EvidenceBuilder,
) -> None:
    failed = lied(
        suspension=change(authorisation=territory.vote.id, issued_at=START),
        orders1=change(issued_at=START + timedelta(days=3)),
    )
    assert failed == ("order.plan",)


def test_a_conclusion_that_nobody_was_ordered_to_make_is_found() -> None:
    """A scheduler could enrol a machine of its own and let it write the numbers."""
    assert lied(members_orders=lambda members: members[:-1]) == ("release.conclusion",)


def test_a_conclusion_made_without_a_sandbox_is_found() -> None:
    assert lied(conclusion=change(level="L0"))


class TwoLists(EvidenceBuilder):
    """A campaign whose orders were committed twice, as every longer one is."""

    def _commit(self, kind: str, campaign: Any, members: list[Digest]) -> None:
        if kind != "orders":
            super()._commit(kind, campaign, members)
            return
        super()._commit(kind, campaign, members[:3])
        name = f"restricted/orders-{campaign}.json"
        self.listings[f"restricted/orders-{campaign}-1.json"] = self.listings.pop(name)
        super()._commit(kind, campaign, members[3:])


class LateReceipts(EvidenceBuilder):
    """Answers that were signed before the orders key was replaced, and committed after it.

    `by` names who signed them: the "former" key, or a "stranger".
    """

    def __init__(self, by: str) -> None:
        self._by = by
        super().__init__()

    def _rotate(self) -> None:
        former = self.keys.orders
        fresh, stranger = (PrivateKey.generate(self._entropy) for _ in range(2))
        signer = former if self._by == "former" else stranger
        self.keys = dataclasses.replace(self.keys, orders=signer)
        batch = self._batch(0, [], []).digest
        self.keys = dataclasses.replace(self.keys, orders=fresh)
        super()._rotate()
        name = f"restricted/orders-{self.campaign}.json"
        self.listings[f"restricted/orders-{self.campaign}-1.json"] = self.listings.pop(name)
        self._commit("orders", self.campaign, [batch])


def test_answers_given_before_the_orders_key_was_replaced_stay_good() -> None:
    """A rotation between answer and commitment made honest evidence red for ever."""
    verdict = verdict_of(LateReceipts("former"))
    assert verdict.ok, [line for line in verdict.journal.lines if not line.ok]
    assert verdict_of(LateReceipts("stranger")).journal.failed == ("order.signatures",)


def test_a_receipt_that_another_worker_was_given_is_found() -> None:
    """Who was told counts: a receipt shown to somebody else is none for who contributed."""
    assert lied(answers=lambda answers: [answers[1], answers[0], answers[2]]) == ("order.receipts",)


def test_a_list_of_salts_left_out_of_a_campaign_is_found() -> None:
    """What contradicts an opening could be left out together with the list that names it."""
    builder = TwoLists()
    files = builder.files()
    assert verdict_of(builder, files).ok
    for path in [path for path in files if path.startswith("restricted/orders-")]:
        left = {name: data for name, data in files.items() if name != path}
        assert verdict_of(builder, left).journal.failed == ("commitment.opened",)


def test_a_campaign_that_was_not_exported_is_named_with_its_conclusions() -> None:
    builder = EvidenceBuilder()
    files = builder.files()
    for path in [path for path in files if path.startswith(("restricted/o", "restricted/p"))]:
        del files[path]
    said = " ".join(verdict_of(builder, files).journal.not_checked)
    assert str(builder.campaign) in said
    assert "conclusion" in said


def test_receipts_that_are_not_there_are_not_called_checked() -> None:
    """`order.receipts` is content with none at all, and said nothing about it."""
    verdict = verdict_of(EvidenceBuilder(edits={"answers": lambda _: []}))
    assert verdict.ok
    assert any("told was accepted" in sentence for sentence in verdict.journal.not_checked)


@pytest.mark.parametrize(
    ("said", "instead"),
    [
        (b'"rho":"0.1"', b'"rho":"0.001"'),
        (b'"kind":"value"', b'"kind":"lower"'),
        (b'"cells":[', b'"cells":["<script>",'),
        (b'"format":', b'"extra":1,"format":'),
    ],
)
def test_a_report_in_other_words_than_voted_is_found_without_its_conclusion(
    said: bytes, instead: bytes
) -> None:
    def reworded(raw: bytes) -> bytes:
        assert said in raw
        return raw.replace(said, instead, 1)

    builder = EvidenceBuilder(edits={"report": reworded}, restricted=False)
    assert verdict_of(builder).journal.failed == ("release.report",)


def test_every_author_is_named_not_only_the_last(territory: EvidenceBuilder) -> None:
    files = territory.files()
    del files["objects/index"]
    other = PrivateKey.generate(seeded(b"plagiarist"))
    raw = statement.sign(territory.bundle, other, ManualClock(START)).envelope.raw
    files[object_path(Digest.of(raw))] = raw
    (line,) = [
        line for line in verdict_of(territory, files).journal.lines if line.check == "bundle.author"
    ]
    for key in (other, territory.keys.author):
        assert key.public.keyid in line.found


class TwoFaces(FilesEvidence):
    """A folder whose checkpoint is another one every time it is read."""

    def __init__(self, files: dict[str, bytes], faces: list[bytes]) -> None:
        super().__init__(files)
        self._faces = faces

    def read(self, path: str) -> bytes:
        if path == "log/checkpoint" and self._faces:
            return self._faces.pop(0)
        return super().read(path)


def test_a_checkpoint_exchanged_between_two_looks_is_found(territory: EvidenceBuilder) -> None:
    """Pins were asked of the first answer, entries of the second."""
    files = territory.files()
    head = files["log/checkpoint"]
    text = head[: head.index(b"\n\n") + 1]
    keys = territory.keys
    other = cosign(text, "witness.example", keys.witness, 1)
    log_line = next(line for line in head.splitlines() if b"log.territory" in line[3:])
    log_line = head[head.index(b"\n\n") + 2 :].splitlines()[0]
    face = text + b"\n" + log_line + b"\n" + other.emit().encode()
    verdict = replay(TwoFaces(files, [face]), AuditPolicy(territory.pin))
    assert verdict.journal.failed == ("log.tiles",)


def test_an_earlier_checkpoint_of_an_earlier_witness_is_no_alarm() -> None:
    """Whoever kept checkpoints across a change of witnesses was once told of a forgery."""
    other = PrivateKey.generate(seeded(b"second witness"))

    class Changed(EvidenceBuilder):
        def _policy(self) -> str:
            if self.roots:
                key = CosignerKey("later.example", other.public)
                return super()._policy().split("witness w")[0] + f"witness w {key}\nquorum w\n"
            return super()._policy()

        def _checkpoint(self) -> bytes:
            if len(self.roots) < 2:
                return super()._checkpoint()
            head = super()._checkpoint()
            text = head[: head.index(b"\n\n") + 1]
            log_line = head[head.index(b"\n\n") + 2 :].splitlines()[0]
            line = cosign(text, "later.example", other, int(self.now.timestamp()))
            return text + b"\n" + log_line + b"\n" + line.emit().encode()

    verdict = verdict_of(Changed())
    assert verdict.ok, [line for line in verdict.journal.lines if not line.ok]


def test_a_frozen_log_shows_its_age(territory: EvidenceBuilder) -> None:
    """A log cut at an earlier cosigned checkpoint is whole in itself: only its date tells."""
    young = EvidenceBuilder(restricted=False)
    del young.entries[9:]
    young.roots.pop()
    young.now = START + timedelta(hours=1)
    files = {**young.files()}
    verdict = verdict_of(young, files)
    (line,) = [line for line in verdict.journal.lines if line.check == "log.checkpoint"]
    assert "2026-11-01T09:00:00Z" in line.found
    assert any("after the checkpoint" in sentence for sentence in verdict.journal.not_checked)


# --- excluded workers ---


class Excluding(EvidenceBuilder):
    """Worker `who` is excluded right before the plan, or at the very end."""

    def __init__(self, who: int, *, early: bool, again: bool = False) -> None:
        self._who, self._early, self._again = who, early, again
        super().__init__()

    def _exclude(self) -> None:
        key = self.keys.workers[self._who]
        ban = Banned(TERRITORY, key.public.worker_id, key.public, self._tick())
        self._log(Kind.KEY_EVENT, self._sign("banned", ban, self.keys.orders))
        if self._again:
            self._enrolled("again", key, "operator 9")

    def _campaign(self) -> None:
        if self._early:
            self._exclude()
        super()._campaign()
        if not self._early:
            self._exclude()


def test_an_exclusion_is_read_from_the_log() -> None:
    for who in (0, 3):
        verdict = verdict_of(Excluding(who, early=False))
        assert verdict.ok, [line for line in verdict.journal.lines if not line.ok]
        (line,) = [line for line in verdict.journal.lines if line.check == "log.entries"]
        assert "1 key-event" in line.found


def test_a_partial_of_a_worker_excluded_before_its_round_is_found() -> None:
    assert verdict_of(Excluding(1, early=True)).journal.failed == ("partial.signatures",)


def test_a_conclusion_of_a_worker_excluded_before_is_found() -> None:
    assert "release.conclusion" in verdict_of(Excluding(3, early=True)).journal.failed


def test_a_worker_enrolled_again_after_its_exclusion_is_found() -> None:
    again = Excluding(0, early=False, again=True)
    assert verdict_of(again).journal.failed == ("documents.signatures",)


def test_orders_to_an_excluded_worker_are_found() -> None:
    class Ordering(Excluding):
        def _exclude(self) -> None:
            pass

        def _batch(self, index: int, orders: Any, answers: Any) -> Any:
            if index == 2:
                Excluding._exclude(self)
                self._tick(hours=2)
            return super()._batch(index, orders, answers)

    assert "order.signatures" in verdict_of(Ordering(2, early=False)).journal.failed


def test_an_exclusion_has_one_spelling() -> None:
    """A vector: the bytes under which an exclusion is signed do not change."""
    key = PrivateKey.generate(seeded(b"excluded")).public
    raw = schema.encode(Banned(TERRITORY, key.worker_id, key, START))
    assert (
        raw
        == (
            f'{{"banned_at":"2026-11-01T08:00:00Z","key":"{key}","territory":"territory.example",'
            f'"worker":"{key.worker_id}"}}'
        ).encode()
    )
    assert schema.decode(Banned, raw).worker == key.worker_id


# --- two institutions ---


class Refused(EncryptedBuilder):
    """The keyholder refuses the round before it is planned; `signer` is who says so."""

    def _engage(self) -> Digest | None:
        helper = super()._engage()
        refusal = KeyholderRefusal(TERRITORY, self.campaign, 1, "below-minimum", "no", self._tick())
        self._log(Kind.REFUSAL, self._sign("keyholder_refusal", refusal, self.keys.keyholder))
        return helper


class Stranger(EncryptedBuilder):
    """Somebody who is no trustee signs the third trustee's key."""

    def _sign(self, name: str, document: Any, *keys: PrivateKey) -> Any:
        mine = (self.keys.author,) if name == "trustee3" else keys
        return super()._sign(name, document, *mine)


def test_what_keyholder_and_trustees_sign_is_read_each_under_its_duty() -> None:
    """One trustee speaks alone for their own key, though three must act together to open."""
    verdict = verdict_of(EncryptedBuilder())
    assert verdict.ok, [line for line in verdict.journal.lines if not line.ok]
    assert verdict_of(Stranger()).journal.failed == ("documents.signatures",)
    assert verdict_of(Refused()).journal.failed == ("helper.refusals",)


def test_a_key_epoch_that_was_not_voted_is_found() -> None:
    """Under `shared` nobody encrypts, whatever stands in log and plan."""

    class Shared(EncryptedBuilder):
        def _manifest(self, text: str) -> str:
            return super()._manifest(text).replace('"encrypted"', '"shared"')

        def _protect(self, index: int, partial: Any, values: Any) -> Any:
            partial = super()._protect(index, partial, values)
            return dataclasses.replace(partial, protection=Protection.SHARED)

    class Unnamed(Shared):
        def _sign(self, name: str, document: Any, *keys: PrivateKey) -> Any:
            if name == "plan":
                document = dataclasses.replace(document, epoch=None)
            return super()._sign(name, document, *keys)

    for builder in (Shared(), Unnamed()):
        failed = verdict_of(builder).journal.failed
        assert {"epoch.key", "share.signatures", "share.sum"} <= set(failed)


def test_two_halves_are_no_opening_of_an_encrypted_batch() -> None:
    """What no keyholder opened must not look as if it had been added up."""

    class Halved(SharedBuilder):
        def _manifest(self, text: str) -> str:
            return super()._manifest(text).replace('"shared"', '"encrypted"')

        def _protect(self, index: int, partial: Any, values: Any) -> Any:
            partial = super()._protect(index, partial, values)
            return dataclasses.replace(partial, protection=Protection.ENCRYPTED)

    failed = verdict_of(Halved()).journal.failed
    assert {"epoch.key", "epoch.withheld", "share.signatures", "share.opened"} <= set(failed)


def test_a_vote_that_mixes_protections_is_found(territory: EvidenceBuilder) -> None:
    (rule,) = territory.vote.rules
    other = dataclasses.replace(rule, output="other", protection=Protection.SHARED)
    with pytest.raises(AuditFailure, match="mixes protections: clear, shared"):
        protection_of(dataclasses.replace(territory.vote, rules=(rule, other)))


# --- exhaustion ---


def _peak(work: Callable[[], Any]) -> int:
    tracemalloc.start()
    try:
        with pytest.raises(AuditFailure):
            work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("row", [b"[],", b"{},", b"0,", b'{"":{"":['])
def test_a_batch_full_of_nothing_takes_no_more_memory_than_its_file(row: bytes) -> None:
    bomb = b"[" + row * ((4 << 20) // len(row)) + b"0]"
    assert _peak(lambda: read_batch(bomb)) < 3 * len(bomb)


@pytest.mark.parametrize("row", [b"{},", b'"ab",', b"[],"])
def test_a_list_of_salts_full_of_nothing_takes_little_memory(row: bytes) -> None:
    head = b'{"commitment":"' + str(Digest.of(b"")).encode() + b'","leaves":['
    bomb = head + row * ((4 << 20) // len(row)) + b"{}]}"
    assert _peak(lambda: read_listing(bomb, "restricted/orders-x.json")) < 6 * len(bomb)


# --- words that reach a terminal ---


@pytest.mark.parametrize("name", [ESCAPE.encode(), b"\xff\xfe", "\u202egnp.exe".encode()])
def test_names_of_files_do_not_reach_the_terminal(
    territory: EvidenceBuilder, tmp_path: Path, name: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(territory.files(), tmp_path / "evidence")
    (folder / os.fsdecode(name)).symlink_to("/etc/passwd")
    for words in (["audit", "verify", str(folder)], ["audit", "verify", str(folder), "--json"]):
        assert cadastre.main(words) == 3
        said = capsys.readouterr()
        assert (said.out + said.err).replace("\n", "").isprintable()


def test_words_of_documents_do_not_reach_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named = change(territory=ESCAPE)
    builder = EvidenceBuilder(edits={"root": named, "root2": named})
    folder = write(builder.files(), tmp_path / "evidence")
    assert cadastre.main(["audit", "verify", str(folder)]) == 3
    said = capsys.readouterr()
    assert (said.out + said.err).replace("\n", "").isprintable()


# --- a hostile site ---


Answer = Callable[[str], bytes]


@contextlib.contextmanager
def serving(answer: Answer, family: int = socket.AF_INET) -> Iterator[str]:
    """A server that says exactly the bytes that `answer` gives for a path, then hangs up.

    An answer that is empty means: say nothing and stay.
    """
    listener = socket.socket(family)
    listener.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
    listener.listen()
    held: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            held.append(peer)
            asked = peer.recv(65536).decode("latin-1").split(" ")
            said = answer(asked[1] if len(asked) > 1 else "")
            with contextlib.suppress(OSError):
                peer.sendall(said)
                if said:
                    peer.shutdown(socket.SHUT_RDWR)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    host = "[::1]" if family == socket.AF_INET6 else "127.0.0.1"
    try:
        yield f"http://{host}:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for peer in held:
            peer.close()
        thread.join()


def ok(body: bytes, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + body


MISSING = b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"


def of(files: dict[str, bytes]) -> Answer:
    return lambda path: ok(files[path[1:]]) if path[1:] in files else MISSING


@pytest.fixture(scope="module")
def public() -> dict[str, bytes]:
    return EvidenceBuilder(restricted=False).files()


def test_a_site_over_ipv6_is_fetched(public: dict[str, bytes], tmp_path: Path) -> None:
    try:
        with serving(of(public), socket.AF_INET6) as url:
            download(url, tmp_path)
    except OSError:
        pytest.skip("this machine has no IPv6")
    assert replay(EvidenceFolder(tmp_path)).ok


def test_an_answer_cut_short_is_not_kept(public: dict[str, bytes], tmp_path: Path) -> None:
    """http.client gives a short body without a word when an amount is asked for."""
    victim = next(path for path in public if path.startswith("objects/sha256/"))

    def answer(path: str) -> bytes:
        if path[1:] != victim:
            return of(public)(path)
        return ok(public[victim][:-1], len(public[victim]))

    with serving(answer) as url, pytest.raises(DownloadFailed, match="does not answer"):
        download(url, tmp_path)
    assert not (tmp_path / victim).exists()


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n" * 400_000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n1",
        b"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\n1",
        b"",
    ],
    ids=["endless continue", "stalled body", "stalled to the end", "silence"],
)
def test_a_site_that_stalls_ends(
    said: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only silence was bounded: a byte now and then kept an auditor waiting for ever."""
    monkeypatch.setattr(audit.publisher, "FILE_TIMEOUT", 0.2)
    stop = threading.Event()

    def drip(peer: socket.socket) -> None:
        with peer, contextlib.suppress(OSError):
            peer.recv(65536)
            peer.sendall(said)
            while not stop.wait(0.02):
                peer.sendall(said[-1:])

    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            drips.append(threading.Thread(target=drip, args=(peer,)))
            drips[-1].start()

    drips = [threading.Thread(target=accept)]
    drips[0].start()
    try:
        with pytest.raises(DownloadFailed, match="does not answer"):
            download(f"http://127.0.0.1:{listener.getsockname()[1]}", tmp_path)
    finally:
        stop.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in drips:
            thread.join()


def test_a_site_cannot_write_on_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(lambda _: ESCAPE.encode() + b"\r\n\r\n") as url:
        code = cadastre.main(["audit", "fetch", url, "--out", str(tmp_path / "x")])
    assert code == 75
    said = capsys.readouterr()
    assert (said.out + said.err).replace("\n", "").isprintable()


@pytest.mark.parametrize("to", ["file:///etc/passwd", "http://127.0.0.1:9/x", "gopher://x"])
def test_redirects_are_not_followed(to: str, tmp_path: Path) -> None:
    said = f"HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n".encode()
    with serving(lambda _: said) as url, pytest.raises(DownloadFailed, match="answers 302"):
        download(url, tmp_path)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:99999",
        "http://127.0.0.1:port",
        "http://[::1",
        "http://" + "a" * 70 + ".example/",
        "http://127.0.0.1:9/\u00e9t\u00e9",
        "http://127.0.0.1:9/a b",
        "http:///nothing",
    ],
)
def test_an_address_that_is_none_is_refused_in_words(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cadastre.main(["audit", "fetch", url, "--out", str(tmp_path)]) == 75
    assert "error: " in capsys.readouterr().err


def test_a_fetch_into_a_planted_folder_writes_nowhere_else(
    public: dict[str, bytes], tmp_path: Path
) -> None:
    """Somebody gives an auditor a folder to continue; a link in it led out of it."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    home = tmp_path / "home"
    home.mkdir()
    for link, target in (("log/checkpoint", victim), ("objects", home)):
        folder = write({"policy/log-policy.txt": b"x"}, tmp_path / link.replace("/", "-"))
        (folder / link).parent.mkdir(exist_ok=True)
        (folder / link).symlink_to(target)
        with serving(of(public)) as url, pytest.raises(DownloadFailed, match="plain file"):
            download(url, folder)
    assert victim.read_bytes() == b"mine"
    assert not list(home.iterdir())


def test_a_site_that_shows_another_root_does_not_replace_the_kept_one(
    public: dict[str, bytes], tmp_path: Path
) -> None:
    folder = write(public, tmp_path / "kept")
    other = EvidenceBuilder(seed=b"somebody else", restricted=False).files()
    with serving(of(other)) as url, pytest.raises(DownloadFailed, match="another territory root"):
        download(url, folder)
    assert (folder / "policy/root-1.json").read_bytes() == public["policy/root-1.json"]
    assert replay(EvidenceFolder(folder)).ok


def test_a_checkpoint_that_nobody_signed_does_not_spoil_the_kept_copy(
    public: dict[str, bytes], tmp_path: Path
) -> None:
    """One forged answer stayed in log/checkpoints/ and made every later audit fail."""
    folder = tmp_path / "kept"
    with serving(of(public)) as url:
        download(url, folder)
    head = public["log/checkpoint"]
    forged = {**public, "log/checkpoint": head[:-8] + b"AAAAAA==\n"[-8:]}
    for files in ({**public, "log/checkpoint": b"garbage"}, forged, public):
        with serving(of(files)) as url, contextlib.suppress(DownloadFailed):
            download(url, folder)
    verdict = replay(EvidenceFolder(folder))
    assert verdict.ok, [line for line in verdict.journal.lines if not line.ok]


def test_a_kept_file_that_is_huge_is_not_read_whole(
    public: dict[str, bytes], tmp_path: Path
) -> None:
    folder = write(public, tmp_path / "kept")
    with (folder / "log/checkpoint").open("wb") as stream:
        stream.truncate(1 << 40)
    with serving(of(public)) as url:
        download(url, folder)
    assert replay(EvidenceFolder(folder)).ok
    shutil.rmtree(folder)
