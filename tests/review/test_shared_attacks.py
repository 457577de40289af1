"""Attacks on `shared`: leader, helper, workers and strangers against the cooperative's promise."""

from __future__ import annotations

import asyncio
import importlib.util
import shutil
import sqlite3
import sys
import threading
import time
import tracemalloc
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import NormalDist
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "policy"))
sys.path.insert(0, str(Path(__file__).parent.parent / "scheduler"))
sys.path.insert(0, str(Path(__file__).parent.parent / "helper"))

from leader import Leader, shared_bundle
from worker_territory import NAME, Territory

from governance.batches.questions import MAXIMUM_PARTS
from governance.bounded_http import Bounds
from governance.helper import main
from governance.helper.errors import RequestMalformed
from governance.helper.office import Denied
from governance.helper.server import HelperServer
from protection import accounting
from protection.aggregators import check_sums, draw_noise
from protection.errors import SumImplausible
from protection.layout import Layout, Role, Vector
from protection.ring import Ring, reach_of
from protection.seeds import Seed
from protection.shares import MaskSum, ShareSum, combine, split
from scheduler.domain.reasons import Reason
from scheduler.errors import HelperDenied
from scheduler.post import Post, Unanswered
from scheduler.service import helping
from trust import schema
from trust.documents import signed
from trust.documents.aggregation import AcceptList, BatchQuestion, HelperRefusal
from trust.documents.root import Duty, DutyKeys
from trust.entropy import derived, seeded
from trust.ids import CampaignId, Digest
from trust.keys import PrivateKey
from trust.log.policy import Policy
from wire import aggregation as wire


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return shared_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def leader(bundle: Any, tmp_path: Path) -> Leader:
    return Leader(Territory(), bundle, tmp_path)


class Round:
    """A campaign whose reports are made: each worker's sum is `value` of it in every cell."""

    def __init__(self, leader: Leader, value: Callable[[int], int] = lambda _: 1) -> None:
        self.leader = leader
        self.helper = leader.helper()
        self.plan = leader.plan(self.helper.engage(leader.engagement()))
        made = [
            leader.report(self.plan, station, leader.steps(value(at)))
            for at, station in enumerate(leader.stations)
        ]
        self.reports = [report for report, _ in made]
        self.shares = [share for _, share in made]

    def ask(self) -> wire.PrepareRequest:
        return self.leader.preparation(self.plan, self.reports)

    def opened(self) -> Any:
        self.helper.prepare(self.ask())
        answer = self.helper.commit(self.leader.commitment(self.plan, self.reports))
        return self.leader.opened(self.shares, answer)


def refused(leader: Leader, question: Callable[[], object]) -> HelperRefusal:
    with pytest.raises(Denied) as caught:
        question()
    return leader.territory.root.verify(HelperRefusal, caught.value.envelope, Duty.HELPER).document


# --- strangers at the helper's port ---


def test_a_stranger_with_public_documents_does_not_settle_a_rounds_list(leader: Leader) -> None:
    # Plan, proofs and enrolments are public, and colluding workers hold reports of their own: a
    # list that they settle first would end the round with `batch-differs`.
    leader.enrol("departement", 40)
    leader.status()
    story = Round(leader)
    honest = story.ask()
    colluding = story.reports[1:]
    for question in (b"", honest.question, story.plan.envelope):
        request = replace(honest, question=question, reports=tuple(colluding))
        with pytest.raises(RequestMalformed):
            story.helper.prepare(request)
    stranger = PrivateKey(bytes([7]) * 32)
    content = wire.content_of(honest.plan, colluding, honest.enrolments)
    own = BatchQuestion(NAME, leader.campaign, 1, content)
    forged = signed.sign(own, [stranger]).envelope.raw
    with pytest.raises(RequestMalformed):
        story.helper.prepare(replace(honest, question=forged, reports=tuple(colluding)))
    assert story.helper.prepare(honest)


