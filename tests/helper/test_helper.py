"""The helper's four answers, and every reason for which it says no."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from leader import Leader, logged, shared_bundle
from worker_territory import NAME, Territory

from governance.batches.errors import HistoryUnreadable, NotLogged, StandingUnknown
from governance.helper.errors import RequestMalformed
from governance.helper.office import Denied
from protection import accounting
from protection.errors import ReportRepeated
from protection.scope import Binding
from protection.seeds import Seed, seal
from trust.documents import signed
from trust.documents.aggregation import (
    AcceptList,
    AggregateShare,
    HelperKey,
    HelperRefusal,
    KeyDestroyed,
    Side,
)
from trust.documents.governance import Suspended
from trust.documents.reporting import Partial
from trust.documents.root import Duty
from trust.documents.rules import Protection
from trust.entropy import seeded
from trust.ids import AuthorisationId, CampaignId, Digest
from trust.keys import PrivateKey
from trust.log.entry import Kind
from trust.policy import Exhibit
from wire.aggregation import CommitRequest, LoggedDocument


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return shared_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def leader(bundle: Any, tmp_path: Path) -> Leader:
    return Leader(Territory(), bundle, tmp_path)


class Prepared:
    """A campaign up to its accept list."""

    def __init__(self, leader: Leader, **changes: Any) -> None:
        self.leader = leader
        self.helper = leader.helper()
        self.plan = leader.plan(self.helper.engage(leader.engagement()))
        made = [
            leader.report(self.plan, station, leader.steps(number + 1), **changes)
            for number, station in enumerate(leader.stations)
        ]
        self.reports = [report for report, _ in made]
        self.shares = [share for _, share in made]

    def prepare(self) -> AcceptList:
        raw = self.helper.prepare(self.leader.preparation(self.plan, self.reports))
        return self.leader.territory.root.verify(AcceptList, raw, Duty.HELPER).document


def denied(leader: Leader, question: Callable[[], object]) -> str:
    with pytest.raises(Denied) as caught:
        question()
    root = leader.territory.root
    refusal = root.verify(HelperRefusal, caught.value.envelope, Duty.HELPER).document
    assert refusal.code == caught.value.problem.code
    assert refusal.sentence
    return refusal.code


def test_a_campaign_from_engagement_to_the_destroyed_key(leader: Leader) -> None:
    story = Prepared(leader)
    accept = story.prepare()
    assert len(accept.accepted) == 3
    assert accept.dropped == ()
    answer = story.helper.commit(leader.commitment(story.plan, story.reports))
    share = leader.territory.root.verify(AggregateShare, answer.share, Duty.HELPER).document
    assert share.side is Side.HELPER
    assert share.values == Digest.of(answer.values)
    opened = leader.opened(story.shares, answer)
    for rule in leader.rules:
        noise = accounting.noise_of(rule)
        assert share.variances[rule.output] == accounting.to_text(noise.variance)
        error = opened[rule.output] - 6
        band = accounting.simultaneous_band(noise, 1, error.size)
        assert np.abs(error).max() <= band
        assert np.abs(error).max() > 0  # without noise it would be exact
    notice = story.helper.end(leader.ended())
    leader.territory.root.verify(KeyDestroyed, notice, Duty.HELPER)
    assert story.helper.end(leader.ended()) == notice


def test_the_key_is_for_this_campaign_and_made_once(leader: Leader) -> None:
    helper = leader.helper()
    raw = helper.engage(leader.engagement())
    key = leader.territory.root.verify(HelperKey, raw, Duty.HELPER).document
    assert key.campaign == leader.campaign
    assert helper.engage(leader.engagement()) == raw
    assert leader.helper().engage(leader.engagement()) == raw  # after a restart, from the disk


def test_the_same_question_gets_the_same_bytes(leader: Leader) -> None:
    story = Prepared(leader)
    request = leader.preparation(story.plan, story.reports)
    first = story.helper.prepare(request)
    turned = leader.preparation(story.plan, list(reversed(request.reports)))
    assert story.helper.prepare(turned) == first
    commitment = leader.commitment(story.plan, story.reports)
    answer = story.helper.commit(commitment)
    assert story.helper.commit(commitment) == answer
    assert leader.helper().commit(commitment) == answer


# --- engage ---


def test_engage_refuses_what_was_not_voted(leader: Leader) -> None:
    helper = leader.helper()
    other = AuthorisationId.draw(seeded(b"other"))
    for request in (
        leader.engagement(bundle=Digest.of(b"other")),
        leader.engagement(authorisation=other),
    ):
        assert denied(leader, lambda r=request: helper.engage(r)) == "not-authorised"  # type: ignore[misc]


def test_engage_refuses_another_engagement_of_the_same_campaign(leader: Leader) -> None:
    helper = leader.helper()
    helper.engage(leader.engagement())
    other = leader.engagement(bundle=Digest.of(b"other"))
    assert denied(leader, lambda: helper.engage(other)) == "not-authorised"


def test_engage_refuses_a_vote_for_clear_or_out_of_its_window(leader: Leader) -> None:
    clear = tuple(replace(rule, protection=Protection.CLEAR) for rule in leader.rules)
    leader.authorisation = leader._authorise(clear)
    assert denied(leader, lambda: leader.helper().engage(leader.engagement())) == "not-authorised"
    leader.authorisation = leader._authorise(leader.rules)
    leader.clock.jump(31 * 86_400)
    assert denied(leader, lambda: leader.helper().engage(leader.engagement())) == "not-authorised"


def test_engage_refuses_a_suspended_vote(leader: Leader) -> None:
    leader.status(suspensions=(Suspended(leader.vote, "harmful"),))
    code = denied(leader, lambda: leader.helper().engage(leader.engagement()))
    assert code == "authorisation-suspended"


def test_engage_refuses_a_vote_that_is_not_logged(leader: Leader) -> None:
    request = leader.engagement()
    hidden = replace(request, authorisation=LoggedDocument(leader.authorisation.envelope, b""))
    assert denied(leader, lambda: leader.helper().engage(hidden)) == "not-logged"


def test_only_the_leader_is_answered(leader: Leader) -> None:
    helper = leader.helper()
    honest = leader.territory.orders_key
    leader.territory.orders_key = PrivateKey(bytes([9]) * 32)
    forged = leader.engagement()
    leader.territory.orders_key = honest
    with pytest.raises(RequestMalformed):
        helper.engage(forged)
    with pytest.raises(RequestMalformed):
        helper.engage(leader.engagement(territory="other.example"))
    for raw in (b"", b"{}", b"\xff" * 100):
        with pytest.raises(RequestMalformed):
            helper.engage(replace(forged, engagement=raw))


def test_nothing_is_answered_without_a_fresh_status(leader: Leader) -> None:
    leader.clock.jump(25 * 3600)
    with pytest.raises(StandingUnknown):
        leader.helper().engage(leader.engagement())


# --- prepare: one report is dropped, the batch goes on ---


def dropped(leader: Leader, number: int, **changes: Any) -> list[str]:
    """The codes of what is dropped when report `number` of four is made with `changes`."""
    leader.enrol("ville", 40)
    leader.status()
    helper = leader.helper()
    plan = leader.plan(helper.engage(leader.engagement()))
    reports = [
        leader.report(plan, station, leader.steps(1), **(changes if at == number else {}))[0]
        for at, station in enumerate(leader.stations)
    ]
    raw = helper.prepare(leader.preparation(plan, reports))
    accept = leader.territory.root.verify(AcceptList, raw, Duty.HELPER).document
    assert len(accept.accepted) == 4 - len(accept.dropped)
    return [item.code for item in accept.dropped]


def test_a_report_above_the_registry_is_dropped(leader: Leader) -> None:
    assert dropped(leader, 3, capsules=41) == ["above-registry"]


def test_a_report_with_other_parameters_is_dropped(leader: Leader) -> None:
    assert dropped(leader, 3, parameters=Digest.of(b"other")) == ["parameters-mixed"]


@pytest.mark.parametrize(
    "change",
    [
        {"round": 2},
        {"bundle": Digest.of(b"x")},
        {"plan": Digest.of(b"x")},
        {"campaign": CampaignId.draw(seeded(b"x"))},
        {"territory": "other.example"},
        {"protection": Protection.CLEAR},
        {"image": Digest.of(b"x")},
        {"level": "L0"},
        {"capsules": 0},
        {"contributors": -1},
    ],
)
def test_a_report_that_does_not_fit_the_plan_is_dropped(
    leader: Leader, change: dict[str, Any]
) -> None:
    assert dropped(leader, 3, **change) == ["partial-mismatch"]


def test_an_unopenable_seed_drops_that_report_only(leader: Leader) -> None:
    leader.enrol("ville", 40)
    leader.status()
    story = Prepared(leader)
    broken = bytearray(story.reports[3].sealed)
    broken[40] ^= 1
    story.reports[3] = replace(story.reports[3], sealed=bytes(broken))
    accept = story.prepare()
    assert [item.code for item in accept.dropped] == ["seed-unopenable"]
    del story.reports[3], story.shares[3]
    answer = story.helper.commit(leader.commitment(story.plan, story.reports))
    assert leader.opened(story.shares, answer)


def test_a_seed_that_the_leader_put_in_the_place_of_a_workers_is_dropped(leader: Leader) -> None:
    # With seeds of its own in the place of all others', one worker would stand alone in the sum.
    leader.enrol("ville", 40)
    leader.status()
    story = Prepared(leader)
    root = leader.territory.root
    certified = root.verify(HelperKey, leader.certificate, Duty.HELPER).document
    key = leader.stations[3].key.public
    partial = signed.verify(Partial, story.reports[3].partial, {key}).document
    forged = seal(
        Seed.draw(seeded(b"the leader's own")),
        X25519PublicKey.from_public_bytes(certified.key),
        Binding.of(partial),
    )
    story.reports[3] = replace(story.reports[3], sealed=forged)
    accept = story.prepare()
    assert [item.code for item in accept.dropped] == ["partial-mismatch"]


def test_a_helper_does_not_forget_which_log_it_read(leader: Leader) -> None:
    leader.enrol("ville", 40)
    leader.status()
    story = Prepared(leader)
    story.prepare()
    first = leader.commitment(story.plan, story.reports)
    story.helper.commit(first)
    old = leader.helper("blank", b"blank")
    history = old._rounds._office.history
    included = history.require(Kind.BATCH, first.batch.envelope, first.batch.proof)
    assert len(history.logged(Kind.BATCH, included.checkpoint, 0)) == 1
    # The log is shown anew without that batch, as far as before or less far.
    leader.territory.log.pop()
    other = leader.commitment(story.plan, story.reports, partials=3, round=2)
    face = history.require(Kind.BATCH, other.batch.envelope, other.batch.proof)
    for _ in range(3):
        with pytest.raises(NotLogged, match="do not lead"):
            history.logged(Kind.BATCH, face.checkpoint, 0)


def test_a_report_of_a_stranger_or_forged_is_dropped(leader: Leader) -> None:
    leader.enrol("ville", 40)
    leader.status()
    story = Prepared(leader)
    shown = [station.enrolment for station in leader.stations[:3]]
    stranger = leader.preparation(story.plan, story.reports, shown)
    raw = leader.helper("a").engage(leader.engagement())
    del raw
    accept = story.helper.prepare(stranger)
    document = leader.territory.root.verify(AcceptList, accept, Duty.HELPER).document
    # What cannot be read is not named: its report id would be the stranger's word.
    assert len(document.accepted) == 3
    assert document.dropped == ()


def test_a_repeated_report_counts_once(leader: Leader) -> None:
    story = Prepared(leader)
    story.reports.append(story.reports[0])
    accept = story.prepare()
    assert len(accept.accepted) == 3
    assert [item.code for item in accept.dropped] == ["report-repeated"]


def test_two_reports_with_one_seed_count_once(leader: Leader) -> None:
    leader.enrol("ville", 40)
    leader.status()
    helper = leader.helper()
    plan = leader.plan(helper.engage(leader.engagement()))
    reports = [
        leader.report(plan, station, leader.steps(1), seed=b"same" if at > 1 else b"")[0]
        for at, station in enumerate(leader.stations)
    ]
    accept = helper.prepare(leader.preparation(plan, reports))
    document = leader.territory.root.verify(AcceptList, accept, Duty.HELPER).document
    assert [item.code for item in document.dropped] == ["report-repeated"]


# --- prepare: the whole batch is refused ---


def test_a_batch_below_the_minimum(leader: Leader) -> None:
    leader.rules = tuple(replace(rule, minimum_contributors=94) for rule in leader.rules)
    leader.authorisation = leader._authorise(leader.rules)
    story = Prepared(leader)
    assert denied(leader, story.prepare) == "below-minimum"


def test_one_operator_does_not_make_the_crowd(leader: Leader) -> None:
    # 93 contributors in all, at least 62 without the largest operator.
    leader.rules = tuple(replace(rule, minimum_contributors=62) for rule in leader.rules)
    leader.authorisation = leader._authorise(leader.rules)
    assert denied(leader, Prepared(leader).prepare) == "below-minimum"


def test_the_same_crowd_is_enough_when_it_stands_without_any_operator(leader: Leader) -> None:
    leader.rules = tuple(replace(rule, minimum_contributors=61) for rule in leader.rules)
    leader.authorisation = leader._authorise(leader.rules)
    assert len(Prepared(leader).prepare().accepted) == 3


def test_a_batch_of_too_few_operators(leader: Leader) -> None:
    leader.rules = tuple(replace(rule, minimum_operators=4) for rule in leader.rules)
    leader.authorisation = leader._authorise(leader.rules)
    assert denied(leader, Prepared(leader).prepare) == "too-few-operators"


def test_an_empty_batch(leader: Leader) -> None:
    story = Prepared(leader)
    story.reports.clear()
    assert denied(leader, story.prepare) in {"below-minimum", "too-few-operators"}


def test_a_plan_that_is_not_logged(leader: Leader) -> None:
    story = Prepared(leader)
    hidden = leader.preparation(Exhibit(story.plan.envelope, b""), story.reports)
    assert denied(leader, lambda: story.helper.prepare(hidden)) == "not-logged"


def test_a_plan_for_another_key_or_vote(leader: Leader) -> None:
    for change in (
        {"helper": None},
        {"helper": Digest.of(b"x")},
        {"bundle": Digest.of(b"x")},
        {"authorisation": AuthorisationId.draw(seeded(b"x"))},
        {"round": 2},
    ):
        story = Prepared(leader)
        certificate = leader.certificate
        story.plan = leader.plan(certificate, **change)
        story.reports = []
        assert denied(leader, story.prepare) == "plan-mismatch"


def test_a_campaign_that_the_helper_does_not_know(leader: Leader) -> None:
    story = Prepared(leader)
    other = leader.helper("other", b"other")
    request = leader.preparation(story.plan, story.reports)
    assert denied(leader, lambda: other.prepare(request)) == "helper-key-unknown"


def test_a_suspension_that_comes_while_the_round_runs(leader: Leader) -> None:
    story = Prepared(leader)
    leader.status(suspensions=(Suspended(leader.vote, "harmful"),))
    assert denied(leader, story.prepare) == "authorisation-suspended"


def test_a_suspension_between_prepare_and_commit(leader: Leader) -> None:
    story = Prepared(leader)
    story.prepare()
    leader.status(suspensions=(Suspended(leader.vote, "harmful"),))
    commitment = leader.commitment(story.plan, story.reports)
    assert denied(leader, lambda: story.helper.commit(commitment)) == "authorisation-suspended"


def test_a_withdrawn_consent_acts_until_the_batch_is_prepared(leader: Leader) -> None:
    leader.enrol("ville", 40)
    story = Prepared(leader)
    leader.stations[3].contributors -= 1  # withdrawn after its worker reported
    leader.status()
    assert [item.code for item in story.prepare().dropped] == ["above-registry"]


def test_an_older_status_put_back_is_not_believed(leader: Leader) -> None:
    old = leader.status_raw
    leader.status(suspensions=(Suspended(leader.vote, "harmful"),))
    assert denied(leader, lambda: leader.helper().engage(leader.engagement()))
    leader.status_raw = old
    with pytest.raises(StandingUnknown):
        leader.helper().engage(leader.engagement())


# --- one batch per round ---


def test_a_round_is_prepared_with_one_list(leader: Leader) -> None:
    leader.enrol("ville", 40)
    leader.status()
    story = Prepared(leader)
    story.prepare()
    story.reports.pop()  # a batch that differs by one worker
    assert denied(leader, story.prepare) == "batch-differs"


def test_only_the_accepted_list_can_be_committed(leader: Leader) -> None:
    leader.enrol("ville", 40)
    leader.status()
    story = Prepared(leader)
    story.prepare()
    fewer = leader.commitment(story.plan, story.reports[:3])
    assert denied(leader, lambda: story.helper.commit(fewer)) == "batch-differs"
    honest = leader.commitment(story.plan, story.reports)
    altered = replace(honest, lines=honest.lines + b"\n")
    assert denied(leader, lambda: story.helper.commit(altered)) == "batch-differs"


@pytest.mark.parametrize(
    "change",
    [
        {"partials": 2},
        {"contributors_rounded": 100},
        {"parameters": Digest.of(b"x")},
        {"plan": Digest.of(b"x")},
        {"helper": Digest.of(b"x")},
    ],
)
def test_a_commitment_that_says_something_else(leader: Leader, change: dict[str, Any]) -> None:
    story = Prepared(leader)
    story.prepare()
    request = leader.commitment(story.plan, story.reports, **change)
    assert denied(leader, lambda: story.helper.commit(request)) == "batch-differs"


def test_a_batch_that_is_not_logged(leader: Leader) -> None:
    story = Prepared(leader)
    story.prepare()
    request = leader.commitment(story.plan, story.reports)
    hidden = CommitRequest(LoggedDocument(request.batch.envelope, b""), request.lines)
    assert denied(leader, lambda: story.helper.commit(hidden)) == "not-logged"


def test_a_round_that_was_opened_is_not_opened_again(leader: Leader) -> None:
    leader.enrol("ville", 40)
    leader.status()
    story = Prepared(leader)
    story.prepare()
    story.helper.commit(leader.commitment(story.plan, story.reports))
    story.reports.pop()
    fewer = leader.commitment(story.plan, story.reports)
    assert denied(leader, lambda: story.helper.commit(fewer)) == "already-opened"
    assert denied(leader, story.prepare) == "already-opened"


def restored(leader: Leader, saved: Path) -> Any:
    """A helper on the state that was saved earlier."""
    return leader.helper(saved.name, b"after the restoration")


def save(leader: Leader, name: str) -> Path:
    shutil.copytree(leader.folder / "helper", leader.folder / name)
    return leader.folder / name


def test_a_helper_from_an_old_backup_does_not_open_a_second_batch(leader: Leader) -> None:
    leader.enrol("ville", 40)
    leader.status()
    story = Prepared(leader)
    saved = save(leader, "backup")
    story.prepare()
    story.helper.commit(leader.commitment(story.plan, story.reports))
    old = restored(leader, saved)
    fewer = story.reports[:3]
    old.prepare(leader.preparation(story.plan, fewer))
    second = leader.commitment(story.plan, fewer)
    assert denied(leader, lambda: old.commit(second)) == "already-opened"


def test_a_helper_from_an_old_backup_repeats_the_same_draw(leader: Leader) -> None:
    story = Prepared(leader)
    saved = save(leader, "backup")
    story.prepare()
    request = leader.commitment(story.plan, story.reports)
    answer = story.helper.commit(request)
    old = restored(leader, saved)
    old.prepare(leader.preparation(story.plan, story.reports))
    assert old.commit(request) == answer


def test_nothing_is_opened_while_the_log_withholds_a_batch(leader: Leader) -> None:
    story = Prepared(leader)
    saved = save(leader, "backup")
    story.prepare()
    first = leader.commitment(story.plan, story.reports)
    story.helper.commit(first)
    old = restored(leader, saved)
    old.prepare(leader.preparation(story.plan, story.reports))
    again = leader.commitment(story.plan, story.reports, committed_at=leader.territory.now)
    name = Digest.of(first.batch.envelope).removeprefix("sha256:")
    del leader.objects[f"objects/sha256/{name[:2]}/{name}"]
    with pytest.raises(HistoryUnreadable):
        old.commit(again)


def test_nothing_is_opened_after_the_end(leader: Leader) -> None:
    story = Prepared(leader)
    story.helper.end(leader.ended())
    assert denied(leader, story.prepare) == "helper-key-destroyed"
    code = denied(leader, lambda: story.helper.engage(leader.engagement()))
    assert code == "helper-key-destroyed"


def test_a_key_is_destroyed_when_its_time_is_over(leader: Leader) -> None:
    story = Prepared(leader)
    leader.clock.jump(31 * 86_400)
    story.helper.expire()
    leader.status(issued_at=leader.clock.now(), expires_at=leader.clock.now() + timedelta(hours=1))
    assert denied(leader, story.prepare) == "helper-key-destroyed"


def test_the_key_and_the_seeds_leave_no_trace_on_the_disk(leader: Leader) -> None:
    story = Prepared(leader)
    story.prepare()
    secret = story.helper._campaigns.engaged(leader.campaign).secret.private_bytes_raw()
    sealed = story.reports[0].sealed
    folder = leader.folder / "helper"

    def traces(needle: bytes) -> int:
        return sum(needle in path.read_bytes() for path in folder.iterdir())

    assert traces(secret)
    assert traces(sealed)
    story.helper.end(leader.ended())
    assert not traces(secret)
    assert not traces(sealed)


def test_the_share_alone_says_nothing_about_the_values(leader: Leader) -> None:
    # The same seeds over other values give the same masks: the answer does not depend on them.
    story = Prepared(leader)
    story.prepare()
    answer = story.helper.commit(leader.commitment(story.plan, story.reports))
    share = story.shares[0]
    assert share.encode() not in answer.values
    assert NAME.encode() not in answer.values


def test_prepare_takes_a_request_without_enrolments_as_strangers(leader: Leader) -> None:
    story = Prepared(leader)
    request = leader.preparation(story.plan, story.reports, [])
    assert denied(leader, lambda: story.helper.prepare(request)) in {
        "below-minimum",
        "too-few-operators",
    }


def test_a_batch_lists_no_worker_twice(leader: Leader) -> None:
    story = Prepared(leader)
    with pytest.raises(ReportRepeated):
        leader.commitment(story.plan, [*story.reports, story.reports[0]])


def test_a_logged_document_of_another_kind_is_not_the_batch(leader: Leader) -> None:
    story = Prepared(leader)
    story.prepare()
    request = leader.commitment(story.plan, story.reports)
    as_plan = leader.territory.logged(Kind.PLAN, request.batch.envelope)
    mislabelled = CommitRequest(logged(as_plan), request.lines)
    assert denied(leader, lambda: story.helper.commit(mislabelled)) == "not-logged"
