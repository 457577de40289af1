"""The red suite: whatever is changed, the audit names a check that no longer holds."""

from __future__ import annotations

import base64
import dataclasses
import json
import random
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from audit.policy import AuditPolicy
from audit.replay import audit
from protection.batch import Batch
from tests.audit.evidence_builder import (
    EvidenceBuilder,
    FilesEvidence,
    change,
    object_path,
    rebatch,
    write,
)
from tests.audit.judging import require_bits_count, signed_by, verdict_of
from trust import schema
from trust.documents.rules import Protection
from trust.entropy import seeded
from trust.ids import Digest, UnitId
from trust.keys import PrivateKey

SEED = 20_261_122


@pytest.fixture(scope="module")
def territory() -> EvidenceBuilder:
    return EvidenceBuilder()


def failed(files: dict[str, bytes], pin: Digest) -> tuple[str, ...]:
    verdict = audit(FilesEvidence(files), AuditPolicy(pin))
    assert verdict.ok == (not verdict.journal.failed)
    return verdict.journal.failed


def test_untouched_evidence_passes_every_check(territory: EvidenceBuilder) -> None:
    verdict = verdict_of(territory)
    assert verdict.ok, [line for line in verdict.journal.lines if not line.ok]
    assert verdict.pinned
    assert verdict.entries == len(territory.entries)
    assert len(verdict.journal.lines) > 30


def test_public_part_alone_passes_and_says_what_it_lacks() -> None:
    verdict = verdict_of(EvidenceBuilder(restricted=False))
    assert verdict.ok
    assert any("restricted part" in sentence for sentence in verdict.journal.not_checked)
    assert not any(line.check.startswith("partial.") for line in verdict.journal.lines)


def test_without_a_policy_the_fingerprint_is_printed_as_not_pinned(
    territory: EvidenceBuilder,
) -> None:
    verdict = audit(FilesEvidence(territory.files()))
    assert verdict.ok
    assert not verdict.pinned
    assert verdict.root == territory.pin
    assert any("not pinned" in line.found for line in verdict.journal.lines)


# --- one changed byte in one file of every kind ---

KINDS = [
    ("order", "orders0"),
    ("acknowledgement", "orders3"),
    ("authorisation", "authorisation"),
    ("suspension", "suspension"),
    ("plan", "plan"),
    ("parameters", "parameters"),
    ("partial", "partial0"),
    ("values", "values1"),
    ("batch", "batch"),
    ("opening", "opening"),
    ("aggregate", "aggregate"),
    ("conclusion", "conclusion"),
    ("result", "result"),
    ("report", "report"),
    ("release", "release"),
    ("bundle", "bundle"),
    ("author's statement", "statement"),
    ("enrolment", "enrolled1"),
    ("consent", "consent2"),
    ("consent commitment", "commitment_consents"),
    ("orders commitment", "commitment_orders"),
]


@pytest.mark.parametrize(("kind", "name"), KINDS, ids=[kind for kind, _ in KINDS])
def test_a_changed_object_of_each_kind_is_found(
    territory: EvidenceBuilder, kind: str, name: str
) -> None:
    files = territory.files()
    path = object_path(territory.kinds[name])
    path = path if path in files else f"restricted/{path}"
    data = files[path]
    files[path] = (
        data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :]
    )
    assert failed(files, territory.pin) == ("objects.digests",)


@pytest.mark.parametrize(("kind", "name"), KINDS, ids=[kind for kind, _ in KINDS])
def test_a_missing_object_of_each_kind_is_found(
    territory: EvidenceBuilder, kind: str, name: str
) -> None:
    files = territory.files()
    del files["objects/index"]  # otherwise the index alone tells
    path = object_path(territory.kinds[name])
    path = path if path in files else f"restricted/{path}"
    del files[path]
    if kind == "consent":
        assert failed(files, territory.pin) == ()  # may be left out: it is personal
    else:
        assert failed(files, territory.pin)


