"""Attacks on operators' and owners' command line: a scheduler, a registry, a folder that lie."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import http.server
import json
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import client.bundles
import client.campaigns
import client.consents
import client.log
import client.membership
from client import identity
from client.errors import IdentityMissing, InputRefused
from client.identity import Identity, Member
from client.session import Session, require_current_root
from protos.cadastre.v1 import (
    audit_pb2,
    bundles_pb2,
    campaigns_pb2,
    consents_pb2,
    states_pb2,
)
from terminal import exits
from tests.audit.evidence_builder import START, TERRITORY, EvidenceBuilder, change
from trust import certificates
from trust import root as roots
from trust.certificates import Role
from trust.clock import ManualClock
from trust.documents import signed
from trust.documents.consent import Consent, Decision, revocation_token
from trust.documents.governance import Status
from trust.entropy import SYSTEM, seeded
from trust.errors import RootRefused
from trust.ids import CampaignId, CapsuleId, Digest
from trust.keys import PrivateKey
from trust.log.proof import LogProof
from trust.log.tree import Tree, leaf_hash
from trust.problem import Problem
from wire.enrolment import Membership

ESCAPE = "\x1b]0;owned\x07"


class Channel:
    """A channel that only remembers which method a stub stands for."""

    def unary_unary(self, path: str, *_: Any, **__: Any) -> str:
        return path.rpartition("/")[2]

    unary_stream = unary_unary


@dataclasses.dataclass(frozen=True)
class Hostile(Session):
    """A session with a scheduler that answers what it likes."""

    answers: dict[str, Any] = dataclasses.field(default_factory=dict)

    async def call(self, method: Any, request: Any) -> Any:
        answer = self.answers[method]
        return answer(request) if callable(answer) else answer

    async def stream(self, method: Any, request: Any) -> AsyncIterator[Any]:
        for message in self.answers[method]:
            yield message


@pytest.fixture(scope="module")
def territory() -> EvidenceBuilder:
    return EvidenceBuilder()


@pytest.fixture
def hostile(
    territory: EvidenceBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """Answers by method name, for every command of this room."""
    return speaking(territory.roots[0], tmp_path, monkeypatch)


def speaking(root: bytes, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    trusted = roots.trust_pinned(root, Digest.of(root))
    member = Member("ada", "operator", Digest.of(root), 1, "127.0.0.1:1", "http://127.0.0.1:1")
    me = Identity(folder, member, (trusted,), None, None)  # type: ignore[arg-type]

    def within(_folder: Path, visit: Any) -> Any:
        return asyncio.run(visit(Hostile(me, Channel(), answers)))  # type: ignore[arg-type]

    for module in (
        client.bundles,
        client.campaigns,
        client.consents,
        client.log,
        client.membership,
    ):
        monkeypatch.setattr(module, "within", within)
    return answers


def words(**given: Any) -> argparse.Namespace:
    return argparse.Namespace(json=False, identity=Path("me"), **given)


# --- proofs ---


def proof_of(territory: EvidenceBuilder, name: str) -> audit_pb2.ProveResponse:
    files = territory.files()
    digest = territory.kinds[name]
    tree = Tree(leaf_hash(entry) for entry in territory.entries)
    (index,) = [i for i, e in enumerate(territory.entries) if str(digest) in e.decode()]
    proof = LogProof(index, tuple(tree.inclusion(index, tree.size)), files["log/checkpoint"])
    kind = territory.entries[index].decode().split()[1]
    return audit_pb2.ProveResponse(
        proof=proof.emit().decode(),
        index=index,
        envelope=territory.objects[digest],
        kind=kind,
    )


def test_a_true_proof_is_taken_by_digest_and_by_index(
    territory: EvidenceBuilder, hostile: dict[str, Any], tmp_path: Path
) -> None:
    hostile["Prove"] = answer = proof_of(territory, "plan")
    for entry in (str(territory.kinds["plan"]), str(answer.index)):
        assert client.log.prove(words(entry=entry, out=tmp_path / "proof")) == 0
    assert (tmp_path / "proof/entry.json").read_bytes() == answer.envelope


def test_a_proof_of_another_index_is_refused(
    territory: EvidenceBuilder, hostile: dict[str, Any], tmp_path: Path
) -> None:
    hostile["Prove"] = answer = proof_of(territory, "plan")
    with pytest.raises(Problem, match="another entry"):
        client.log.prove(words(entry=str(answer.index + 1), out=tmp_path / "x"))
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("entry", ["plan", "", "-1", "3f" * 32, "SHA256:" + "0" * 64, "٣"])
def test_what_names_no_entry_is_refused_before_it_is_asked(
    territory: EvidenceBuilder, hostile: dict[str, Any], entry: str
) -> None:
    """Without a digest there was nothing to compare the answer with."""
    hostile["Prove"] = proof_of(territory, "plan")
    with pytest.raises(Problem, match="neither a digest nor an index"):
        client.log.prove(words(entry=entry, out=None))


@pytest.mark.parametrize(
    "forged",
    [
        {"kind": "miracle"},
        {"kind": "release"},
        {"proof": ""},
        {"proof": "\u2028"},
        {"envelope": b""},
    ],
)
def test_a_forged_proof_is_refused_in_words(
    territory: EvidenceBuilder, hostile: dict[str, Any], forged: dict[str, Any]
) -> None:
    answer = proof_of(territory, "plan")
    for field, value in forged.items():
        setattr(answer, field, value)
    hostile["Prove"] = answer
    with pytest.raises(Problem):
        client.log.prove(words(entry=str(territory.kinds["plan"]), out=None))


def test_a_proof_without_witnesses_is_not_called_witnessed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A root may ask for no witness; then nobody watched, and the command once said otherwise."""
    alone = EvidenceBuilder(edits={"policy": lambda t: t.split("\n")[0] + "\nquorum none\n"})
    answers = speaking(alone.roots[0], tmp_path, monkeypatch)
    answers["Prove"] = proof_of(alone, "plan")
    with pytest.raises(Problem, match="asks for no witness"):
        client.log.prove(words(entry=str(alone.kinds["plan"]), out=None))