@pytest.mark.parametrize("what", ["enrolments", "reports", "proofs", "order", "round", "campaign"])
def test_a_question_that_was_altered_on_its_way_settles_nothing(leader: Leader, what: str) -> None:
    leader.enrol("ville", 40)
    leader.status()
    story = Round(leader)
    honest = story.ask()
    altered = {
        "enrolments": replace(honest, enrolments=honest.enrolments[1:]),
        "reports": replace(honest, reports=honest.reports[1:]),
        "proofs": replace(
            honest, enrolments=tuple(replace(e, proof=b"") for e in honest.enrolments)
        ),
        "order": replace(honest, reports=tuple(reversed(honest.reports))),
    }
    if what in altered:
        request = altered[what]
    else:
        changes: dict[str, Any] = {"round": 2} if what == "round" else {}
        changes = changes or {"campaign": CampaignId.draw(seeded(b"other"))}
        content = wire.content_of(honest.plan, honest.reports, honest.enrolments)
        question = replace(BatchQuestion(NAME, leader.campaign, 1, content), **changes)
        raw = signed.sign(question, [leader.territory.orders_key]).envelope.raw
        request = replace(honest, question=raw)
    with pytest.raises(RequestMalformed):
        story.helper.prepare(request)
    accept = leader.territory.root.verify(AcceptList, story.helper.prepare(honest), Duty.HELPER)
    assert len(accept.document.accepted) == 4


