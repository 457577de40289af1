"""Every named transaction fails twice: before it is stored, and after. Then it is asked again.

Not stored: the database is what it was. Stored: it is asked again by whoever never heard of the
success, after a restart. Either way it ends as if nothing had failed, to the number of rows.
"""

from __future__ import annotations

import ast
import asyncio
import functools
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from helping import publish_status
from sqlmodel import SQLModel

import scheduler
from scheduler import database, program
from scheduler.errors import StoreFailed
from scheduler.meters import Meters
from scheduler.service import (
    acting,
    authorship,
    bundles,
    campaigns,
    committing,
    concluding,
    consents,
    efforts,
    exchange,
    exclusion,
    helping,
    keyholding,
    leases,
    membership,
    outbox,
    planning,
    rounds,
    sweeping,
)
from scheduler.service.actions import Actor
from scheduler.service.transfers import Chunk, Transfers
from scheduler.state import Configuration, State
from scheduler.store.store import open_store
from scheduler.web.signin_store import SignInTables
from tests.web import signin_store_contract as people
from trust import certificates, schema
from trust.certificates import Peer, Role
from trust.documents import signed
from trust.documents.actions import Act, Means
from trust.documents.governance import Status, Suspended, Suspension
from trust.documents.membership import BundleStatement, EnrolmentProof
from trust.documents.reporting import Outcome, Partial, ReportBatch
from trust.dsse import Envelope
from trust.entropy import seeded
from trust.ids import Digest
from trust.keys import PrivateKey

OPERATOR = Peer("plaine.example", Role.OPERATOR, "ana", 1)
OF_ADA = ("oidc:ada", PrivateKey.generate(seeded(b"ada")).public)
SAMPLES = "SELECT count(*) FROM sample"
_ASKS = {"run", "call", "submit"}


class Once:
    """Fails the first commit that holds the transaction `name` once it is armed."""

    def __init__(self, name: str, *, stored: bool) -> None:
        self.name, self.stored = name, stored
        self.armed = self.fired = False

    def before_commit(self, names) -> None:
        self._fail(names, stored=False)

    def after_commit(self, names) -> None:
        self._fail(names, stored=True)

    def _fail(self, names, *, stored: bool) -> None:
        if self.armed and not self.fired and self.stored == stored and self.name in names:
            self.fired = True
            raise StoreFailed("injected")


@dataclass
class Story:
    """How one transaction comes about. `act` is what its caller repeats; `seen` is its effect."""

    prepare: Callable[[Any], Awaitable[Any]]
    act: Callable[[Any, Any], Awaitable[Any]]
    seen: Callable[[Any, Any], Awaitable[bool]]
    alone: bool = True  # `act` is this one transaction
    left: dict[str, int] = field(default_factory=dict)  # rows that a lost answer leaves, harmless