@pytest.mark.parametrize(
    ("path", "check"),
    [
        ("log/checkpoint", "log.checkpoint"),
        ("log/tile/0/000.p/16", "log.tiles"),
        ("log/tile/entries/000.p/16", "log.tiles"),
        ("log/checkpoints/7", "log.history"),
        ("policy/root-1.json", "root.pin"),
        ("policy/root-2.json", "root.chain"),
        ("policy/log-policy.txt", "log.policy"),
        ("objects/index", "objects.digests"),
    ],
)
def test_a_changed_or_missing_file_of_the_frame_is_found(
    territory: EvidenceBuilder, path: str, check: str
) -> None:
    files = territory.files()
    data = bytearray(files[path])
    data[len(data) // 2] ^= 1
    assert check in failed({**files, path: bytes(data)}, territory.pin)
    del files[path]
    missing = failed(files, territory.pin)
    assert missing or path in {"log/checkpoints/7", "objects/index"}  # both may be absent


def test_a_file_that_nobody_reads_is_refused(territory: EvidenceBuilder) -> None:
    for path in ("notes.txt", "log/tile/9/000", "objects/sha256/ab/cd", "policy/root-3.json"):
        assert failed({**territory.files(), path: b"x"}, territory.pin)


def test_a_tile_beyond_the_signed_end_is_refused(territory: EvidenceBuilder) -> None:
    files = territory.files()
    files["log/tile/0/000"] = files["log/tile/0/000.p/16"] * 16
    assert failed(files, territory.pin) == ("log.tiles",)


def test_a_partial_tile_of_an_earlier_size_is_fine(territory: EvidenceBuilder) -> None:
    files = territory.files()
    files["log/tile/0/000.p/3"] = files["log/tile/0/000.p/16"][: 3 * 32]
    assert failed(files, territory.pin) == ()
    files["log/tile/0/000.p/3"] = files["log/tile/0/000.p/16"][32 : 4 * 32]
    assert failed(files, territory.pin) == ("log.tiles",)


@pytest.mark.parametrize("kind", ["orders", "partials", "consents"])
def test_a_list_of_salts_must_open_its_commitment(territory: EvidenceBuilder, kind: str) -> None:
    files = territory.files()
    (path,) = [path for path in files if path.startswith(f"restricted/{kind}-")]
    text = files[path]
    swapped = text.replace(b'"salt": "', b'"salt": "0', 1)
    for altered in (swapped, text + b" ", text.replace(b"\n", b"", 1), text.upper()):
        assert failed({**files, path: altered}, territory.pin) == ("commitment.opened",)
    del files[path]
    if kind == "consents":
        assert failed(files, territory.pin) == ()
    else:
        assert failed(files, territory.pin)


def test_an_export_without_a_campaign_says_what_it_lacks(territory: EvidenceBuilder) -> None:
    """Scheduler exports may be about one campaign; the others' partials were once demanded."""
    files = territory.files()
    for path in [path for path in files if path.startswith(("restricted/o", "restricted/p"))]:
        if path.endswith(".json"):
            del files[path]
    verdict = audit(FilesEvidence(files), AuditPolicy(territory.pin))
    assert verdict.ok
    assert any(str(territory.campaign) in line for line in verdict.journal.not_checked)


# --- lies told with the right keys ---


def _longer(deadline: Any) -> Any:
    return dataclasses.replace(deadline, issued_at=deadline.issued_at + timedelta(days=400),
                               deadline=deadline.deadline + timedelta(days=400))  # fmt: skip


def _drop_one(parts: Any) -> Any:
    return parts[1:]


def _first_twice(parts: Any) -> Any:
    return [parts[0], parts[0], parts[2]]


def _shifted(blob: bytes) -> bytes:
    return blob[:-8] + (int.from_bytes(blob[-8:], "little") + 1).to_bytes(8, "little")


def _other_statement(answers: Any) -> Any:
    return [dataclasses.replace(answers[0], statement=Digest.of(b"other")), *answers[1:]]


def _unsigned(raw: bytes) -> bytes:
    fields = json.loads(raw)
    fields["signatures"][0]["sig"] = base64.b64encode(bytes(64)).decode()
    return json.dumps(fields, separators=(",", ":")).encode()


LIES: list[tuple[str, dict[str, Callable[[Any], Any]], str]] = [
    ("parameters outside the vote", {"parameters": lambda _: b'{"shortest":"101"}'},
     "plan.parameters"),
    ("a parameter nobody voted", {"parameters": lambda _: b'{"shortest":"5","x":1}'},
     "plan.parameters"),
    ("two plans for one round", {"second_plan": change(parameters=Digest.of(b"victim"))},
     "plan.unique"),
    ("a plan outside the window", {"plan": _longer}, "plan.authorised"),
    ("a plan on a suspended vote", {"after_suspension": lambda _: None}, "plan.suspended"),
    ("a plan on an unknown vote",
     {"plan": lambda p: dataclasses.replace(p, authorisation=type(p.authorisation).from_bytes(
         bytes(16)))}, "plan.authorised"),
    ("a plan of another bundle", {"plan": change(bundle=Digest.of(b"other"))}, "plan.authorised"),
    ("a document of another territory", {"plan": change(territory="elsewhere.example")},
     "documents.signatures"),
    ("fewer campaigns voted", {"authorisation": change(campaigns=0)}, "authorisation.terms"),
    ("a smaller budget voted", {"authorisation": change(rho_budget="0.05")}, "plan.counted"),
    ("another manifest voted", {"authorisation": change(manifest=Digest.of(b"m"))},
     "bundle.archive"),
    ("fewer tables voted", {"authorisation": change(tables={"trips": ("mode",)})},
     "bundle.archive"),
    ("weaker rules in the bundle",
     {"authorisation": lambda a: dataclasses.replace(
         a, rules=(dataclasses.replace(a.rules[0], rho="0.01"),))}, "bundle.archive"),
    ("another image voted", {"authorisation": change(images=(Digest.of(b"other"),))},
     "partial.signatures"),
    ("a statement that its author did not sign", {"statement": _unsigned}, "bundle.author"),
    ("no author's statement", {"statement": lambda _: b"{}"}, "bundle.author"),
    ("an enrolment under a false name",
     {"enrolled1": lambda e: dataclasses.replace(e, worker=type(e.worker).from_bytes(bytes(16)))},
     "documents.signatures"),
    ("one operator with two names missing", {"enrolled1": change(operator="operator 0")},
     "partial.cohort"),
    ("an opening of another plan", {"opening": change(plan=Digest.of(b"other"))}, "opening.plan"),
    ("an opening with other parameters", {"opening": change(parameters=Digest.of(b"other"))},
     "opening.plan"),
    ("a wrong number of partials", {"opening": change(partials=4)}, "opening.batch"),
    ("an unsorted batch", {"batch": lambda raw: dataclasses.replace(
        b := schema.decode(Batch, raw), lines=b.lines[::-1]).encode()}, "opening.batch"),
    ("a batch of another round", {"batch": lambda raw: dataclasses.replace(
        b := schema.decode(Batch, raw), scope=dataclasses.replace(b.scope, round=2)).encode()},
     "opening.batch"),
    ("a batch of other values", {"batch": lambda raw: dataclasses.replace(
        b := schema.decode(Batch, raw), lines=(dataclasses.replace(
            b.lines[0], share=Digest.of(b"x")), *b.lines[1:])).encode()}, "partial.signatures"),
    ("a count that is not rounded", {"opening": change(contributors_rounded=75)},
     "opening.minima"),
    ("a cohort claimed larger", {"opening": change(contributors_rounded=80)}, "opening.batch"),
    ("a cohort claimed larger twice", {"opening": change(contributors_rounded=80),
     "batch": rebatch(contributors_rounded=80)}, "partial.cohort"),
    ("more capsules claimed", {"batch": rebatch(capsules_rounded=80)}, "partial.cohort"),
    ("too few capsules in the batch", {"batch": rebatch(capsules_rounded=-10)}, "opening.batch"),
    ("a batch of another protection", {"batch": rebatch(protection=Protection.SHARED)},
     "opening.batch"),
    ("a clear plan with a helper", {"plan": change(helper=Digest.of(b"x"))}, "helper.key"),
    ("a clear plan with a key epoch", {"plan": change(epoch=Digest.of(b"x"))}, "epoch.key"),
    ("a clear opening of shares", {"opening": change(shares=(Digest.of(b"x"),))},
     "share.signatures"),
    ("an aggregate that is not the sum", {"aggregate": _shifted}, "partial.sum"),
    ("an aggregate in another layout", {"aggregate": lambda _: b"CADCOL1\n"},
     "opening.aggregate"),
    ("values changed after signing", {"values0": _shifted}, "partial.sum"),
    ("a partial left out", {"parts": _drop_one}, "order.receipts"),
    ("a partial counted twice", {"parts": _first_twice}, "opening.batch"),
    ("a receipt for something else", {"answers": _other_statement}, "order.receipts"),
    ("less noise", {"partial1": change(variances={"modes": "1"})}, "partial.noise"),
    ("a lower charge", {"partial1": change(rho="0.01")}, "partial.noise"),
    ("a cohort too small", {"partial2": change(contributors=19)}, "partial.cohort"),
    ("too few capsules", {"partial2": change(capsules=2)}, "partial.cohort"),
    ("a partial of another plan", {"partial0": change(plan=Digest.of(b"x"))},
     "partial.signatures"),
    ("a partial made without a sandbox", {"partial0": change(level="L0")}, "partial.signatures"),
    ("a partial nobody ordered", {"partial0": change(unit=UnitId.from_bytes(bytes(16)))},
     "partial.ordered"),
    ("an order that contradicts its plan", {"order1": change(parameters=Digest.of(b"x"))},
     "order.plan"),
    ("an order for another bundle", {"order2": change(bundle=Digest.of(b"x"))}, "order.plan"),
    ("an order of another territory", {"orders1": change(territory="elsewhere.example")},
     "order.signatures"),
    ("an order outside every commitment", {"members_orders": lambda m: m[1:]},
     "partial.ordered"),
    ("a partial outside every commitment", {"members_partials": lambda m: m[1:]},
     "partial.committed"),
    ("a commitment to other orders", {"commitment_orders": change(root=Digest.of(b"x"))},
     "commitment.opened"),
    ("a commitment that shows its size", {"commitment_consents": change(size=5)},
     "commitment.public"),
    ("a consent of another territory", {"consent1": change(territory="elsewhere.example")},
     "consent.owners"),
    ("a conclusion about another sum", {"conclusion": change(aggregate=Digest.of(b"x"))},
     "release.report"),
    ("a conclusion on another image", {"conclusion": change(image=Digest.of(b"x"))},
     "release.conclusion"),
    ("a conclusion of another result", {"conclusion": change(result=Digest.of(b"x"))},
     "release.report"),
    ("a report of other numbers", {"report": lambda raw: raw.replace(b'"cells":[', b'"cells":[9,')},
     "release.report"),
    ("a release over other openings", {"release": change(openings=(Digest.of(b"x"),))},
     "release.provenance"),
    ("a release at another price", {"release": change(rho="0.01")}, "release.provenance"),
    ("a release of more people", {"release": change(contributors_rounded=700)},
     "release.provenance"),
    ("a release of another bundle", {"release": change(bundle=Digest.of(b"x"))},
     "release.provenance"),
    ("a release of an unknown conclusion", {"release": change(conclusion=Digest.of(b"x"))},
     "release.conclusion"),
    ("a log policy without witnesses", {"policy": lambda t: t.split("\n")[0] + "\nquorum none\n"},
     "log.policy"),
]  # fmt: skip


@pytest.mark.parametrize(("edits", "check"), [lie[1:] for lie in LIES], ids=[x[0] for x in LIES])
def test_a_lie_with_the_right_keys_is_found(
    edits: dict[str, Callable[[Any], Any]], check: str
) -> None:
    verdict = verdict_of(EvidenceBuilder(edits=edits))
    assert check in verdict.journal.failed, verdict.journal.lines
    assert not any("TypeError" in line.found for line in verdict.journal.lines)


def test_a_copy_signed_again_by_other_keys_fails_under_the_original_policy(
    territory: EvidenceBuilder,
) -> None:
    copy = EvidenceBuilder(seed=b"somebody else")
    assert verdict_of(copy).ok  # whole in itself
    assert failed(copy.files(), territory.pin) == ("root.pin",)


def test_orders_signed_by_another_key_than_the_root_names() -> None:
    other = PrivateKey.generate(seeded(b"intruder"))

    intruder = signed_by(EvidenceBuilder, "opening", lambda _keys: other)
    assert verdict_of(intruder()).journal.failed == ("documents.signatures",)


def test_one_member_of_the_college_is_not_two() -> None:
    class Minority(EvidenceBuilder):
        def _sign(self, name: str, document: Any, *keys: PrivateKey) -> Any:
            if name == "authorisation":
                keys = (keys[0], keys[0])
            return super()._sign(name, document, *keys)

    assert verdict_of(Minority()).journal.failed == ("documents.signatures",)


def test_a_log_rewritten_behind_a_kept_checkpoint(territory: EvidenceBuilder) -> None:
    files = EvidenceBuilder(edits={"enrolled1": change(operator="renamed")}).files()
    files["log/checkpoints/7"] = territory.files()["log/checkpoints/7"]
    assert "log.history" in failed(files, territory.pin)


def test_two_hundred_flipped_bits_are_each_found(territory: EvidenceBuilder) -> None:
    require_bits_count(territory, 200, SEED)


def test_every_bit_of_the_frame_counts(territory: EvidenceBuilder) -> None:
    """Files that are not named by their digest: every single bit is covered, none is slack."""
    files = territory.files()
    drawn = random.Random(SEED + 1)
    for path in sorted(files):
        if "objects/sha256" in path:
            continue
        bits = range(8 * len(files[path]))
        for bit in drawn.sample(bits, min(len(bits), 60)):
            altered = bytearray(files[path])
            altered[bit // 8] ^= 1 << (bit % 8)
            names = failed({**files, path: bytes(altered)}, territory.pin)
            assert names, f"seed {SEED + 1}: bit {bit} of {path} went unnoticed"


def test_the_same_from_a_folder(territory: EvidenceBuilder, tmp_path: Path) -> None:
    from audit.evidence import EvidenceFolder

    folder = write(territory.files(), tmp_path / "evidence")
    assert audit(EvidenceFolder(folder), AuditPolicy(territory.pin)).ok
    (folder / "objects" / "link").symlink_to("/etc/passwd")
    verdict = audit(EvidenceFolder(folder), AuditPolicy(territory.pin))
    assert verdict.journal.failed == ("evidence.layout",)
