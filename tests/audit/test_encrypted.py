"""Campaigns that a keyholder opens: honest ones pass, and each lie is named by its check."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from audit.replay import SINGLE_CIPHERTEXTS, SINGLE_SHARES, WITH_KEYHOLDER, WITH_SHARES
from tests.audit.encrypted_evidence import EncryptedBuilder
from tests.audit.evidence_builder import change
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
from trust.ids import Digest

SEED = 20_261_124


@pytest.fixture(scope="module")
def territory() -> EncryptedBuilder:
    return EncryptedBuilder()


def test_an_honest_encrypted_campaign_passes(territory: EncryptedBuilder) -> None:
    verdict = verdict_of(territory)
    require_honest(verdict)
    assert found(verdict, "epoch.key") == "1 key epochs, named by 1 plans"
    assert found(verdict, "epoch.trustees") == "5 trustees' keys logged before the epochs"
    assert found(verdict, "share.returned") == "3 shares of trustees for 1 openings"
    assert found(verdict, "share.opened") == "1 aggregates are what the keyholder opened"
    assert found(verdict, "epoch.retired") == "1 of 1 key epochs retired"
    said = set(verdict.journal.not_checked)
    assert {WITH_KEYHOLDER, SINGLE_CIPHERTEXTS} <= said
    assert not {WITH_SHARES, SINGLE_SHARES} & said
    assert len(said) == 7


def test_the_public_part_alone_shows_what_the_keyholder_opened() -> None:
    verdict = verdict_of(EncryptedBuilder(restricted=False))
    require_honest(verdict)
    assert found(verdict, "share.opened").startswith("1 aggregates")


def test_an_epoch_that_was_not_retired_is_told_and_no_failure() -> None:
    verdict = verdict_of(EncryptedBuilder(edits={"kept_epoch": lambda x: x}))
    assert verdict.ok
    assert any("retired its key epoch" in line for line in verdict.journal.not_checked)


KINDS = [
    "trustee2", "epoch_key", "public", "share_request", "returned3", "opened", "opened_values",
    "epoch_retired", "leader_share", "helper_share", "helper_key", "key_destroyed",
]  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_a_changed_or_missing_object_of_each_kind_is_found(
    territory: EncryptedBuilder, name: str
) -> None:
    require_object_counts(territory, name)


def _one_more(raw: bytes) -> bytes:
    return raw[:-8] + (int.from_bytes(raw[-8:], "little") ^ 1).to_bytes(8, "little")


def _fewer(field: str) -> Callable[[Any], Any]:
    """A document whose tuple lacks its last item."""
    return lambda d: dataclasses.replace(d, **{field: getattr(d, field)[:-1]})


def _elsewhere(document: Any) -> Any:
    campaign = type(document.campaign).from_bytes(bytes(16))
    return dataclasses.replace(document, campaign=campaign)


X = Digest.of(b"x")
LIES: list[tuple[str, dict[str, Callable[[Any], Any]], str]] = [
    ("an epoch of another campaign", {"epoch_key": _elsewhere}, "epoch.key"),
    ("an epoch for another bundle", {"epoch_key": change(bundle=X)}, "epoch.key"),
    ("an epoch that had ended",
     {"epoch_key": lambda k: dataclasses.replace(k, not_after=k.made_at + timedelta(seconds=1))},
     "epoch.key"),
    ("an epoch of an unknown profile", {"epoch_key": change(profile="null")}, "epoch.key"),
    ("an epoch of a profile for public capsules", {"epoch_key": change(profile="produit")},
     "epoch.key"),
    ("an epoch without its public context", {"epoch_key": change(public=X)}, "epoch.key"),
    ("an epoch logged after its plan", {"late_epoch": lambda x: x}, "epoch.key"),
    ("two epochs", {"second_epoch": change(secret=bytes(32))}, "epoch.key"),
    ("a plan without its epoch", {"plan": change(epoch=None)}, "epoch.key"),
    ("a plan for an epoch nobody logged", {"plan": change(epoch=X)}, "epoch.key"),
    ("an epoch of another territory", {"epoch_key": change(territory="elsewhere.example")},
     "documents.signatures"),
    ("a lower threshold than the root's", {"epoch_key": change(threshold=1)}, "epoch.trustees"),
    ("a trustee without a part", {"epoch_key": _fewer("trustees")}, "epoch.trustees"),
    ("a share that nobody has", {"epoch_key": _fewer("sealed")}, "epoch.trustees"),
    ("one trustee with two parts",
     {"epoch_key": lambda k: dataclasses.replace(k, trustees=(k.trustees[0], *k.trustees[:-1]))},
     "epoch.trustees"),
    ("a trustee's key that nobody logged", {"unlogged2": lambda x: x}, "epoch.trustees"),
    ("a trustee's key of another territory",
     {"trustee2": change(territory="elsewhere.example")}, "documents.signatures"),
    ("a wrapped key", {"leaked_key": lambda x: x}, "epoch.withheld"),
    ("a raw sum", {"leaked_sum": lambda x: x}, "epoch.withheld"),
    ("a ciphertext of a single worker", {"leaked": lambda x: x}, "batch.withheld"),
    ("a leader's sum that claims noise", {"leader_share": change(variances={"modes": "9"})},
     "share.signatures"),
    ("a helper's sum of another batch", {"helper_share": change(batch=X)}, "share.signatures"),
    ("a request for another sum", {"share_request": change(sum=X)}, "share.returned"),
    ("a request for other masks", {"share_request": change(masks=X)}, "share.returned"),
    ("a request for another batch", {"share_request": change(batch=X)}, "share.returned"),
    ("a request under another epoch", {"share_request": change(epoch=X)}, "share.returned"),
    ("a share given for another request", {"returned3": change(request=X)}, "share.returned"),
    ("a share given for another batch", {"returned3": change(batch=X)}, "share.returned"),
    ("a share given under another epoch", {"returned3": change(epoch=X)}, "share.returned"),
    ("a share given in another's place", {"returned3": change(place=1)}, "share.returned"),
    ("a share of no place", {"returned3": change(place=6)}, "share.returned"),
    ("a share of place zero", {"returned3": change(place=0)}, "share.returned"),
    ("something opened of another batch", {"opened": change(batch=X)}, "share.opened"),
    ("something opened under another epoch", {"opened": change(epoch=X)}, "share.opened"),
    ("something opened of another sum", {"opened": change(leader=X)}, "share.opened"),
    ("something opened without noise", {"opened": change(variances={"modes": "0"})},
     "share.opened"),
    ("something opened of other parameters", {"opened": change(parameters=X)}, "share.opened"),
    ("sums that were exchanged",
     {"opened": lambda o: dataclasses.replace(o, leader=o.helper, helper=o.leader)},
     "share.opened"),
    ("opened steps that differ by one", {"opened_values": _one_more}, "share.opened"),
    ("opened steps in another layout", {"opened_values": lambda raw: raw[:-8]}, "share.opened"),
    ("an aggregate that is not what was opened", {"aggregate": _one_more}, "share.opened"),
    ("a second decryption", {"second_opened": change(values=X)}, "share.opened"),
    ("an opening that does not name the keyholder", {"opening": _fewer("shares")},
     "share.opened"),
    ("an opening of a statement nobody logged",
     {"opening": lambda o: dataclasses.replace(o, shares=(*o.shares[:2], X))}, "share.opened"),
    ("another campaign's epoch retired", {"epoch_retired": _elsewhere}, "epoch.retired"),
    ("the wrong epoch retired", {"epoch_retired": change(epoch=X)}, "epoch.retired"),
    ("noise of a worker's own", {"partial1": change(variances={"modes": "5"})}, "partial.noise"),
    ("a cohort of one operator's", {"enrolled1": change(operator="operator 0")},
     "partial.cohort"),
]  # fmt: skip


@pytest.mark.parametrize(("edits", "check"), [lie[1:] for lie in LIES], ids=[x[0] for x in LIES])
def test_a_lie_with_the_right_keys_is_found(
    edits: dict[str, Callable[[Any], Any]], check: str
) -> None:
    require_named(verdict_of(EncryptedBuilder(edits=edits)), check)


def test_an_opening_on_fewer_trustees_than_the_threshold_is_found() -> None:
    class Two(EncryptedBuilder):
        giving = (1, 3)

    class Thrice(EncryptedBuilder):
        giving = (1, 3, 3)

    for builder in (Two(), Thrice()):
        assert verdict_of(builder).journal.failed == ("share.returned",)


@pytest.mark.parametrize(
    ("name", "signer"),
    [
        ("epoch_key", "orders"),
        ("trustee2", "keyholder"),
        ("share_request", "orders"),
        ("returned3", "keyholder"),
        ("opened", "orders"),
        ("epoch_retired", "helper"),
    ],
)
def test_a_document_signed_by_another_institution_is_found(name: str, signer: str) -> None:
    impostor = signed_by(EncryptedBuilder, name, lambda keys: getattr(keys, signer))
    assert verdict_of(impostor()).journal.failed == ("documents.signatures",)


def test_a_share_signed_by_another_trustee_is_found() -> None:
    impostor = signed_by(EncryptedBuilder, "returned3", lambda keys: keys.trustees[0])
    assert verdict_of(impostor()).journal.failed == ("share.returned",)


def test_anything_opened_after_the_epoch_was_retired_is_found() -> None:
    class Early(EncryptedBuilder):
        def _returned(self, *digests: Digest) -> None:
            self._settle()
            super()._returned(*digests)

    assert "epoch.retired" in verdict_of(Early()).journal.failed


class WithDropped(EncryptedBuilder):
    """Four workers report, the keyholder leaves the first one out and signs that it did."""

    contributing = 4

    def __init__(self, **edits: Callable[[Any], Any]) -> None:
        drops: dict[str, Callable[[Any], Any]] = {"parts": lambda parts: parts[1:]}
        lists = {
            "keyholder_list": lambda x: x,
            # The helper was never asked about that one.
            "accept_list": change(dropped=()),
        }
        super().__init__(edits={**drops, **lists, **edits})


def test_what_the_keyholder_left_out_is_explained_by_its_accept_list() -> None:
    verdict = verdict_of(WithDropped())
    require_honest(verdict)
    assert found(verdict, "order.dropped") == (
        "1 accept lists of the helper, 1 of the keyholder, 1 reports left out"
    )


def test_a_keyholders_list_that_does_not_fit_is_found() -> None:
    require_list_counts(WithDropped, "keyholder_list", lambda keys: keys.helper)


def test_nobody_asks_a_site_for_the_private_sums(tmp_path: Path) -> None:
    builder = EncryptedBuilder(restricted=False)
    fetched, verdict = downloaded(builder, tmp_path)
    require_honest(verdict)
    assert found(verdict, "share.opened").startswith("1 aggregates")
    # The conclusion is for accredited auditors alone, roots are below policy/.
    names = ("conclusion", "root", "root2")
    assert set(fetched.missing) == {builder.kinds[name] for name in names}


def test_a_hundred_flipped_bits_are_each_found(territory: EncryptedBuilder) -> None:
    require_bits_count(territory, 100, SEED)
