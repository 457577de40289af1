"""A scheduler that starts under the next territory root: other witnesses, other keys."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scheduler.log.writer import LogWriter
from scheduler.program import log_roots
from scheduler.service import evidence
from tests.scheduler.conftest import TERRITORY, Witness
from trust.documents import signed
from trust.entropy import SYSTEM
from trust.errors import LogRefused
from trust.ids import Digest
from trust.keys import PrivateKey
from trust.log.entry import Kind, LogEntry
from trust.log.policy import Policy
from trust.log.proof import verify_proof
from trust.root import rotate


def restart_with_another_witness(world):
    """What an operator does: install the next root, which names `witness two` only; restart."""
    witness = Witness(PrivateKey.generate(SYSTEM), world.clock)
    old = world.desk.root.document
    line = f"witness one {world.witness.key}\n"
    assert line in old.log_policy
    policy = old.log_policy.replace(line, f"witness one {witness.key}\n")
    document = replace(old, version=2, log_policy=policy)
    raw = signed.sign(document, [world.keys["root"]]).envelope.raw
    world.desk.root = rotate(world.desk.root, raw)
    world.desk.log.close()
    world.desk.log = LogWriter.open(
        world.folder / "log", world.keys["log"], TERRITORY + "/log", world.clock, [witness]
    )
    return raw


async def proven(world, digest, policy):
    found = await evidence.prove(world.desk, str(digest))
    entry = LogEntry(Kind(found.kind), digest).emit()
    verify_proof(found.proof.encode(), entry, policy)


def test_under_the_next_roots_witnesses_everything_is_proven_anew(world, run):
    """An authorisation could never run again: its proof was signed by witnesses of before."""

    async def story():
        roots = [world.root_envelope]
        await log_roots(world.desk, roots)
        await world.authorised()
        await world.turn()
        first = world.desk.policy
        (vote,) = await world.desk.look("votes", votes)
        await proven(world, vote, first)
        roots.append(restart_with_another_witness(world))
        second = world.desk.policy
        assert isinstance(second, Policy)
        with pytest.raises(LogRefused):
            await proven(world, vote, second)
        await log_roots(world.desk, roots)
        await world.turn()
        await proven(world, vote, second)
        await proven(world, Digest.of(roots[1]), second)
        # Not again at every start: a territory with a long log would wait for nothing.
        before = await evidence.prove(world.desk, str(vote))
        await log_roots(world.desk, roots)
        assert (await evidence.prove(world.desk, str(vote))) == before

    run(story())


def votes(tx):
    from sqlmodel import select

    from scheduler.store.tables import LogRow

    rows = tx.session.exec(select(LogRow).where(LogRow.kind == Kind.AUTHORISATION.value))
    return [Digest(row.digest) for row in rows]
