# ruff: noqa: E402 - this is a program, and its helpers lie in three folders of tests
"""Real broker, real sandbox, as a user who owns nothing else: run by test_real_broker.py.

Reads the images that each new worker knows (known.py), prints one JSON object, scenario -> what was
seen. Each scenario has its own worker.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / name) for name in ("policy", "broker", "worker")]

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from scene import PARAMETERS, Scene

from capsule_runtime.sandbox import known_images
from jobs import aggregate
from protection import columns
from protection.ckks import masks, packing, residues, scheme
from protection.ckks.profile import SOMME
from protection.scope import Binding
from protection.seeds import open_seed
from trust import schema
from trust.documents import signed
from trust.documents.aggregation import HelperKey
from trust.documents.campaign import UnitKind
from trust.documents.consent import Decision
from trust.documents.reporting import AttemptReport, Conclusion, Partial
from trust.dsse import Envelope
from trust.ids import Digest
from trust.log.entry import Kind
from trust.problem import Problem
from worker.hosting import Hosting
from worker.journal import Journal
from worker.undertaking import undertake
from worker.workshop import Workshop

PEOPLE = 30
EPOCH = scheme.generate(SOMME)
KNOWN = sys.stdin.buffer.read()


class Bench:
    """One scene with its journal and broker."""

    def __init__(self, home: Path, public: bytes | None = None) -> None:
        self.scene = Scene(home, PEOPLE, public=public)
        (self.scene.identity.state / known_images.NAME).write_bytes(KNOWN)
        self.journal = Journal(self.scene.identity.state)
        self.hosting = Hosting(self.scene.identity, self.scene.clock)
        self.workshop: Workshop = self.scene.workshop(self.journal)

    async def attempt(self, progress: Any = lambda done, total: None) -> AttemptReport:
        return await undertake(self.workshop, self.scene.received(), progress)

    def partial(self, report: AttemptReport) -> Partial:
        assert report.statement is not None, report
        key = self.scene.identity.keys.node.public
        return signed.verify(Partial, report.statement, {key}).document

    def values(self, partial: Partial) -> Any:
        kept = self.journal.statement(partial.campaign, partial.round, UnitKind.CONTRIBUTE)
        assert kept is not None
        assert Digest.of(kept.content) == partial.values
        return aggregate.decode_partial(self.scene.facts.rules, kept.content)["flows"]


async def contributes(bench: Bench) -> dict[str, Any]:
    steps: list[tuple[int, int]] = []
    first = await bench.attempt(lambda done, total: steps.append((done, total)))
    second = await bench.attempt()
    partial = bench.partial(first)
    truth = np.zeros((9, 9, 6), np.int64)
    for owner in bench.scene.owners:
        truth[owner.home - 1, owner.work - 1, owner.mode - 1] += 1
    noise = (bench.values(partial) - truth).astype(float)
    bench.scene.blobs[Digest.of(b"sum")] = aggregate.combine(
        bench.scene.facts.rules,
        [aggregate.Part({"flows": bench.values(partial)}, partial.variances)],
    )
    conclude = bench.scene.territory.order(
        bench.scene.plan, kind=UnitKind.CONCLUDE, aggregate=Digest.of(b"sum")
    )
    concluded = await undertake(
        bench.workshop, bench.scene.received(conclude), lambda done, total: None
    )
    assert concluded.statement is not None, concluded
    key = bench.scene.identity.keys.node.public
    conclusion = signed.verify(Conclusion, concluded.statement, {key}).document
    result = columns.decode(bench.journal.content(Digest.of(concluded.statement)))
    return {
        "outcome": first.outcome,
        "replayed": first.statement == second.statement and first.attempt != second.attempt,
        "capsules": partial.capsules,
        "contributors": partial.contributors,
        "variances": partial.variances,
        "rho": partial.rho,
        "level": partial.level,
        "noise_variance": float(np.mean(noise**2)),
        "last_step": steps[-1],
        "charged": bench.journal.ledger().counter,
        "concluded": concluded.outcome,
        "result": sorted(result["report"]),
        "result_digest_holds": conclusion.result
        == Digest.of(bench.journal.content(Digest.of(concluded.statement))),
        "agent_imported": sorted({"numpy", "pydantic"} & set(sys.modules)),
    }


async def withdraws(bench: Bench) -> dict[str, Any]:
    """One owner says no while the round runs; the sum must not hold them."""
    said = False

    def progress(done: int, total: int) -> None:
        nonlocal said
        if not said:
            said = True
            scene = bench.scene
            leaver = max(scene.owners, key=lambda owner: owner.capsule)
            bench.hosting.take(
                [
                    leaver.decide(
                        scene.card, scene.bundle.digest, scene.clock.now(), Decision.REVOKE, 2
                    )
                ]
            )
            bench.workshop.broker.withdraw(bench.hosting.withdrawn())

    report = await bench.attempt(progress)
    partial = bench.partial(report)
    return {"capsules": partial.capsules, "charged": bench.journal.ledger().counter}


async def stops(bench: Bench) -> dict[str, Any]:
    """Cancelled, then killed in the middle and done by the next broker: charged and said once."""
    cancelled = await bench.attempt(lambda done, total: bench.workshop.broker.cancel())
    after_cancel = bench.journal.ledger().counter
    order = bench.scene.received().order
    between = bench.journal.statement(order.campaign, order.round, UnitKind.CONTRIBUTE)
    killed: list[int] = []

    def kill(done: int, total: int) -> None:
        process = bench.workshop.broker.process_id  # type: ignore[attr-defined]
        if not killed and process is not None:
            killed.append(process)
            os.kill(process, signal.SIGKILL)

    done = await bench.attempt(kill)
    before = bench.workshop.broker.process_id  # type: ignore[attr-defined]
    await bench.workshop.broker.renew()
    return {
        "cancelled": cancelled.reason,
        "nothing_kept": between is None,
        "killed": len(killed),
        "done": done.outcome,
        "capsules": bench.partial(done).capsules,
        "charged": [after_cancel, bench.journal.ledger().counter],
        "renewed": bench.workshop.broker.process_id != before,  # type: ignore[attr-defined]
    }


async def refuses(bench: Bench) -> dict[str, Any]:
    """What the scheduler may not do, by the code that it is told."""
    scene, codes = bench.scene, dict[str, str]()
    honest = scene.blobs[scene.bundle.digest]

    async def code(**changes: object) -> str:
        received = scene.received(**changes)
        report = await undertake(bench.workshop, received, lambda done, total: None)
        assert report.statement is None
        return f"{report.outcome.value} {report.reason}"

    scene.blobs[scene.bundle.digest] = honest[:-1] + b"x"
    codes["altered bundle"] = await code()
    scene.blobs[scene.bundle.digest] = honest
    scene.blobs[Digest.of(PARAMETERS)] = b'{"more":1}'
    codes["altered parameters"] = await code()
    scene.blobs[Digest.of(PARAMETERS)] = PARAMETERS
    codes["no exhibits"] = await code(exhibits={})
    codes["replayed"] = await code(answers=7)
    codes["expired lease"] = await code(received_at=scene.clock.boottime() - 1000)
    other = scene.territory.plan(scene.facts, PARAMETERS, deadline=scene.territory.now)
    order = scene.received().order
    bench.journal.begin_round(
        order.campaign, 1, Digest.of(other.envelope), order.authorisation, None
    )
    codes["two plans"] = await code()
    bench.workshop.standing.status = None
    codes["no status"] = await code()
    return codes


async def nobody(bench: Bench) -> dict[str, Any]:
    scene = bench.scene
    now = scene.clock.now()
    bench.hosting.take(
        [
            owner.decide(scene.card, scene.bundle.digest, now, Decision.REVOKE, 2)
            for owner in scene.owners
        ]
    )
    report = await bench.attempt()
    one = scene.owners[0]
    bench.hosting.take([one.decide(scene.card, scene.bundle.digest, now, Decision.GRANT, 3)])
    few = await bench.attempt()
    return {
        "reason": report.reason,
        "few": few.reason,
        "charged": bench.journal.ledger().counter,
    }


async def restored(bench: Bench) -> dict[str, Any]:
    """A ledger from an older copy pays for what it forgot before anything else runs."""
    state = bench.scene.identity.state
    await bench.workshop.broker.ready()
    await bench.workshop.broker.stop()
    for file in state.glob("ledger.sqlite*"):
        shutil.copy2(file, state / f"old-{file.name}")
    await bench.attempt()
    before = bench.journal.ledger().counter
    await bench.workshop.broker.stop()
    for file in state.glob("ledger.sqlite*"):
        file.unlink()
    for file in state.glob("old-ledger.sqlite*"):
        file.rename(state / file.name.removeprefix("old-"))
    ready = await bench.workshop.broker.ready()
    await bench.workshop.broker.stop()
    # With its write-ahead log SQLite would put every page of it right again.
    for file in state.glob("ledger.sqlite-*"):
        file.unlink()
    (state / "ledger.sqlite").write_bytes(b"not a ledger")
    try:
        await bench.workshop.broker.ready()
        damaged = "served"
    except Problem as problem:
        damaged = problem.code
    return {"before": before, "after": ready.ledger_counter, "damaged": damaged}


def certify_helper(scene: Scene, secret: X25519PrivateKey) -> None:
    """A helper's key whose other half this program has, in a plan of its own."""
    assert scene.helper is not None
    assert scene.epoch is not None
    made = schema.decode(HelperKey, Envelope.parse(scene.helper.envelope).payload)
    key = replace(made, key=secret.public_key().public_bytes_raw())
    envelope = signed.sign(key, [scene.territory.helper_key]).envelope.raw
    scene.helper = scene.territory.logged(Kind.HELPER_KEY, envelope)
    scene.plan = scene.territory.plan(
        scene.facts,
        PARAMETERS,
        helper=Digest.of(envelope),
        epoch=Digest.of(scene.epoch.envelope),
    )