# --- evidence ---


def test_evidence_without_end_is_cut(
    hostile: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client.log, "MAXIMUM_EVIDENCE_BYTES", 1000)
    part = audit_pb2.EvidenceFile(path="log/checkpoint", data=b"x" * 100)
    hostile["Evidence"] = [part] * 100
    with pytest.raises(Problem, match="over 1000 bytes"):
        client.log.evidence(words(campaign="", out=tmp_path / "out"))
    assert not list(tmp_path.iterdir())


def test_too_many_files_of_evidence_are_cut(
    hostile: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client.log, "MAXIMUM_EVIDENCE_FILES", 10)
    hostile["Evidence"] = [audit_pb2.EvidenceFile(path=f"log/{i}") for i in range(100)]
    with pytest.raises(Problem, match="over 10 files"):
        client.log.evidence(words(campaign="", out=tmp_path / "out"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "names",
    [["../x"], ["/etc/x"], ["a", "a/b"], ["a/b", "a"], ["x\0y"], ["y" * 300], [""], ["a/../../x"],
     [ESCAPE + "/.."], ["./a"], ["a//b", "\ud7ff/" + "z" * 256]],
)  # fmt: skip
def test_names_of_evidence_neither_lead_out_nor_crash(
    hostile: dict[str, Any], tmp_path: Path, names: list[str]
) -> None:
    hostile["Evidence"] = [audit_pb2.EvidenceFile(path=name, data=b"x") for name in names]
    out = tmp_path / "deep" / "out"
    out.parent.mkdir()
    said = ""
    try:
        client.log.evidence(words(campaign="", out=out))
    except Problem as problem:
        said = str(problem)
    assert not said or not list(out.parent.iterdir())
    assert ESCAPE not in said
    assert {path.name for path in tmp_path.iterdir()} == {"deep"}


# --- campaigns ---


def test_a_report_of_another_campaign_is_refused(
    territory: EvidenceBuilder, hostile: dict[str, Any]
) -> None:
    """The release was verified, but not that it is the one that was asked for."""
    hostile["Report"] = campaigns_pb2.ReportResponse(
        release=territory.objects[territory.kinds["release"]],
        report=territory.objects[territory.kinds["report"]],
    )
    whole = str(territory.campaign)
    for asked in (whole, whole[:12], whole.removeprefix("camp_")[:12]):
        assert client.campaigns.report(words(campaign=asked, out=None)) == 0
    other = CampaignId.draw(seeded(b"other"))
    with pytest.raises(Problem, match="another campaign"):
        client.campaigns.report(words(campaign=str(other), out=None))


def test_a_report_that_is_none_is_refused_in_words(hostile: dict[str, Any], tmp_path: Path) -> None:
    for raw in (b"{", b"[]", b'{"arrays":3}', b"\xff"):
        lying = EvidenceBuilder(edits={"report": lambda _, raw=raw: raw})
        hostile["Report"] = campaigns_pb2.ReportResponse(
            release=lying.objects[lying.kinds["release"]], report=raw
        )
        with pytest.raises(Problem):
            client.campaigns.report(words(campaign=str(lying.campaign), out=tmp_path / "out"))
        assert not (tmp_path / "out").exists()


def test_states_and_titles_from_elsewhere_do_not_crash_or_colour(
    hostile: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    view = campaigns_pb2.CampaignView(campaign=ESCAPE, title=f"x\n{ESCAPE}", reason="\u202e")
    view.state = 99  # type: ignore[assignment]
    hostile["Show"] = view
    hostile["List"] = campaigns_pb2.ListCampaignsResponse(campaigns=[view])
    assert client.campaigns.show(words(campaign="c")) == 0
    assert client.campaigns.list_all(words()) == 0
    said = capsys.readouterr().out
    assert said.replace("\n", "").isprintable()
    assert "unknown" in said


def test_a_watch_that_ends_without_a_word_is_told(hostile: dict[str, Any]) -> None:
    hostile["Watch"] = []
    with pytest.raises(Problem, match="without a word"):
        client.campaigns.watch(words(campaign="c", until=""))


@pytest.mark.parametrize(
    ("until", "seen"),
    [
        ("for consents", 2),
        ("waiting-for-consents", 2),
        ("refused", 3),
        ("released", 4),
        ("", 4),
        ("nobody says this", 4),  # released all the same
    ],
)
def test_a_watch_stops_at_the_first_word_that_it_waits_for(
    hostile: dict[str, Any], until: str, seen: int
) -> None:
    refusal = campaigns_pb2.UnitView(reason="the worker refused: [blob-altered]")
    said = (
        campaigns_pb2.CampaignView(state=states_pb2.CAMPAIGN_STATE_DRAFT, reason="for workers"),
        campaigns_pb2.CampaignView(
            state=states_pb2.CAMPAIGN_STATE_DRAFT,
            reason="for consents",
            reason_code="waiting-for-consents",
        ),
        campaigns_pb2.CampaignView(
            state=states_pb2.CAMPAIGN_STATE_RUNNING,
            rounds=[campaigns_pb2.RoundView(units=[refusal])],
        ),
        campaigns_pb2.CampaignView(state=states_pb2.CAMPAIGN_STATE_RELEASED),
    )
    heard: list[int] = []

    def views() -> Iterator[Any]:
        for number, view in enumerate((*said, None), start=1):
            heard.append(number)
            yield view

    hostile["Watch"] = views()
    assert client.campaigns.watch(words(campaign="c", until=until)) == exits.OK
    assert len(heard) == seen


def test_a_campaign_that_fails_before_it_says_the_word_ends_the_watch_with_1(
    hostile: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    failed = campaigns_pb2.CampaignView(
        state=states_pb2.CAMPAIGN_STATE_FAILED,
        reason="too few trustees gave their share",
        reason_code="trustees-absent",
    )
    for word in ("consents", "trustees"):  # that it failed for want of them is not their coming
        hostile["Watch"] = [failed]
        assert client.campaigns.watch(words(campaign="c", until=word)) == exits.FAILURE
    assert "the campaign is failed: too few" in capsys.readouterr().err
    hostile["Watch"] = [failed]
    assert client.campaigns.watch(words(campaign="c", until="failed")) == exits.OK


# --- bundles and members ---


def test_a_bundle_taken_under_another_digest_is_refused(
    territory: EvidenceBuilder,
    hostile: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The college would have voted on the digest that the scheduler printed."""

    async def put(_: Any, data: bytes) -> Digest:
        return Digest.of(data)

    monkeypatch.setattr("wire.blobs.put", put)
    archive = tmp_path / "b.cadastre"
    archive.write_bytes(b"bundle")
    (tmp_path / "b.cadastre.sig").write_bytes(b"{}")
    hostile["Submit"] = bundles_pb2.BundleSummary(bundle=str(Digest.of(b"another")))
    with pytest.raises(Problem, match="another bundle"):
        client.bundles.submit(words(bundle=archive))


def test_an_exclusion_that_was_not_made_is_told(hostile: dict[str, Any]) -> None:
    hostile["Ban"] = audit_pb2.WorkerView(worker="wrk_b", banned=True)
    with pytest.raises(Problem, match="did not exclude"):
        client.membership.ban(words(worker="wrk_a", reason="stolen"))
    hostile["Ban"] = audit_pb2.WorkerView(worker="wrk_a", banned=False)
    with pytest.raises(Problem, match="did not exclude"):
        client.membership.ban(words(worker="wrk_a", reason="stolen"))


# --- consents ---


def consent(decision: Decision) -> tuple[Consent, bytes]:
    key = PrivateKey.generate(seeded(b"owner"))
    now = datetime.now(UTC).replace(microsecond=0)
    document = Consent(
        territory=TERRITORY,
        capsule=CapsuleId.draw(seeded(b"capsule")),
        worker=key.public.worker_id,
        owner=key.public,
        serial=1,
        decision=decision,
        target="purpose:mobility",
        tables=("trips",),
        issued_at=now,
        expires_at=now + timedelta(days=300),
    )
    return document, signed.sign(document, [key]).envelope.raw


class Governance(http.server.ThreadingHTTPServer):
    """A registry that answers `said` to every submission, and serves `status`."""

    daemon_threads = True
    said: bytes = b'{"accepted":1,"unchanged":0,"refused":[]}'
    status: bytes = b""
    location = ""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Governance

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.location:
            self.send_response(302)
            self.send_header("Location", self.server.location)
            self.end_headers()
            return
        self._send(self.server.said)

    def do_GET(self) -> None:
        self._send(self.server.status if "status" in self.path else self.server.said)

    def _send(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        pass


@pytest.fixture
def governance() -> Iterator[Governance]:
    server = Governance(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
    yield server
    server.shutdown()
    server.server_close()


def address(server: Governance) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


def submit(
    server: Governance, tmp_path: Path, decision: Decision = Decision.GRANT
) -> tuple[int, Consent]:
    document, raw = consent(decision)
    path = tmp_path / "one.1.consent"
    path.write_bytes(raw)
    return client.consents.submit(words(consents=path, registry=address(server))), document


def test_a_scheduler_that_swallows_consents_is_found(
    hostile: dict[str, Any], governance: Governance, tmp_path: Path
) -> None:
    """Zero accepted, zero refused, and the command ended well."""
    hostile["Submit"] = consents_pb2.SubmitConsentsResponse()
    with pytest.raises(Problem, match="accounts for 0 of 1"):
        submit(governance, tmp_path)


@pytest.mark.parametrize(
    "said",
    [b"[]", b'{"refused":3}', b'{"refused":[{}]}', b'{"refused":[{"code":1}]}', b"{}",
     b'{"accepted":0,"unchanged":0,"refused":[]}', b'{"accepted":true,"unchanged":0,"refused":[]}',
     b"[" * 100_000],
)  # fmt: skip
def test_a_registry_that_swallows_or_babbles_is_found(
    hostile: dict[str, Any], governance: Governance, tmp_path: Path, said: bytes
) -> None:
    hostile["Submit"] = consents_pb2.SubmitConsentsResponse(accepted=1)
    governance.said = said
    with pytest.raises(Problem):
        submit(governance, tmp_path)


def test_a_registry_cannot_send_the_submission_elsewhere(
    hostile: dict[str, Any], governance: Governance, tmp_path: Path
) -> None:
    """urllib follows a redirect of a POST with a GET: the answer is then somebody else's."""
    hostile["Submit"] = consents_pb2.SubmitConsentsResponse(accepted=1)
    governance.location = f"{address(governance)}/elsewhere"
    with pytest.raises(Problem, match=r"does not answer|refused"):
        submit(governance, tmp_path)


def test_an_owner_is_told_what_to_do_about_a_consent_that_was_refused(
    hostile: dict[str, Any],
    governance: Governance,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    line = {"index": 0, "code": "x", "sentence": "no", "remedy": f"turn it off{ESCAPE}"}
    governance.said = json.dumps({"accepted": 0, "unchanged": 0, "refused": [line]}).encode()
    hostile["Submit"] = consents_pb2.SubmitConsentsResponse()
    code, _ = submit(governance, tmp_path)
    told = capsys.readouterr().err
    assert code == 1
    assert "remedy: turn it off" in told
    assert ESCAPE not in told
    # The scheduler's refusals have their own.
    governance.said = Governance.said
    item = consents_pb2.RefusedConsent(code="y", sentence="no", remedy="turn it on")
    hostile["Submit"] = consents_pb2.SubmitConsentsResponse(refused=[item])
    submit(governance, tmp_path)
    assert "remedy: turn it on" in capsys.readouterr().err


def test_a_grant_that_the_registry_refused_does_not_reach_the_scheduler(
    hostile: dict[str, Any], governance: Governance, tmp_path: Path
) -> None:
    governance.said = json.dumps(
        {"accepted": 0, "unchanged": 0, "refused": [{"index": 0, "code": "x", "sentence": ESCAPE}]}
    ).encode()
    sent: list[Any] = []

    def take(request: Any) -> Any:
        sent.extend(request.consents)
        return consents_pb2.SubmitConsentsResponse(accepted=len(request.consents))

    hostile["Submit"] = take
    code, _ = submit(governance, tmp_path)
    assert code == 1
    assert not sent
    submit(governance, tmp_path, Decision.REVOKE)  # a withdrawal goes wherever it can
    assert len(sent) == 1


def test_a_revocation_counts_as_recorded_only_in_the_signed_status(
    territory: EvidenceBuilder,
    governance: Governance,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Scheduler and registry say "accepted" without a signature; the status is signed."""
    builder = EvidenceBuilder(edits={"root": change(status_url=f"{address(governance)}/status")})
    answers = speaking(builder.roots[0], tmp_path, monkeypatch)
    answers["Submit"] = consents_pb2.SubmitConsentsResponse(accepted=1)
    document, _ = consent(Decision.REVOKE)
    token = revocation_token(document.capsule, document.target)
    now = datetime.now(UTC)
    status = Status(TERRITORY, 1, now, now + timedelta(hours=1), (), (token,), {})
    old = dataclasses.replace(status, expires_at=now - timedelta(hours=1))
    silent = dataclasses.replace(status, revoked=())
    right, wrong = builder.keys.status, builder.keys.orders
    for said, key, recorded in (
        (status, right, 1),
        (silent, right, 0),
        (status, wrong, 0),
        (old, right, 0),
    ):
        governance.status = signed.sign(said, [key]).envelope.raw
        code, _ = submit(governance, tmp_path, Decision.REVOKE)
        told = capsys.readouterr()
        lines = told.out.splitlines()
        assert any(line.split()[-1] == str(recorded) and "signed" in line for line in lines), lines
        assert code == (0 if recorded else 75)


# --- the identity folder ---


def joined(folder: Path, territory: EvidenceBuilder) -> Identity:
    _, tls = identity.draw_keys(folder, SYSTEM)
    clock = ManualClock(START)
    key = certificates.new_key()
    authority = certificates.make_authority(key, TERRITORY, clock.now())
    leaf = certificates.issue(
        key, authority, certificates.make_request(tls, "operator"), territory=TERRITORY,
        role=Role.OPERATOR, name="ada", now=clock.now(),
    )  # fmt: skip
    trusted = roots.trust_pinned(territory.roots[0], territory.pin)
    membership = Membership(trusted, (territory.roots[0],), leaf, "ada", "operator", "127.0.0.1:1")
    return identity.establish(folder, membership, "http://127.0.0.1:1")


def test_an_identity_is_not_overwritten_by_another(
    territory: EvidenceBuilder, tmp_path: Path
) -> None:
    """A second join mixed the roots of two territories when it was interrupted."""
    joined(tmp_path / "me", territory)
    with pytest.raises(InputRefused, match="already"):
        identity.draw_keys(tmp_path / "me", SYSTEM)


def test_a_tls_key_that_others_can_read_is_refused(
    territory: EvidenceBuilder, tmp_path: Path
) -> None:
    joined(tmp_path / "me", territory)
    for name in ("node.key", "tls.key"):
        assert (tmp_path / "me" / name).stat().st_mode & 0o077 == 0
    (tmp_path / "me/tls.key").chmod(0o644)
    with pytest.raises(IdentityMissing, match="other users"):
        identity.load(tmp_path / "me")


def test_a_certificate_of_another_key_is_refused(
    territory: EvidenceBuilder, tmp_path: Path
) -> None:
    joined(tmp_path / "me", territory)
    joined(tmp_path / "you", territory)
    stolen = (tmp_path / "you/certificate.pem").read_bytes()
    (tmp_path / "me/certificate.pem").write_bytes(stolen)
    with pytest.raises(IdentityMissing, match="certificate"):
        identity.load(tmp_path / "me")


def test_a_terminal_follows_its_territory_to_the_next_root(
    territory: EvidenceBuilder, tmp_path: Path
) -> None:
    """After a rotation every release looked forged, and an old key stayed believed."""
    me = joined(tmp_path / "me", territory)
    later = me.rotated(territory.roots[1])
    assert later.root.document.version == 2
    assert identity.load(tmp_path / "me").root.digest == Digest.of(territory.roots[1])
    with pytest.raises(Problem):
        later.rotated(territory.roots[1])


def test_an_expired_root_is_not_believed(territory: EvidenceBuilder, tmp_path: Path) -> None:
    me = joined(tmp_path / "me", territory)
    require_current_root(me, ManualClock(START))
    with pytest.raises(RootRefused, match="expired"):
        require_current_root(me, ManualClock(START + timedelta(days=800)))


def test_secrets_are_not_shown(territory: EvidenceBuilder, tmp_path: Path) -> None:
    me = joined(tmp_path / "me", territory)
    seed = (tmp_path / "me/node.key").read_text().split()[-1]
    assert seed not in repr(me)
    assert "PRIVATE" not in repr(me) + repr(me.tls_identity)