def test_a_body_of_brackets_takes_no_memory(leader: Leader) -> None:
    limit = 4 << 20
    server = HelperServer(
        ("127.0.0.1", 0), leader.helper(), Bounds(connections=2, body_bytes=limit, held_bytes=limit)
    )
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        for body in (b"[" + b"[],[],{}," * (limit // 9 - 1) + b"0]", b"[" * limit):
            assert body.count(b"[") > MAXIMUM_PARTS
            tracemalloc.start()
            request = urllib.request.Request(server.url + wire.PREPARE, data=body, method="POST")
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(request, timeout=20)
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert caught.value.code == 400
            assert peak < 6 * limit  # the body, and what reading it takes; it was forty times
            caught.value.close()
    finally:
        server.close()
        thread.join()


def test_a_question_about_eight_thousand_workers_fits_its_limits(leader: Leader) -> None:
    story = Round(leader)
    request = story.ask()
    one = request.reports[0]
    # A log of a million entries and three witnesses: twenty hashes, four signatures.
    proof = request.enrolments[0].proof + 20 * (b"x" * 44 + b"\n") + 3 * 200 * b"x"
    enrolment = replace(request.enrolments[0], proof=proof)
    size = len(schema.encode(one)) + len(schema.encode(enrolment)) + 2
    assert 8_000 * size < wire.MAXIMUM_BODY
    commas = schema.encode(one) + schema.encode(enrolment)
    assert 8_000 * (sum(commas.count(sign) for sign in (b"[", b"{", b",")) + 2) < MAXIMUM_PARTS


def test_the_helpers_memory_is_closed_before_it_holds_a_key(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Closed(Exception):
        pass

    def close() -> None:
        raise Closed

    monkeypatch.setattr(main, "harden", close)
    with pytest.raises(Closed):
        main.serve(tmp_path / "none", "127.0.0.1:0", tmp_path / "none.json", "http://127.0.0.1:1")


# --- what is published ---


@pytest.mark.parametrize("change", [{"minimum_contributors": 94}, {"maximum_contributors": 92}])
def test_a_refusal_in_the_log_names_no_exact_number_of_people(
    leader: Leader, change: dict[str, int]
) -> None:
    leader.rules = tuple(replace(rule, **change) for rule in leader.rules)
    leader.authorisation = leader._authorise(leader.rules)
    story = Round(leader)
    refusal = refused(leader, lambda: story.helper.prepare(story.ask()))
    assert refusal.code in {"below-minimum", "above-maximum"}
    for number in (93, 61, 62, 63):  # all contributors, and those without each operator
        assert str(number) not in refusal.sentence


# --- keys that should be gone ---


def test_nobody_else_on_the_machine_reads_the_helpers_files(leader: Leader) -> None:
    story = Round(leader)
    story.helper.prepare(story.ask())
    found = list((leader.folder / "helper").iterdir())
    assert {path.name for path in found} >= {"helper.sqlite", "helper.sqlite-wal"}
    for path in found:
        assert path.stat().st_mode & 0o077 == 0, path


def key_of(story: Round) -> bytes:
    found = story.helper._campaigns.engaged(story.leader.campaign).secret
    return found.private_bytes_raw()


def traces(folder: Path, needle: bytes) -> int:
    return sum(needle in path.read_bytes() for path in folder.iterdir())


def test_a_key_past_its_time_answers_nothing_before_the_clock_comes_round(leader: Leader) -> None:
    story = Round(leader)
    secret = key_of(story)
    leader.clock.jump(31 * 86_400)
    assert refused(leader, lambda: story.helper.prepare(story.ask())).code == "helper-key-destroyed"
    assert not traces(leader.folder / "helper", secret)
    other = Round.__new__(Round)
    other.helper = leader.helper()
    code = refused(leader, lambda: other.helper.engage(leader.engagement())).code
    assert code == "helper-key-destroyed"


def test_a_destroyed_key_leaves_the_write_ahead_log_once_nobody_reads(leader: Leader) -> None:
    story = Round(leader)
    secret, folder = key_of(story), leader.folder / "helper"
    with sqlite3.connect(folder / "helper.sqlite", isolation_level=None) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM campaign").fetchone()
        story.helper.end(leader.ended())
        assert traces(folder, secret)  # the reader's snapshot needs those pages
        reader.execute("COMMIT")
    reader.close()
    story.helper.expire()
    assert not traces(folder, secret)


def test_a_key_that_a_crash_left_in_the_write_ahead_log_goes_at_the_next_start(
    leader: Leader, tmp_path: Path
) -> None:
    story = Round(leader)
    secret, folder = key_of(story), leader.folder / "helper"
    with sqlite3.connect(folder / "helper.sqlite", isolation_level=None) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM campaign").fetchone()
        story.helper.end(leader.ended())
        # Files as a crash leaves them: destroyed in the log, the old pages beside it.
        shutil.copytree(folder, leader.folder / "crashed")
        reader.execute("COMMIT")
    reader.close()
    assert traces(leader.folder / "crashed", secret)
    again = leader.helper("crashed")
    assert not traces(leader.folder / "crashed", secret)
    assert refused(leader, lambda: again.engage(leader.engagement())).code == "helper-key-destroyed"


def test_the_keys_of_many_campaigns_leave_no_trace_in_pages_that_were_split(
    leader: Leader,
) -> None:
    helper = leader.helper()
    secrets = []
    for number in range(60):
        leader.campaign = CampaignId.draw(seeded(b"campaign %d" % number))
        leader.certificate = helper.engage(leader.engagement())
        secrets.append((leader.campaign, helper._campaigns.engaged(leader.campaign).secret))
    for campaign, _ in secrets:
        leader.campaign = campaign
        helper.end(leader.ended())
    for _, secret in secrets:
        assert not traces(leader.folder / "helper", secret.private_bytes_raw())


# --- a second batch ---


def test_a_batch_under_a_former_order_key_still_closes_its_round(leader: Leader) -> None:
    # A leader whose order key was rotated, and a helper from a backup that had prepared another
    # list: the first batch does not verify under the new root, and must count all the same.
    leader.enrol("ville", 40)
    leader.status()
    story = Round(leader)
    shutil.copytree(leader.folder / "helper", leader.folder / "backup")
    story.opened()
    fewer = story.reports[:3]
    leader.helper("backup", b"restored").prepare(leader.preparation(story.plan, fewer))
    territory = leader.territory
    former, territory.orders_key = territory.orders_key, PrivateKey(bytes([5]) * 32)
    document = territory.root.document
    duties = {**document.duties, Duty.ORDERS: DutyKeys((territory.orders_key.public,), 1)}
    rotated = replace(territory.root, document=replace(document, duties=duties))
    signer, territory.root = territory.root, rotated
    old = leader.helper("backup", b"restored")
    territory.root = signer
    second = leader.commitment(story.plan, fewer)
    assert former.public in signer.keys(Duty.ORDERS).keys
    assert refused(leader, lambda: old.commit(second)).code == "already-opened"


def test_a_second_log_in_the_roots_policy_is_no_second_first(leader: Leader) -> None:
    # A leader with two witnessed logs could commit one batch in each: both would be the first.
    story = Round(leader)
    story.helper.prepare(story.ask())
    request = leader.commitment(story.plan, story.reports)
    policy = Policy.parse(leader.territory.root.document.log_policy.encode())
    history = story.helper._rounds._office.history
    history._policy = replace(policy, logs=policy.logs * 2)
    assert refused(leader, lambda: story.helper.commit(request)).code == "not-logged"
    history._policy = policy
    assert story.helper.commit(request)


# --- what one alone can learn ---


def test_noise_is_never_the_same_for_two_questions(leader: Leader) -> None:
    # The same sums of the same workers in two campaigns: were the noise repeated, the difference
    # of two answers would tell exactly what changed between them.
    first = Round(leader).opened()
    leader.campaign = CampaignId.draw(seeded(b"the next one"))
    second = Round(leader).opened()
    for rule in leader.rules:
        assert not np.array_equal(first[rule.output], second[rule.output])


def test_a_leader_with_machines_of_its_own_still_gets_one_worker_noised(leader: Leader) -> None:
    # It signs enrolments and names operators, and anybody can register consents: the minima do
    # not stand against a leader that invents the crowd. The helper's noise does.
    secret = 4
    opened = Round(leader, lambda at: secret if at == 0 else 0).opened()
    for rule in leader.rules:
        noise = accounting.noise_of(rule)
        error = opened[rule.output] - secret
        assert np.abs(error).max() <= accounting.simultaneous_band(noise, 1, error.size)
        assert np.abs(error).mean() > float(noise.variance) ** 0.5 / 4


def test_a_seed_of_one_round_opens_in_no_other(leader: Leader) -> None:
    story = Round(leader)
    other = leader.plan(leader.certificate, issued_at=leader.territory.now.replace(second=1))
    request = leader.preparation(other, story.reports)
    assert refused(leader, lambda: story.helper.prepare(request)).code == "too-few-operators"
    leader.campaign = CampaignId.draw(seeded(b"the next one"))
    story.plan = leader.plan(story.helper.engage(leader.engagement()))
    assert refused(leader, lambda: story.helper.prepare(story.ask())).code == "too-few-operators"


def test_two_batches_that_differ_by_one_resident_tell_what_noise_and_budget_say(
    leader: Leader,
) -> None:
    # The leader opens two campaigns over the same people, one resident less in the second, takes
    # the difference of the helper's answers, and guesses whether that resident has the largest
    # contribution that the clip lets through (every cell at the bound) or none.
    (rule,) = leader.rules
    noise, rho = accounting.noise_of(rule), float(accounting.rho_of((rule,)))
    cells, bound = int(np.prod(rule.shape)), int(accounting.bound_in_steps(rule))
    trials, guesses, exact = 400, 0, 0
    for trial in range(trials):
        there = trial % 2
        one, other = (
            draw_noise((rule,), 1, derived(bytes(32), b"batch %d %d" % (trial, at)))[rule.output]
            for at in range(2)
        )
        difference = one - other + there * bound
        guesses += (int(difference.sum()) > cells * bound / 2) == bool(there)
        exact += int((difference == there * bound).sum())
    deviation = (2 * cells * float(noise.variance)) ** 0.5
    distance = cells * bound / deviation
    assert distance == pytest.approx(rho**0.5, rel=0.01)  # 0.32 at rho = 0.1
    expected = NormalDist().cdf(distance / 2)  # 56 % right, 50 % is a coin
    assert guesses / trials == pytest.approx(expected, abs=3 * 0.5 / trials**0.5)
    assert exact < cells * trials / 1000
    # Every further pair costs the resident rho again, and each worker's ledger ends at 1 zCDP:
    # with all of it spent on this one question the leader is right 69 times in a hundred.
    pairs = int(1 / rho)
    assert NormalDist().cdf(distance * pairs**0.5 / 2) < 0.70


# --- poisoning ---


def test_a_lying_worker_moves_a_release_by_at_most_the_bound_of_the_whole_batch(
    leader: Leader,
) -> None:
    (rule,) = leader.rules
    layout = Layout.of(leader.rules)
    bound = int(accounting.bound_in_steps(rule))
    contributors = [30, 31, 32]
    reach = reach_of(rule, 1, sum(contributors))
    tails = reach - sum(contributors) * bound

    def opened(lie: int) -> Any:
        shares, masks = ShareSum(layout), MaskSum(layout)
        for number, count in enumerate(contributors):
            value = lie if number == 0 else 0
            seed = Seed.draw(seeded(b"%d" % number))
            steps = {rule.output: np.full(rule.shape, value, np.int64)}
            shares.add(split(steps, layout, seed))
            masks.add(seed)
            del count
        zero = {rule.output: np.zeros(rule.shape, np.int64)}
        sums = combine(shares.answer(zero), masks.answer(zero))
        check_sums(leader.rules, 1, sum(contributors), sums)
        return sums[rule.output]

    # An honest broker adds at most what its own contributors may: m x clip.
    assert np.abs(opened(contributors[0] * bound)).max() == 30 * bound
    # Shares cannot be looked into: a broker that lies has the room of the whole batch ...
    assert np.abs(opened(reach)).max() == 93 * bound + tails
    # ... and not a step more, also not around the ring.
    half = layout.slots[0].ring.half
    for lie in (reach + 1, -reach - 1, half - 1, -half, half // 2):
        with pytest.raises(SumImplausible):
            opened(lie)


def test_a_share_of_another_ring_is_refused_before_it_is_added(leader: Leader) -> None:
    layout = Layout.of(leader.rules)
    slot = layout.slots[0]
    other = Ring.NARROW if slot.ring is Ring.WIDE else Ring.WIDE
    foreign = Layout((replace(slot, ring=other),))
    blob = Vector.zeros(foreign, Role.SHARE).encode()
    from protection.errors import ShareMalformed

    for role, bad in ((Role.SHARE, blob), (Role.MASKS, Vector.zeros(layout, Role.SHARE).encode())):
        with pytest.raises(ShareMalformed):
            Vector.decode(layout, role, bad)


# --- the leader's side ---


def test_a_refusal_about_another_campaign_does_not_settle_a_key() -> None:
    # Signed refusals are public: put in the place of the answer to /end, one would let the leader
    # forget to have a key destroyed.
    asked = CampaignId.draw(seeded(b"asked"))
    key = PrivateKey(bytes([3]) * 32)
    settled: list[Any] = []

    def refusal(**changes: Any) -> HelperDenied:
        document = HelperRefusal(NAME, asked, 0, "helper-key-unknown", "unknown", Territory().now)
        raw = signed.sign(replace(document, **changes), [key]).envelope.raw
        return HelperDenied(raw)

    async def turn(denied: HelperDenied) -> None:
        def end(_: Any) -> bytes:
            raise denied

        async def look(_name: str, _work: Any) -> Any:
            return [(str(asked), str(Digest.of(b"key")), Territory().now)]

        async def run(_name: str, work: Any) -> None:
            settled.append(work)

        desk = SimpleNamespace(
            territory=NAME,
            now=lambda: Territory().now,
            orders=PrivateKey(bytes([4]) * 32),
            helper=SimpleNamespace(end=end),
            root=SimpleNamespace(
                verify=lambda cls, raw, _duty: signed.verify(cls, raw, {key.public})
            ),
            look=look,
            run=run,
        )
        await helping.end_all(desk)  # type: ignore[arg-type]

    asyncio.run(turn(refusal(campaign=CampaignId.draw(seeded(b"another")))))
    asyncio.run(turn(refusal(code="not-logged")))
    assert settled == []
    asyncio.run(turn(refusal()))
    assert len(settled) == 1


class Dripping:
    """An institution that accepts every question and lets its answer drip."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.heard = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.heard += 1
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200)
                self.send_header("Content-Length", "4")
                self.end_headers()
                outer.let_go.wait(20)
                self.wfile.write(b"done")

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self) -> None:
        self.let_go.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def test_a_helper_that_lets_its_answer_drip_does_not_stop_the_schedulers_turns() -> None:
    # Leases, the log and every other campaign wait for the same turn.
    slow = Dripping()
    try:
        post = Post("helper", f"http://127.0.0.1:{slow.server.server_port}", 1000, patience=0.05)
        began = time.monotonic()
        for _ in range(3):
            for question in ("one", "two"):
                with pytest.raises(Unanswered, match="not answered yet"):
                    post.ask("/commit", question)
        assert time.monotonic() - began < 5
        slow.let_go.set()
        # The second question may still be on its way: a busy machine is no broken promise.
        for question in ("one", "two"):
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                try:
                    assert post.ask("/commit", question) == b"done"
                except Unanswered:
                    continue
                break
        assert slow.heard == 2  # each question once, however often it was asked
    finally:
        slow.close()


def _territory() -> Any:
    path = Path(__file__).parents[1] / "scheduler" / "conftest.py"
    spec = importlib.util.spec_from_file_location("scheduler_world_of_shared", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_operator_sees_whose_report_was_left_out_and_why(tmp_path: Path) -> None:
    from helping import Scene, publish_status

    world = _territory().build(tmp_path / "world")
    scene = Scene(world, tmp_path)

    async def story() -> None:
        await scene.found()
        scene.hosts.append(await scene.world.worker("dep", capsules=7))
        await scene.hosts[3].exchange()
        publish_status(scene.world, scene.hosts, 2)
        campaign = await scene.reported()
        left = scene.hosts[3]
        left.capsules.pop()
        publish_status(scene.world, scene.hosts, 3)
        await scene.settle()
        view = await scene.world.view(campaign)
        (units,) = [entry.units for entry in view.rounds]
        told = {unit.row.worker: (unit.row.reason, unit.row.why) for unit in units}
        assert told[left.name][0] == Reason.LEFT_OUT.value
        assert "above-registry" in told[left.name][1]
        assert [name for name, (code, _) in told.items() if code == "left-out"] == [left.name]

    try:
        asyncio.run(story())
    finally:
        world.desk.store.close()
        world.desk.log.close()
