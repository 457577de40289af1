"""A product of two totals, from the ceremony to the opening; neither total is ever decrypted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from custody_world import Report, Story, TrustedTerritory, World, denied, secret_of
from numpy.typing import NDArray

from governance.keyholder.errors import CeremonyAwaited, SharesAwaited
from jobs import archive
from jobs.opening import built_in_folder
from protection.ckks import scheme
from protection.ckks.profile import PRODUIT, SOMME
from protection.ckks.residues import Residues
from trust.documents.custody import AggregateOpened, EpochKey
from trust.documents.root import Duty
from trust.documents.rules import DataClass, Mechanism

BUNDLE = archive.pack_folder(built_in_folder("encrypted_footprint"))


@pytest.fixture
def products(tmp_path: Path) -> World:
    for module in ("tenseal", "backports.zstd"):
        pytest.importorskip(module, reason=f"no {module}: pip install cadastre[encrypted]")
    found = World(TrustedTerritory(), BUNDLE, tmp_path, profile=PRODUIT)
    found.use(maximum_contributors=100)
    return found


def steps(number: int) -> dict[str, NDArray[np.int64]]:
    """Another total in every cell, both signs."""
    cells = np.arange(1, 9, dtype=np.int64)
    return {"quantities": 1000 * number * cells, "factors": (7 - 40 * number) * cells}


def reports(story: Story, **forged: Any) -> list[Report]:
    stations = enumerate(story.world.stations, start=1)
    return [story.report(s, steps(n), **(forged if n == 1 else {})) for n, s in stations]


def opened(story: Story, sent: list[Report]) -> tuple[AggregateOpened, NDArray[np.int64]]:
    story.keyholder.prepare(story.preparation(sent))
    request = story.opening(sent)
    with pytest.raises(SharesAwaited):
        story.keyholder.open(request)
    story.contribute([0, 2, 4])
    document, values = story.values(story.keyholder.open(request))
    assert set(values) == {"footprint"}
    return document, values["footprint"]


def test_the_opened_product_is_that_of_the_sums(products: World) -> None:
    story = Story(products, products.keyholder(), weights=())
    assert story.document.profile == PRODUIT.name
    document, values = opened(story, reports(story))
    assert document.variances == {"footprint": "0"}
    left, right = (sum(steps(n)[name] for n in (1, 2, 3)) for name in ("quantities", "factors"))
    np.testing.assert_array_equal(values, left * right)


def test_only_the_product_is_decrypted(products: World, monkeypatch: pytest.MonkeyPatch) -> None:
    story = Story(products, products.keyholder(), weights=())
    secret_of(story)
    shown: list[Residues] = []
    plain = scheme.Decryptor.decrypt

    def decrypt(self: scheme.Decryptor, ciphertext: Residues) -> Any:
        shown.append(ciphertext)
        return plain(self, ciphertext)

    monkeypatch.setattr(scheme.Decryptor, "decrypt", decrypt)
    opened(story, reports(story))
    # Loading the key tries it on a ciphertext that is nobody's: c0 = 0, c1 = 1.
    assert all(not item.values[0].any() and (item.values[1] == 1).all() for item in shown)


def test_a_ciphertext_that_would_betray_the_key_retires_the_epoch(products: World) -> None:
    def betray(honest: Residues) -> Residues:
        values = np.array(honest.values)
        values[1] = (values[1] + np.uint64(1 << 30)) % np.array(
            PRODUIT.data_primes, np.uint64
        ).reshape(-1, 1)
        return Residues.checked(PRODUIT, values)

    story = Story(products, products.keyholder(), weights=())
    sent = reports(story, forge=betray)
    story.keyholder.prepare(story.preparation(sent))
    request = story.opening(sent)
    with pytest.raises(SharesAwaited):
        story.keyholder.open(request)
    story.contribute([0, 1, 2])
    assert denied(products, lambda: story.keyholder.open(request)) == "opening-implausible"
    epoch = story.keyholder._office.memory.epoch(products.campaign)
    assert epoch is not None
    assert epoch.wrapped is None


@pytest.mark.parametrize(
    "changes",
    [
        {"product": None, "mechanism": Mechanism.DISCRETE_GAUSSIAN, "rho": "0.1"},
        {"product": None},
    ],
)
def test_a_vote_for_sums_of_the_same_outputs_gets_the_key_for_sums(
    products: World, changes: dict[str, Any]
) -> None:
    products.use(maximum_contributors=100, **changes)
    keyholder = products.keyholder()
    with pytest.raises(CeremonyAwaited):
        keyholder.engage(products.engagement())
    raw = keyholder.ceremony(products.campaign, products.trustees())
    document = products.territory.root.verify(EpochKey, raw, Duty.KEYHOLDER).document
    assert document.profile == SOMME.name


@pytest.mark.parametrize(
    "changes",
    [
        {"maximum_contributors": 3000},
        {"mechanism": Mechanism.DISCRETE_GAUSSIAN, "rho": "0.1"},
        {"product": "quantities"},
    ],
)
def test_votes_that_nobody_can_open_get_no_key(products: World, changes: dict[str, Any]) -> None:
    products.use(**{"maximum_contributors": 100, **changes})
    code = denied(products, lambda: products.keyholder().engage(products.engagement()))
    assert code == "not-authorised"


@pytest.mark.parametrize("data_class", [DataClass.PERSONAL, DataClass.COMPANY])
def test_a_product_over_capsules_that_are_not_public_gets_no_key(
    products: World, data_class: DataClass
) -> None:
    """What the keyholder knows of the capsules is the class that the voted manifest names."""
    keyholder = products.keyholder()
    keyholder._epochs._data_class = lambda _: data_class
    assert denied(products, lambda: keyholder.engage(products.engagement())) == "not-authorised"
