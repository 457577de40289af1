"""Every reason for which a worker turns an order down, one test each."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worker_territory import FACTS, FLOWS, NAME, PARAMETERS, Territory

from trust.documents.campaign import UnitKind
from trust.documents.rules import Bound
from trust.entropy import seeded
from trust.ids import AuthorisationId, CampaignId, Digest, WorkerId
from trust.keys import PrivateKey
from trust.log.entry import Kind
from trust.policy import (
    RUN_POLICIES,
    Exhibit,
    Permit,
    RunRequest,
    Served,
    verify_orders,
    verify_status,
)
from trust.policy import errors as reasons
from trust.policy.errors import RunRefused
from trust.policy.parameters import require_within
from trust.root import trust_pinned

pytestmark = pytest.mark.base

STRANGER = PrivateKey(bytes([7]) * 32)


@pytest.fixture(scope="module")
def territory() -> Territory:
    return Territory()


def refused(request: RunRequest) -> str:
    with pytest.raises(RunRefused) as caught:
        RUN_POLICIES.require(request)
    assert caught.value.sentence
    assert caught.value.remedy
    return caught.value.code


def test_an_honest_order_gets_a_permit(territory: Territory) -> None:
    permit = RUN_POLICIES.require(territory.request())
    assert permit.plan.document.round == 1
    assert permit.authorisation.document.purpose == "mobility planning"
    assert len(permit.held) == len(RUN_POLICIES.policies)
    assert all(held.sentence for held in permit.held)


def test_a_permit_is_never_made_by_hand(territory: Territory) -> None:
    permit = RUN_POLICIES.require(territory.request())
    with pytest.raises(TypeError):
        Permit(permit.request, permit.plan, permit.authorisation, (), object())


# --- root and orders ---


def test_an_expired_root(territory: Territory) -> None:
    raw = territory.sign_root(expires_at=territory.now)
    root = trust_pinned(raw, Digest.of(raw))
    assert refused(territory.request(root=root)) == "root-expired"


def test_orders_signed_by_a_stranger(territory: Territory) -> None:
    request = territory.request()
    forged = territory.orders(request.worker, (request.order,), key=STRANGER)
    assert refused(replace(request, orders=forged)) == "order-forged"


@given(st.binary(max_size=300))
def test_orders_that_are_noise(data: bytes) -> None:
    territory = Territory()
    with pytest.raises(reasons.OrderForged):
        verify_orders(territory.root, data, WorkerId.draw(seeded(b"w")), 1)


def test_every_truncation_and_flip_of_orders_is_refused(territory: Territory) -> None:
    request = territory.request()
    raw = request.orders
    for at in range(0, len(raw), 7):
        flipped = raw[:at] + bytes([raw[at] ^ 4]) + raw[at + 1 :]
        for altered in (raw[:at], flipped):
            with pytest.raises(RunRefused):
                verify_orders(territory.root, altered, request.worker, 1)


def test_a_status_is_no_order(territory: Territory) -> None:
    root = territory.root
    with pytest.raises(reasons.OrderForged):
        verify_orders(root, territory.status(key=territory.orders_key), WorkerId("wrk_x"), 1)


def test_orders_for_another_worker_or_territory(territory: Territory) -> None:
    request = territory.request()
    elsewhere = territory.orders(request.worker, (request.order,), territory="other.example")
    assert refused(replace(request, orders=elsewhere)) == "order-misdirected"
    other = WorkerId.draw(seeded(b"other"))
    assert refused(replace(request, worker=other)) == "order-misdirected"


def test_an_old_answer_sent_again(territory: Territory) -> None:
    assert refused(replace(territory.request(), answers=2)) == "order-replayed"


def test_an_order_that_is_not_in_its_batch(territory: Territory) -> None:
    request = territory.request()
    longer = replace(request.order, lease_seconds=400)
    assert refused(replace(request, order=longer)) == "order-unknown"


def test_a_lease_counts_on_the_boot_clock(territory: Territory) -> None:
    request = territory.request()
    assert refused(replace(request, boottime=request.received_at + 300)) == "lease-expired"
    assert refused(replace(request, boottime=request.received_at - 1)) == "lease-expired"
    # A wall clock that jumped a day forward ends what has dates, not the lease.
    assert refused(replace(request, now=request.now + timedelta(days=1))) == "plan-expired"
    plan = territory.plan(deadline=territory.now + timedelta(days=9))
    request = territory.request(plan=plan)
    jumped = replace(request, now=request.now + timedelta(days=1))
    assert refused(jumped) == "status-stale"


def test_a_lease_is_never_longer_than_a_day(territory: Territory) -> None:
    plan = territory.plan(deadline=territory.now + timedelta(days=9))
    order = territory.order(plan, lease_seconds=10**9)
    request = territory.request(plan=plan, order=order)
    RUN_POLICIES.require(request)
    assert refused(replace(request, boottime=100.0 + 86_400)) == "lease-expired"


# --- plans ---


def test_a_plan_signed_by_a_stranger(territory: Territory) -> None:
    plan = territory.plan()
    forged = territory.plan(key=STRANGER)
    order = territory.order(plan, plan=Digest.of(forged.envelope))
    request = territory.request(plan=plan, order=order)
    assert refused(replace(request, plan=forged)) == "plan-forged"


@pytest.mark.parametrize(
    "change",
    [
        {"round": 2},
        {"campaign": CampaignId.draw(seeded(b"else"))},
        {"bundle": Digest.of(b"else")},
        {"parameters": Digest.of(b"else")},
        {"plan": Digest.of(b"else")},
    ],
)
def test_an_order_that_contradicts_its_plan(territory: Territory, change: dict[str, Any]) -> None:
    plan = territory.plan()
    order = territory.order(plan, **change)
    assert refused(territory.request(plan=plan, order=order)) == "plan-mismatch"


def test_a_plan_of_another_territory(territory: Territory) -> None:
    plan = territory.plan(territory="other.example")
    assert refused(territory.request(plan=plan)) == "plan-mismatch"


def test_a_round_that_is_over(territory: Territory) -> None:
    plan = territory.plan(deadline=territory.now)
    assert refused(territory.request(plan=plan)) == "plan-expired"


def test_a_second_plan_for_a_round(territory: Territory) -> None:
    request = territory.request()
    RUN_POLICIES.require(replace(request, known_plan=request.order.plan))
    assert refused(replace(request, known_plan=Digest.of(b"first"))) == "two-plans"


def test_parameters_changed_on_their_way(territory: Territory) -> None:
    assert refused(territory.request(parameters=b'{"hour":9}')) == "parameters-altered"


# --- bundles ---


def test_a_bundle_changed_on_its_way(territory: Territory) -> None:
    facts = replace(FACTS, bundle=Digest.of(b"another bundle"))
    assert refused(territory.request(facts=facts)) == "bundle-altered"


def test_a_bundle_that_nobody_voted(territory: Territory) -> None:
    facts = replace(FACTS, bundle=Digest.of(b"another bundle"))
    request = territory.request(facts=facts, plan=territory.plan(facts))
    assert refused(request) == "authorisation-mismatch"


@pytest.mark.parametrize("change", [{"bundle": Digest.of(b"x")}, {"manifest": Digest.of(b"x")}])
def test_a_statement_about_another_bundle(territory: Territory, change: dict[str, Any]) -> None:
    statement = territory.statement(**change)
    assert refused(territory.request(statement=statement)) == "bundle-unsigned"


def test_a_statement_signed_by_somebody_else(territory: Territory) -> None:
    statement = territory.statement(author=STRANGER.public)
    assert refused(territory.request(statement=statement)) == "bundle-unsigned"


# --- authorisations ---


def test_a_minority_of_the_college(territory: Territory) -> None:
    vote = territory.authorisation(keys=territory.college[:1])
    assert refused(territory.request(authorisation=vote)) == "authorisation-forged"


def test_one_college_key_that_signs_twice(territory: Territory) -> None:
    vote = territory.authorisation(keys=[territory.college[0]] * 2)
    assert refused(territory.request(authorisation=vote)) == "authorisation-forged"


def test_strangers_do_not_count(territory: Territory) -> None:
    vote = territory.authorisation(keys=[territory.college[0], STRANGER])
    assert refused(territory.request(authorisation=vote)) == "authorisation-forged"


@pytest.mark.parametrize(
    "change",
    [
        {"id": AuthorisationId.draw(seeded(b"else"))},
        {"territory": "other.example"},
        {"manifest": Digest.of(b"else")},
    ],
)
def test_an_authorisation_for_something_else(territory: Territory, change: dict[str, Any]) -> None:
    vote = territory.authorisation(**change)
    assert refused(territory.request(authorisation=vote)) == "authorisation-mismatch"


def test_the_window_of_an_authorisation(territory: Territory) -> None:
    over = territory.authorisation(not_after=territory.now)
    early = territory.authorisation(not_before=territory.now + timedelta(seconds=1))
    assert refused(territory.request(authorisation=over)) == "authorisation-expired"
    assert refused(territory.request(authorisation=early)) == "authorisation-not-yet"


@pytest.mark.parametrize(
    "rules",
    [
        (replace(FLOWS, rho="10"),),
        (replace(FLOWS, rho="0.10"),),
        (replace(FLOWS, minimum_contributors=1),),
        (FLOWS, replace(FLOWS, output="more")),
        (),
        (FLOWS, FLOWS),
    ],
)
def test_release_rules_other_than_the_voted(territory: Territory, rules: tuple[Any, ...]) -> None:
    facts = replace(FACTS, rules=rules)
    assert refused(territory.request(facts=facts)) == "rules-mismatch"


@pytest.mark.parametrize(
    "tables",
    [{"commute": ("home_sector", "income")}, {"commute": ("home_sector",), "health": ("x",)}],
)
def test_tables_beyond_the_voted(territory: Territory, tables: dict[str, Any]) -> None:
    facts = replace(FACTS, tables=tables)
    assert refused(territory.request(facts=facts)) == "tables-exceeded"


def test_fewer_tables_than_voted_are_fine(territory: Territory) -> None:
    facts = replace(FACTS, tables={"commute": ("home_sector",)})
    RUN_POLICIES.require(territory.request(facts=facts))


@pytest.mark.parametrize("hour", ["24", "-1", "8.0", '"8"', "true", "null", "NaN", "[8]"])
def test_a_parameter_out_of_bounds(territory: Territory, hour: str) -> None:
    parameters = f'{{"hour":{hour}}}'.encode()
    plan = territory.plan(parameters=parameters)
    assert refused(territory.request(plan=plan, parameters=parameters)) == "parameters-refused"


@pytest.mark.parametrize(
    "parameters",
    [b"", b"[]", b"{}", b'{"hour": 8}', b'{"hour":8,"more":1}', b'{"hour":8,"hour":8}', b"\xff"],
)
def test_a_parameter_blob_of_another_form(territory: Territory, parameters: bytes) -> None:
    plan = territory.plan(parameters=parameters)
    assert refused(territory.request(plan=plan, parameters=parameters)) == "parameters-refused"


@given(st.binary(max_size=100))
def test_parameter_noise_is_only_ever_refused(data: bytes) -> None:
    with pytest.raises(reasons.ParametersRefused):
        require_within(data, FACTS.bounds)


def test_bounds_of_every_type() -> None:
    bounds = {
        "share": Bound("decimal", "0", "1", ()),
        "mode": Bound("choice", None, None, ("bus", "train")),
        "name": Bound("text", None, "5", ()),
    }
    require_within(b'{"mode":"bus","name":"abcde","share":"0.25"}', bounds)
    for bad in (
        b'{"mode":"car","name":"abcde","share":"0.25"}',
        b'{"mode":"bus","name":"abcdef","share":"0.25"}',
        b'{"mode":"bus","name":"abc\\u0000","share":"0.25"}',
        b'{"mode":"bus","name":"abcde","share":"1.25"}',
        b'{"mode":"bus","name":"abcde","share":"NaN"}',
        b'{"mode":"bus","name":"abcde","share":"1e0"}',
    ):
        with pytest.raises(reasons.ParametersRefused):
            require_within(bad, bounds)
    with pytest.raises(reasons.ParametersRefused):
        require_within(b'{"x":1}', {"x": Bound("set", "0", "1", ())})
    with pytest.raises(reasons.ParametersRefused):
        require_within(b'{"x":1}', {"x": Bound("integer", "0", None, ())})


@pytest.mark.parametrize(
    "bound",
    [
        Bound("integer", "zero", "10", ()),
        Bound("integer", "0", "ten", ()),
        Bound("integer", "NaN", "10", ()),
        Bound("integer", "0", "Infinity", ()),
        Bound("integer", "-Infinity", "10", ()),
        Bound("integer", "sNaN", "10", ()),
        Bound("integer", "0", "1e999999999", ()),
        Bound("integer", "0", "9" * 5000, ()),
        Bound("text", None, "many", ()),
        Bound("text", None, "Infinity", ()),
        Bound("text", None, None, ()),
    ],
)
def test_a_bound_that_is_no_number_admits_nothing(bound: Bound) -> None:
    value = b'{"x":5}' if bound.type == "integer" else b'{"x":"a"}'
    with pytest.raises(reasons.ParametersRefused):
        require_within(value, {"x": bound})


# --- rounds, campaigns, budget ---


@pytest.mark.parametrize(("number", "maximum"), [(2, 1), (4, 3), (0, 3), (-1, 3)])
def test_a_round_beyond_the_voted_ones(territory: Territory, number: int, maximum: int) -> None:
    request = territory.request(
        plan=territory.plan(round=number), facts=replace(FACTS, rounds=maximum)
    )
    assert refused(request) == "round-out-of-range"


def test_the_last_voted_round_may_run(territory: Territory) -> None:
    plan = territory.plan(round=3, after=Digest.of(b"conclusion"))
    RUN_POLICIES.require(territory.request(plan=plan, facts=replace(FACTS, rounds=3)))


def test_more_campaigns_than_the_college_voted(territory: Territory) -> None:
    vote = territory.authorisation(campaigns=2)
    request = territory.request(authorisation=vote)
    one, two = (CampaignId.draw(seeded(name)) for name in (b"one", b"two"))
    RUN_POLICIES.require(replace(request, served=Served(frozenset({one}))))
    # A further round of a campaign that is being served is no new campaign.
    RUN_POLICIES.require(replace(request, served=Served(frozenset({one, request.order.campaign}))))
    assert refused(replace(request, served=Served(frozenset({one, two})))) == "campaigns-exhausted"


def test_a_charge_beyond_the_voted_budget(territory: Territory) -> None:
    vote = territory.authorisation(rho_budget="0.3")
    request = territory.request(authorisation=vote)
    RUN_POLICIES.require(replace(request, served=Served(rho=Fraction(2, 10))))
    beyond = replace(request, served=Served(rho=Fraction(3, 10)))
    assert refused(beyond) == "authorisation-budget-exceeded"
    dearer = replace(request, facts=replace(FACTS, charge=Fraction(4, 10)))
    assert refused(dearer) == "authorisation-budget-exceeded"


def test_to_conclude_costs_nothing(territory: Territory) -> None:
    vote, plan = territory.authorisation(rho_budget="0.3"), territory.plan()
    order = territory.order(plan, kind=UnitKind.CONCLUDE)
    request = territory.request(authorisation=vote, plan=plan, order=order)
    RUN_POLICIES.require(replace(request, served=Served(rho=Fraction(3, 10))))


@pytest.mark.parametrize("budget", ["", "NaN", "Infinity", "many", "1e999999999", "9" * 5000])
def test_a_budget_that_is_no_number_allows_nothing(territory: Territory, budget: str) -> None:
    vote = territory.authorisation(rho_budget=budget)
    assert refused(territory.request(authorisation=vote)) == "authorisation-budget-exceeded"


def test_a_runtime_image_that_was_not_voted(territory: Territory) -> None:
    assert refused(territory.request(image=Digest.of(b"mine"))) == "image-not-permitted"


# --- status ---


def test_no_status_yet(territory: Territory) -> None:
    assert refused(territory.request(status=None)) == "status-stale"


def test_a_status_of_yesterday(territory: Territory) -> None:
    fresh = territory.verified_status(age=timedelta(hours=23, minutes=59))
    RUN_POLICIES.require(territory.request(status=fresh))
    old = territory.verified_status(age=timedelta(hours=24))
    assert refused(territory.request(status=old)) == "status-stale"


def test_a_status_that_says_it_lasts_a_year_is_stale_after_a_day(territory: Territory) -> None:
    old = territory.verified_status(
        age=timedelta(hours=25), expires_at=territory.now + timedelta(days=365)
    )
    assert refused(territory.request(status=old)) == "status-stale"


def test_a_clock_that_jumped_back(territory: Territory) -> None:
    request = territory.request()
    behind = replace(request, now=request.now - timedelta(minutes=50))
    assert refused(behind) == "status-early"


def test_a_status_put_back(territory: Territory) -> None:
    assert refused(territory.request(status_number=2)) == "status-replayed"
    with pytest.raises(reasons.StatusReplayed):
        verify_status(territory.root, territory.status(4), 5)
    assert verify_status(territory.root, territory.status(5), 5).document.number == 5


def test_a_forged_status(territory: Territory) -> None:
    for forged in (
        territory.status(key=STRANGER),
        territory.status(key=territory.orders_key),
        territory.status(territory="other.example"),
        b"{}",
    ):
        with pytest.raises(reasons.StatusForged):
            verify_status(territory.root, forged, 0)


def test_a_suspended_authorisation(territory: Territory) -> None:
    vote = AuthorisationId.draw(seeded(b"vote"))
    status = territory.verified_status(suspended=(vote,))
    assert refused(territory.request(status=status)) == "authorisation-suspended"
    other = AuthorisationId.draw(seeded(b"else"))
    RUN_POLICIES.require(territory.request(status=territory.verified_status(suspended=(other,))))


# --- the log ---


def test_an_authorisation_that_is_not_logged(territory: Territory) -> None:
    vote, plan = territory.authorisation(), territory.plan()
    for proof in (b"", plan.proof):
        unlogged = Exhibit(vote.envelope, proof)
        assert refused(territory.request(authorisation=unlogged)) == "inclusion-unproven"


def test_a_plan_that_is_not_logged(territory: Territory) -> None:
    plan = territory.plan()
    assert refused(territory.request(plan=Exhibit(plan.envelope, b""))) == "inclusion-unproven"


def test_a_plan_logged_as_something_else(territory: Territory) -> None:
    plan = territory.plan()
    disguised = territory.logged(Kind.OPENING, plan.envelope)
    assert refused(territory.request(plan=disguised)) == "inclusion-unproven"


def test_a_log_that_no_witness_has_seen(territory: Territory) -> None:
    plan = territory.plan()
    hidden = territory.logged(Kind.PLAN, plan.envelope, witnessed=False)
    assert refused(territory.request(plan=hidden)) == "inclusion-unproven"


@pytest.mark.parametrize("policy", ["quorum none\n", "", "nonsense\n"])
def test_a_root_without_a_witness_quorum(territory: Territory, policy: str) -> None:
    lines = territory.root.document.log_policy.split("\n")
    raw = territory.sign_root(log_policy=f"{lines[0]}\n{policy}")
    root = trust_pinned(raw, Digest.of(raw))
    assert refused(territory.request(root=root)) == "inclusion-unproven"


# --- all together ---


def test_reason_codes_are_distinct_and_kebab_case() -> None:
    classes = [
        value
        for value in vars(reasons).values()
        if isinstance(value, type) and issubclass(value, RunRefused)
    ]
    codes = [cls.code for cls in classes]
    assert len(set(codes)) == len(codes)
    assert all(code == code.lower() and " " not in code for code in codes)


def test_the_territory_is_the_one_of_these_tests(territory: Territory) -> None:
    assert territory.root.document.territory == NAME
    assert Digest.of(PARAMETERS) == territory.request().order.parameters


# --- the helper of `shared` campaigns ---


def test_an_honest_shared_order_gets_a_permit(territory: Territory) -> None:
    permit = RUN_POLICIES.require(territory.shared_request())
    assert permit.request.verified_helper.document.key == bytes(range(32))


def test_a_shared_plan_without_a_helper(territory: Territory) -> None:
    plain = territory.plan()
    assert refused(territory.shared_request(plan=plain)) == "helper-key-missing"


def test_a_clear_plan_with_a_helper(territory: Territory) -> None:
    helper = territory.helper()
    plan = territory.plan(helper=Digest.of(helper.envelope))
    assert refused(territory.request(plan=plan, helper=helper)) == "helper-key-missing"


def test_a_shared_order_without_its_helpers_key(territory: Territory) -> None:
    assert refused(replace(territory.shared_request(), helper=None)) == "helper-key-missing"


def test_another_key_than_the_plan_names(territory: Territory) -> None:
    other = territory.helper(made_at=territory.now - timedelta(seconds=1))
    assert refused(replace(territory.shared_request(), helper=other)) == "helper-key-missing"


def test_a_helper_key_of_the_schedulers_own(territory: Territory) -> None:
    for key in (STRANGER, territory.orders_key, territory.status_key):
        forged = territory.helper(key=key)
        assert refused(territory.shared_request(helper=forged)) == "helper-key-forged"


def test_a_helper_key_for_something_else(territory: Territory) -> None:
    for change in (
        {"territory": "other.example"},
        {"campaign": CampaignId.draw(seeded(b"another"))},
        {"bundle": Digest.of(b"another")},
        {"authorisation": AuthorisationId.draw(seeded(b"another"))},
    ):
        helper = territory.helper(**change)
        assert refused(territory.shared_request(helper=helper)) == "helper-key-mismatch"


def test_a_helper_key_that_is_destroyed_by_now(territory: Territory) -> None:
    helper = territory.helper(not_after=territory.now)
    assert refused(territory.shared_request(helper=helper)) == "helper-key-expired"


def test_a_helper_key_that_nobody_could_see(territory: Territory) -> None:
    helper = territory.helper()
    hidden = replace(helper, proof=b"")
    assert refused(territory.shared_request(helper=hidden)) == "inclusion-unproven"


# --- the key epoch of `encrypted` campaigns ---


def test_an_honest_encrypted_order_gets_a_permit(territory: Territory) -> None:
    permit = RUN_POLICIES.require(territory.encrypted_request())
    assert permit.request.verified_epoch.document.public == Digest.of(b"public key")
    assert permit.request.verified_helper.document.key == bytes(range(32))


def test_an_encrypted_plan_without_an_epoch(territory: Territory) -> None:
    request = territory.encrypted_request()
    assert request.helper is not None
    plan = territory.plan(helper=Digest.of(request.helper.envelope))
    assert refused(territory.encrypted_request(plan=plan)) == "epoch-key-missing"


def test_an_encrypted_plan_without_a_helper(territory: Territory) -> None:
    epoch = territory.epoch()
    plan = territory.plan(epoch=Digest.of(epoch.envelope))
    request = territory.encrypted_request(epoch, plan=plan, helper=None)
    assert refused(request) == "helper-key-missing"


def test_a_shared_plan_with_an_epoch(territory: Territory) -> None:
    helper, epoch = territory.helper(), territory.epoch()
    plan = territory.plan(helper=Digest.of(helper.envelope), epoch=Digest.of(epoch.envelope))
    request = territory.shared_request(helper, plan=plan, epoch=epoch)
    assert refused(request) == "epoch-key-missing"


def test_an_encrypted_order_without_its_epochs_key(territory: Territory) -> None:
    assert refused(replace(territory.encrypted_request(), epoch=None)) == "epoch-key-missing"


def test_another_epoch_than_the_plan_names(territory: Territory) -> None:
    other = territory.epoch(made_at=territory.now - timedelta(seconds=1))
    assert refused(replace(territory.encrypted_request(), epoch=other)) == "epoch-key-missing"


def test_an_epochs_key_of_the_schedulers_own(territory: Territory) -> None:
    """Whoever chose the key could read what is encrypted under it."""
    for key in (STRANGER, territory.orders_key, territory.helper_key, territory.status_key):
        forged = territory.epoch(key=key)
        assert refused(territory.encrypted_request(forged)) == "epoch-key-forged"


def test_a_helpers_key_in_the_place_of_the_epochs(territory: Territory) -> None:
    assert refused(territory.encrypted_request(territory.helper())) == "epoch-key-forged"


def test_an_epochs_key_for_something_else(territory: Territory) -> None:
    for change in (
        {"territory": "other.example"},
        {"campaign": CampaignId.draw(seeded(b"another"))},
        {"bundle": Digest.of(b"another")},
        {"authorisation": AuthorisationId.draw(seeded(b"another"))},
    ):
        epoch = territory.epoch(**change)
        assert refused(territory.encrypted_request(epoch)) == "epoch-key-mismatch"


def test_an_epochs_key_that_is_retired_by_now(territory: Territory) -> None:
    epoch = territory.epoch(not_after=territory.now)
    assert refused(territory.encrypted_request(epoch)) == "epoch-key-expired"


def test_an_epochs_key_that_nobody_could_see(territory: Territory) -> None:
    hidden = replace(territory.epoch(), proof=b"")
    assert refused(territory.encrypted_request(hidden)) == "inclusion-unproven"


def test_conclude_needs_no_key_of_either(territory: Territory) -> None:
    request = territory.encrypted_request()
    order = replace(request.order, kind=UnitKind.CONCLUDE, aggregate=Digest.of(b"aggregate"))
    orders = territory.orders(request.worker, (order,))
    RUN_POLICIES.require(replace(request, order=order, orders=orders, helper=None, epoch=None))


def test_conclude_needs_no_helper(territory: Territory) -> None:
    request = territory.shared_request()
    order = replace(request.order, kind=UnitKind.CONCLUDE, aggregate=Digest.of(b"aggregate"))
    orders = territory.orders(request.worker, (order,))
    RUN_POLICIES.require(replace(request, order=order, orders=orders, helper=None))
