from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from trust import root
from trust.documents import signed
from trust.documents.governance import Suspension
from trust.documents.root import Duty, DutyKeys, Root
from trust.entropy import seeded
from trust.errors import RootRefused, SignatureInvalid, WrongType
from trust.ids import AuthorisationId, Digest
from trust.keys import PrivateKey

pytestmark = pytest.mark.base

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def keys(name: str, count: int) -> list[PrivateKey]:
    return [PrivateKey.generate(seeded(f"{name}{i}".encode())) for i in range(count)]


ROOT, COLLEGE, NEXT = keys("root", 3), keys("college", 3), keys("next", 3)


def holders(held: list[PrivateKey], threshold: int) -> DutyKeys:
    return DutyKeys(tuple(key.public for key in held), threshold)


FIRST = Root(
    territory="plaine-commune.example",
    version=1,
    issued_at=NOW,
    expires_at=NOW + timedelta(days=365),
    duties={Duty.ROOT: holders(ROOT, 2), Duty.COLLEGE: holders(COLLEGE, 2)},
    authority=b"",
    log_policy="",
    status_url="http://status.example/status.json",
)


def trusted() -> root.TrustedRoot:
    raw = signed.sign(FIRST, ROOT[:2]).envelope.raw
    return root.trust_pinned(raw, Digest.of(raw))


def test_the_pinned_root_is_trusted() -> None:
    assert trusted().document == FIRST


def test_a_root_served_in_its_place_is_refused() -> None:
    honest = signed.sign(FIRST, ROOT[:2]).envelope.raw
    forged = signed.sign(replace(FIRST, territory="evil.example"), keys("evil", 2)).envelope.raw
    with pytest.raises(RootRefused, match="not the pinned"):
        root.trust_pinned(forged, Digest.of(honest))


def test_rotation_needs_the_old_threshold_and_the_new() -> None:
    successor = replace(FIRST, version=2, duties={**FIRST.duties, Duty.ROOT: holders(NEXT, 2)})
    both = signed.sign(successor, ROOT[:2] + NEXT[:2]).envelope.raw
    assert root.rotate(trusted(), both).document.version == 2
    for signers in (ROOT[:2], NEXT[:2], ROOT[:1] + NEXT[:2], ROOT[:2] + NEXT[:1]):
        with pytest.raises(SignatureInvalid):
            root.rotate(trusted(), signed.sign(successor, signers).envelope.raw)


@pytest.mark.parametrize("version", [1, 3])
def test_a_version_that_does_not_follow_is_refused(version: int) -> None:
    raw = signed.sign(replace(FIRST, version=version), ROOT[:2]).envelope.raw
    with pytest.raises(RootRefused, match="does not follow"):
        root.rotate(trusted(), raw)


def test_a_key_with_two_duties_is_refused() -> None:
    both = replace(FIRST, duties={**FIRST.duties, Duty.ORDERS: holders(COLLEGE[:1], 1)})
    raw = signed.sign(both, ROOT[:2]).envelope.raw
    with pytest.raises(RootRefused, match="two duties"):
        root.trust_pinned(raw, Digest.of(raw))


def test_a_threshold_that_duplicates_pretend_to_meet_is_refused() -> None:
    twice = DutyKeys((COLLEGE[0].public, COLLEGE[0].public), 2)
    raw = signed.sign(
        replace(FIRST, duties={**FIRST.duties, Duty.COLLEGE: twice}), ROOT[:2]
    ).envelope.raw
    with pytest.raises(RootRefused, match="cannot be met"):
        root.trust_pinned(raw, Digest.of(raw))


def test_a_walk_ends_at_the_newest_root_and_skips_nothing() -> None:
    second, third = replace(FIRST, version=2), replace(FIRST, version=3)
    chain = [signed.sign(r, ROOT[:2]).envelope.raw for r in (FIRST, second, third)]
    assert root.walk(chain, Digest.of(chain[0])).document.version == 3
    with pytest.raises(RootRefused):
        root.walk([chain[0], chain[2]], Digest.of(chain[0]))
    with pytest.raises(RootRefused):
        root.walk([], Digest.of(b""))


def test_an_expired_root_is_refused() -> None:
    trusted().require_current(NOW)
    with pytest.raises(RootRefused, match="expired"):
        trusted().require_current(FIRST.expires_at)


def test_documents_need_the_threshold_of_their_duty() -> None:
    suspension = Suspension(FIRST.territory, AuthorisationId.draw(seeded(b"a")), "why", NOW)
    raw = signed.sign(suspension, COLLEGE[:2]).envelope.raw
    assert trusted().verify(Suspension, raw, Duty.COLLEGE).document == suspension
    minority = signed.sign(suspension, COLLEGE[:1]).envelope.raw
    with pytest.raises(SignatureInvalid):
        trusted().verify(Suspension, minority, Duty.COLLEGE)
    with pytest.raises(SignatureInvalid):
        trusted().verify(Suspension, signed.sign(suspension, ROOT).envelope.raw, Duty.COLLEGE)
    with pytest.raises(WrongType):
        trusted().verify(Root, raw, Duty.COLLEGE)
    with pytest.raises(RootRefused, match="no key"):
        trusted().verify(Suspension, raw, Duty.STATUS)