def named_transactions() -> set[str]:
    """Every literal name in a call of `run`, `call` or `submit` below scheduler/."""
    found: set[str] = set()
    for path in Path(scheduler.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            if node.func.attr in _ASKS and node.args and isinstance(node.args[0], ast.Constant):
                found.add(node.args[0].value)
    return found


async def nothing(world):
    return None


async def members(world):
    """A bundle that is authorised, two workers with consents, one that concludes."""
    document = await world.authorised()
    workers = [await world.worker(f"o{n}", capsules=4) for n in range(2)]
    judge = await world.worker("judge", concludes=True)
    for worker in [*workers, judge]:
        await worker.exchange()
    return document, workers, judge


async def drafted(world):
    document, workers, judge = await members(world)
    return document, workers, judge, await world.start()


async def running(world):
    """A campaign whose workers hold their orders."""
    document, workers, judge, campaign = await drafted(world)
    await world.turn()
    for worker in workers:
        await worker.exchange()
        assert worker.held
    return document, workers, judge, campaign


async def reported(world, *, mark=0):
    """All partials are here, the round is not closed."""
    document, workers, judge, campaign = await running(world)
    for worker in workers:
        worker.mark = mark
        batch = await worker.exchange([worker.report(worker.held[0])])
        assert batch.acknowledgements[0].accepted
    return document, workers, judge, campaign


async def concluded(world):
    """The conclusion is here, the release is not made."""
    document, workers, judge, campaign = await reported(world)
    await world.turn()
    await judge.exchange()
    batch = await judge.exchange([judge.report(judge.held[0])])
    assert batch.acknowledgements[0].accepted
    return document, workers, judge, campaign


async def followed(world):
    """The first of three rounds is concluded, the second is not prepared."""
    world.follow()
    return await concluded(world)


async def state_of(world, story):
    return (await world.view(story[3])).row.state


# --- each transaction's own words ---


async def state_folder(world):
    state = State(world.folder / "state")
    state.create(
        Configuration("plaine.example", ["127.0.0.1"], 1, 2, 3, "http://127.0.0.1:3"),
        world.clock,
        world.desk.entropy,
    )
    return state


async def claim(world, state):
    opened = functools.partial(open_store, faults=world.faults)
    original, database.open_store = database.open_store, opened
    try:
        database.open_database(state, world.clock, Meters()).close()
    finally:
        database.open_store = original


async def claimed(world, state):
    store = open_store(state.database, world.clock, Meters())
    try:
        query = "SELECT territory FROM installation"
        with store._engine.connect() as connection:
            return connection.exec_driver_sql(query).all() == [("plaine.example",)]
    finally:
        store.close()


def _token(world):
    return membership.create_token(
        world.desk.store, world.desk.entropy, 3600, role="worker", operator="a", site="here"
    )


async def papers(world):
    key = PrivateKey.generate(world.desk.entropy)
    secret, _ = _token(world)
    request = certificates.make_request(certificates.new_key(), "x")
    proof = EnrolmentProof(
        Digest.of(secret), Digest.of(request), key.public, bytes(32), "a", "here"
    )
    return secret, request, signed.sign(proof, [key]).envelope.raw


async def submission(world):
    bundle = world.bundle
    world.desk.blobs.put(bundle.raw)
    statement = BundleStatement(
        bundle.digest,
        bundle.manifest_digest,
        "counts",
        "1.0.0",
        world.author.public,
        world.clock.now(),
    )
    return signed.sign(statement, [world.author]).envelope.raw


async def vote(world):
    await world.authorised()
    return signed.sign(world.authorisation(), world.college[:2]).envelope.raw


async def suspension(world):
    story = await running(world)
    row = (await world.view(story[3])).row
    document = Suspension("plaine.example", row.authorisation, "a doubt", world.clock.now())
    return (*story, signed.sign(document, world.college[:2]).envelope.raw)


async def status_with_suspension(world):
    story = await running(world)
    document = Status(
        territory="plaine.example",
        number=1,
        issued_at=world.clock.now(),
        expires_at=world.clock.now() + timedelta(days=1),
        suspensions=(Suspended(story[0].id, "a doubt"),),
        revoked=(),
        live_consents={},
    )
    world.status["now"] = signed.sign(document, [world.keys["status"]]).envelope.raw
    return story


async def decisions(world):
    worker = await world.worker("a", capsules=3)
    return worker, [worker.consent(index, serial=2) for index in range(3)]


async def newest_is_second(world, story):
    rows = await consents.status(world.desk, list(story[0].capsules))
    return [row.serial for row in rows] == [2, 2, 2]


async def put(world, data):
    async def chunks():
        yield Chunk(Digest.of(data), 0, data)

    await Transfers(world.desk, world.folder / "staging").put(OPERATOR, chunks())


async def is_stored(world, data):
    state = await Transfers(world.desk, world.folder / "staging").stat(OPERATOR, Digest.of(data))
    return state.stored and world.desk.blobs.get(Digest.of(data)) == data


async def tied(world):
    await world.desk.run("tie-author", lambda tx: authorship.tie(tx, *OF_ADA, by="ana"))


async def old_things(world):
    await put(world, b"never named by anybody")
    _token(world)
    world.clock.advance(15 * 86_400)
    return b"never named by anybody"


async def is_gone(world, data):
    return not world.desk.blobs.has(Digest.of(data))


async def a_batch(world):
    _, (worker, _), _, campaign = await running(world)
    report = worker.report(worker.held.pop())
    return worker, worker.batch([report]), campaign


async def has_receipt(world, story):
    worker, raw, _ = story
    (receipt,) = (await worker.send(raw)).acknowledgements
    return receipt.accepted


async def a_quiet_batch(world):
    """One that says nothing: it is answered by a transaction of its own, after its poll."""
    _, (worker, _), _, _ = await running(world)
    return worker, worker.batch()


async def is_answered(world, story):
    return await says(world, "SELECT count(*) FROM exchange WHERE answer IS NULL", 0)


def values_of(world, raw):
    """The blob that the batch's one report names."""
    (report,) = schema.decode(ReportBatch, Envelope.parse(raw).payload).reports
    partial = schema.decode(Partial, Envelope.parse(report.statement).payload)
    return world.desk.blobs.get(partial.values)


async def send_with_values(world, story):
    worker, raw, _ = story
    values = [values_of(world, raw)]
    await exchange.exchange(world.desk, world.standing, worker.peer, raw, values)


async def has_receipt_and_values(world, story):
    worker, raw, _ = story
    if not await has_receipt(world, story):
        return False
    digest = Digest.of(values_of(world, raw))
    query = f"SELECT count(*) FROM blob WHERE digest = '{digest}' AND giver = '{worker.name}'"
    return await says(world, query, 1)


async def tables_of(world, act):
    """What `act` makes of sign-in's tables; its calls wait for their transaction."""
    return await asyncio.to_thread(act, SignInTables(world.desk.store))


async def signs_in(world, _=None):
    session = people.session()
    await tables_of(
        world,
        lambda store: store.add_session(
            session, now=people.NOW, replacing=None, each=people.ALL, most=people.ALL
        ),
    )


async def is_given_a_key(world, _):
    key = people.credential()
    await tables_of(
        world,
        lambda store: store.add_credential(key, now=people.NOW, each=people.ALL, most=people.ALL),
    )


async def departs(world, _):
    departure = people.departure()
    await tables_of(
        world, lambda store: store.add_departure(departure, now=people.NOW, most=people.ALL)
    )


def has_rows(table):
    async def seen(world, _):
        with world.desk.store._engine.connect() as connection:
            return connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar() > 0

    return seen


async def logged(world):
    await world.authorised()


async def all_logged(world, _):
    return world.desk.log.size == 1 and await outbox.flush(world.desk) == 0


async def planned(world):
    """The plan is logged and proven, its units wait."""
    story = await drafted(world)
    await planning.plan_rounds(world.desk)
    await outbox.flush(world.desk)
    return story


async def late(world):
    story = await running(world)
    world.clock.advance(901)
    return story


async def units_are(world, story, *states):
    view = await world.view(story[3])
    return {unit.row.state for unit in view.rounds[0].units} <= set(states)


async def stuck_conclusion(world):
    story = await reported(world)
    await world.turn()
    world.clock.advance(2 * 3600)
    await leases.let_time_pass(world.desk)
    return story


async def in_state(world, story, state):
    return await state_of(world, story) == state


def ends(state):
    return functools.partial(in_state, state=state)


# --- with a helper, and with a keyholder and its trustees ---


def beside(world, protection):
    """Helper and keyholder in this process, also after the scheduler's restart."""
    if protection == "encrypted":
        for module in ("tenseal", "backports.zstd"):
            pytest.importorskip(module, reason=f"no {module}: pip install cadastre[encrypted]")
    from helping import InProcess

    world.manifest = world.manifest.replace('"clear"', f'"{protection}"')
    others = [InProcess(world, world.folder / "helper")]
    if protection == "encrypted":
        from custody import Custody

        others.append(Custody(world, world.folder))
    reopen = world.reopen

    def connect():
        world.desk.helper = others[0]
        if len(others) > 1:
            world.desk.keyholder = others[1]

    def again():
        reopen()
        connect()

    world.reopen = again
    connect()


async def sealed_draft(world, protection="shared", **changes):
    """A draft whose vote is proven to be in the log, and nobody engaged yet."""
    beside(world, protection)
    story = await members(world)
    for worker in story[1]:
        worker.libraries = ("numpy", "tenseal")
        await worker.exchange()
    publish_status(world, story[1], **changes)
    campaign = await world.start()
    await outbox.flush(world.desk)
    return (*story, campaign)


async def suspend_in_status(world, story):
    publish_status(world, story[1], 2, suspensions=(Suspended(story[0].id, "a doubt"),))
    return story


async def without_helper(world):
    story = await sealed_draft(world)
    world.desk.helper.down = True
    return story


async def refused_by_helper(world):
    return await suspend_in_status(world, await sealed_draft(world))


async def refused_by_keyholder(world):
    story = await sealed_draft(world, "encrypted")
    await helping.engage(world.desk, story[3])
    return await suspend_in_status(world, story)


async def sealed_run(world, protection="shared"):
    """Everybody engaged and the round planned, its orders held."""
    story = await sealed_draft(world, protection)
    await world.turn()
    if protection == "encrypted":
        world.desk.keyholder.ceremony(story[3])
        await world.turn()
    for worker in story[1]:
        await worker.exchange()
        assert worker.held
    return story


async def ceremony_held(world):
    story = await sealed_draft(world, "encrypted")
    await planning.plan_rounds(world.desk)
    world.desk.keyholder.ceremony(story[3])
    return story


async def cancelled(world, protection="shared"):
    story = await sealed_run(world, protection)
    await campaigns.cancel(world.desk, story[3], "stop")
    return story


async def sealed_reports(world, protection="shared"):
    """All partials are here, the round is not closed."""
    story = await sealed_run(world, protection)
    for worker in story[1]:
        if protection == "encrypted":
            from custody import encrypt as state
        else:
            from helping import share as state
        state(worker, worker.held[0])
        batch = await worker.exchange([worker.report(worker.held[0])])
        assert batch.acknowledgements[0].accepted
    return story


async def sum_logged(world):
    story = await sealed_reports(world, "encrypted")
    await rounds.close_rounds(world.desk)
    await outbox.flush(world.desk)
    return story


def encrypted(prepare):
    return functools.partial(prepare, protection="encrypted")


def holds(table, column):
    return lambda w, s: says(w, f'SELECT count(*) FROM "{table}" WHERE {column} IS NOT NULL', 1)


async def waits_for_helper(world, story):
    return (await world.view(story[3])).row.reason == "waiting-for-helper"


def deed(world, act, subject):
    """The same form, however often it is sent."""
    actor = Actor("local:ada", Means.PAGE)
    return acting.act(world.desk, actor, act, subject, "a test", request=f"form of {act.value}")


async def drained(world):
    worker = await world.worker("a", capsules=3)
    await deed(world, Act.DRAIN_WORKER, worker.name)
    return worker


async def backing_off(world):
    """A unit whose attempt failed on its worker."""
    _, workers, _, _ = await running(world)
    order = workers[0].held[0]
    await workers[0].exchange([workers[0].refusal(order, Outcome.FAILED)])
    return order.unit


STORIES = {
    "claim-database": Story(state_folder, claim, claimed, alone=False),
    "create-token": Story(
        nothing, lambda w, s: asyncio.to_thread(_token, w), lambda w, s: truth(), left={"token": 1}
    ),
    "enrol": Story(
        papers,
        lambda w, s: membership.enrol(w.desk, *s),
        lambda w, s: says(w, "SELECT count(*) FROM worker", 1),
    ),
    "ban-member": Story(
        lambda w: w.worker("a", capsules=3),
        lambda w, s: exclusion.exclude(w.desk, s.name, "lied"),
        lambda w, s: says(w, "SELECT count(*) FROM member WHERE banned_because = 'lied'", 1),
    ),
    "drain-worker": Story(
        lambda w: w.worker("a", capsules=3),
        lambda w, s: deed(w, Act.DRAIN_WORKER, s.name),
        lambda w, s: says(w, "SELECT count(*) FROM worker WHERE drained_at IS NOT NULL", 1),
    ),
    "resume-worker": Story(
        drained,
        lambda w, s: deed(w, Act.RESUME_WORKER, s.name),
        lambda w, s: says(w, "SELECT count(*) FROM worker WHERE drained_at IS NULL", 1),
    ),
    "retry-unit": Story(
        backing_off,
        lambda w, s: deed(w, Act.RETRY_UNIT, s),
        lambda w, s: says(w, "SELECT count(*) FROM unit WHERE updated_by = 'retry-unit'", 1),
    ),
    "submit-consents": Story(
        decisions, lambda w, s: consents.submit(w.desk, s[1]), newest_is_second
    ),
    "commit-waiting": Story(
        decisions,
        lambda w, s: committing.commit_waiting(w.desk),
        lambda w, s: says(w, "SELECT count(*) FROM restricted WHERE commitment IS NULL", 0),
    ),
    "put-blob": Story(lambda w: value(b"some bytes"), put, is_stored),
    "sweep": Story(old_things, lambda w, s: sweeping.sweep(w.desk), is_gone),
    "submit-bundle": Story(
        submission,
        lambda w, s: bundles.submit(w.desk, w.bundle.digest, s),
        lambda w, s: says(w, "SELECT count(*) FROM bundle", 1),
    ),
    "authorise-bundle": Story(
        vote,
        lambda w, s: bundles.authorise(w.desk, s),
        lambda w, s: says(w, "SELECT count(*) FROM authorisation", 2),
    ),
    "suspend-authorisation": Story(
        suspension, lambda w, s: bundles.suspend(w.desk, s[4]), ends("failed")
    ),
    "apply-suspension": Story(
        status_with_suspension, lambda w, s: w.standing.refresh(), ends("failed")
    ),
    "start-campaign": Story(
        members,
        lambda w, s: w.start(),
        lambda w, s: says(w, "SELECT count(*) FROM campaign", 1),
    ),
    "cancel-campaign": Story(
        running, lambda w, s: campaigns.cancel(w.desk, s[3], "stop"), ends("cancelled")
    ),
    "accept-reports": Story(a_batch, send_with_values, has_receipt_and_values, alone=False),
    "answer-exchange": Story(a_quiet_batch, lambda w, s: s[0].send(s[1]), is_answered, alone=False),
    "settle-outbox": Story(logged, lambda w, s: outbox.flush(w.desk), all_logged),
    "release-inputs": Story(
        planned,
        lambda w, s: leases.release_inputs(w.desk),
        lambda w, s: units_are(w, s, "ready"),
    ),
    "let-time-pass": Story(
        late, lambda w, s: leases.let_time_pass(w.desk), lambda w, s: units_are(w, s, "failed")
    ),
    "plan-round": Story(drafted, lambda w, s: planning.plan_rounds(w.desk), ends("running")),
    "prepare-round": Story(
        reported, lambda w, s: rounds.close_rounds(w.desk), ends("concluding"), alone=False
    ),
    "open-round": Story(
        reported, lambda w, s: rounds.close_rounds(w.desk), ends("concluding"), alone=False
    ),
    "abort-round": Story(
        lambda w: reported(w, mark=2**62),
        lambda w, s: rounds.close_rounds(w.desk),
        ends("failed"),
        alone=False,
    ),
    "release-campaign": Story(concluded, lambda w, s: concluding.settle(w.desk), ends("released")),
    "follow-round": Story(
        followed, lambda w, s: concluding.settle(w.desk), holds("campaign", "following")
    ),
    "fail-campaign": Story(
        stuck_conclusion, lambda w, s: concluding.settle(w.desk), ends("failed")
    ),
    "engage-helper": Story(
        sealed_draft, lambda w, s: helping.engage(w.desk, s[3]), holds("campaign", "helper")
    ),
    "wait-for-others": Story(
        without_helper, lambda w, s: helping.engage(w.desk, s[3]), waits_for_helper
    ),
    "helper-refused": Story(
        refused_by_helper, lambda w, s: helping.engage(w.desk, s[3]), ends("failed")
    ),
    "settle-helper-key": Story(
        cancelled, lambda w, s: helping.end_all(w.desk), holds("campaign", "destroyed")
    ),
    "commit-batch": Story(
        sealed_reports,
        lambda w, s: rounds.close_rounds(w.desk),
        holds("round", "commitment"),
        alone=False,
    ),
    "engage-keyholder": Story(
        ceremony_held,
        lambda w, s: planning.plan_rounds(w.desk),
        holds("campaign", "epoch"),
        alone=False,
    ),
    "keyholder-refused": Story(
        refused_by_keyholder, lambda w, s: planning.plan_rounds(w.desk), ends("failed")
    ),
    "commit-sum": Story(
        encrypted(sealed_reports),
        lambda w, s: rounds.close_rounds(w.desk),
        holds("round", "ciphertext"),
        alone=False,
    ),
    "keep-masks": Story(
        sum_logged, lambda w, s: rounds.close_rounds(w.desk), holds("round", "masks")
    ),
    "settle-epoch": Story(
        encrypted(cancelled), lambda w, s: keyholding.end_all(w.desk), holds("campaign", "retired")
    ),
    # Whoever signs in again after a lost answer gets another session; the first one runs out.
    "web-sign-in": Story(nothing, signs_in, has_rows("web_session"), left={"web_session": 1}),
    "web-credential": Story(
        nothing, is_given_a_key, has_rows("web_credential"), left={"web_credential": 1}
    ),
    "web-depart": Story(nothing, departs, has_rows("web_departure"), left={"web_departure": 1}),
    "web-sweep": Story(
        signs_in,
        lambda w, s: tables_of(w, lambda store: store.sweep(people.NOW + timedelta(days=30))),
        lambda w, s: says(w, "SELECT count(*) FROM web_session", 0),
    ),
    "sample-queue": Story(
        nothing, lambda w, s: efforts.sample(w.desk), lambda w, s: says(w, SAMPLES, 1)
    ),
    "tie-author": Story(
        nothing,
        lambda w, s: w.desk.run("tie-author", lambda tx: authorship.tie(tx, *OF_ADA, by="ana")),
        has_rows("web_author"),
    ),
    "untie-author": Story(
        tied,
        lambda w, s: w.desk.run("untie-author", lambda tx: authorship.untie(tx, *OF_ADA)),
        lambda w, s: says(w, "SELECT count(*) FROM web_author", 0),
    ),
    "log-root": Story(
        nothing,
        lambda w, s: program.log_roots(w.desk, [w.root_envelope]),
        lambda w, s: says(w, "SELECT count(*) FROM log_entry WHERE kind = 'root'", 1),
    ),
    "keep-checkpoint": Story(
        nothing, lambda w, s: outbox.keep_head(w.desk), has_rows("log_checkpoint")
    ),
}


async def truth():
    return True


async def value(data):
    return data


async def says(world, query, number):
    with world.desk.store._engine.connect() as connection:
        return connection.exec_driver_sql(query).scalar() == number


def rows(world) -> dict[str, list[tuple[object, ...]]]:
    """Everything in the database but how late it has been."""
    found = {}
    with world.desk.store._engine.connect() as connection:
        for name, table in SQLModel.metadata.tables.items():
            if name != "installation":
                found[name] = sorted(map(repr, connection.execute(table.select()).all()))
    return found


def test_every_named_transaction_has_its_pair_of_fault_tests():
    assert named_transactions() == set(STORIES)


@pytest.mark.parametrize("stored", [False, True], ids=["failed-not-stored", "failed-but-stored"])
@pytest.mark.parametrize("name", sorted(STORIES))
def test_a_transaction_that_failed_is_asked_again(tmp_path, builder, name, stored):
    story, faults = STORIES[name], Once(name, stored=stored)

    async def happens(world):
        """The number of rows per table, after the act succeeded once more."""
        started = await story.prepare(world)
        before = rows(world)
        if world.faults is not None:
            faults.armed = True
            with pytest.raises(StoreFailed, match="injected"):
                await story.act(world, started)
            assert faults.fired
            if story.alone:
                assert (rows(world) == before) != stored
            if stored:
                world.reopen()
        await story.act(world, started)
        assert await story.seen(world, started)
        return {table: len(found) for table, found in rows(world).items()}

    counts = []
    for folder, injected in (("clean", None), ("faulty", faults)):
        (tmp_path / folder).mkdir()
        world = builder(tmp_path / folder, faults=injected)
        try:
            counts.append(asyncio.run(happens(world)))
        finally:
            world.desk.store.close()
            world.desk.log.close()
    clean, faulty = counts
    extra = {table: faulty[table] - clean[table] for table in clean}
    assert {table: n for table, n in extra.items() if n} == (story.left if stored else {})
