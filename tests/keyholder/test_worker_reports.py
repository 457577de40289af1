"""What a worker's broker makes is what helper and keyholder open: the same bytes, end to end."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from custody_world import Report, Station, Story, World

from capsule_runtime import guard
from capsule_runtime.encrypting import encryptor_of, protect_encrypted
from governance.keyholder.errors import SharesAwaited
from jobs.aggregate import require_partial
from protection.scope import Binding
from protection.seeds import open_seed
from trust import dsse, schema
from trust.documents import signed
from trust.documents.reporting import Partial
from trust.documents.rules import DataClass
from trust.entropy import SYSTEM
from trust.ids import Digest

HELPER = X25519PrivateKey.from_private_bytes(bytes(range(32)))
ONE = 800  # steps: what one person puts into the first cell of `travel_statistics`


def contributions(world: World, station: Station) -> guard.Sum:
    """As many persons as the station has, each of them a one in every cell."""
    total = guard.Sum(world.rules)
    vectors = {rule.output: np.full(rule.shape, ONE, np.int64) for rule in world.rules}
    judged = guard.Judged(vectors, guard.Verdict.ACCEPTED)
    for _ in range(station.contributors):
        total.add_capsule(((judged, 1),))
    return total


def report(story: Story, station: Station) -> Report:
    """A report with the halves that the broker would hand out."""
    world = story.world
    template = story.report(station, world.steps(0))
    partial = schema.decode(Partial, dsse.Envelope.parse(template.partial).payload)
    protected = protect_encrypted(
        world.rules,
        contributions(world, station),
        Binding.of(partial),
        SYSTEM,
        helper=HELPER.public_key().public_bytes_raw(),
        encryptor=encryptor_of(world.rules, story.public),
        data_class=DataClass.PERSONAL,
    )
    require_partial(world.rules, protected.ciphertext, rounds=1)
    partial = replace(
        partial,
        values=Digest.of(protected.ciphertext),
        sealed=Digest.of(protected.sealed),
        capsules=protected.cohort.capsules,
        contributors=protected.cohort.contributors,
        variances=protected.variances,
        rho=protected.rho,
    )
    seed = open_seed(protected.sealed, HELPER, Binding.of(partial))
    raw = signed.sign(partial, [station.key]).envelope.raw
    return Report(raw, protected.ciphertext, seed)


def test_the_brokers_halves_open_to_the_noised_sum(world: World) -> None:
    story = Story(world, world.keyholder())
    reports = [report(story, station) for station in world.stations]
    story.keyholder.prepare(story.preparation(reports))
    request = story.opening(reports)
    with pytest.raises(SharesAwaited):
        story.keyholder.open(request)
    story.contribute([0, 2, 4])
    document, values = story.values(story.keyholder.open(request))
    persons = sum(station.contributors for station in world.stations)
    story.require_noised(values, ONE * persons)
    assert set(document.variances) == {rule.output for rule in world.rules}