def resident_mib(bench: Bench) -> float:
    """What the broker holds of this machine's memory."""
    process = bench.workshop.broker.process_id  # type: ignore[attr-defined]
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


async def encrypts(bench: Bench) -> dict[str, Any]:
    """TenSEAL inside the confined broker; helper and keyholder are played by this program."""
    scene, secret = bench.scene, X25519PrivateKey.generate()
    certify_helper(scene, secret)
    ready = await bench.workshop.broker.ready()
    before = resident_mib(bench)
    first = await bench.attempt()
    after = resident_mib(bench)
    second = await bench.attempt()
    partial = bench.partial(first)
    kept = bench.journal.statement(partial.campaign, partial.round, UnitKind.CONTRIBUTE)
    assert kept is not None
    assert kept.sealed is not None
    seed = open_seed(kept.sealed, secret, Binding.of(partial))
    sent = residues.parse(kept.content, SOMME)
    opened = scheme.Decryptor(SOMME, EPOCH.secret).decrypt(
        masks.unmasked(sent, masks.mask_of(SOMME, seed))
    )
    flows = packing.unpack(
        SOMME, scene.facts.rules, opened, ciphertexts=1, contributors=partial.contributors
    )["flows"]
    truth = np.zeros((9, 9, 6), np.int64)
    for owner in scene.owners:
        truth[owner.home - 1, owner.work - 1, owner.mode - 1] += 1
    return {
        "outcome": first.outcome,
        "replayed": (first.statement, first.sealed) == (second.statement, second.sealed),
        "protection": partial.protection,
        "variances": partial.variances,
        "digests": [partial.values, partial.sealed]
        == [Digest.of(kept.content), Digest.of(kept.sealed)],
        "exact": bool((flows == truth).all()),
        "libraries": list(ready.libraries),
        "resident": [round(before, 1), round(after, 1)],
    }


async def main() -> None:
    seen: dict[str, Any] = {}
    for scenario in (contributes, withdraws, stops, refuses, nobody, restored, encrypts):
        home = Path(tempfile.mkdtemp(prefix="cadastre-scenario-"))
        bench = Bench(home, EPOCH.public if scenario is encrypts else None)
        try:
            seen[scenario.__name__] = await scenario(bench)
        finally:
            await bench.workshop.broker.stop()
            shutil.rmtree(home)
    print(json.dumps(seen))


asyncio.run(main())
