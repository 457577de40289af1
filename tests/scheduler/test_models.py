"""`cadastre model`: a trained model leaves with its provenance, or not at all."""

from __future__ import annotations

import argparse
import asyncio
import json
import tomllib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import load

import client.campaigns
import client.models
from client import identity
from client.errors import CampaignEnded, InputRefused, ModelNotReady, ModelUnverified
from durable.errors import StorageFailed
from jobs import archive, model_card
from jobs import model as models
from jobs.errors import LineageBroken, NoModel
from jobs.lineage import Lineage
from jobs.opening import built_in, built_in_folder
from protos.cadastre.v1 import audit_pb2, campaigns_pb2
from scheduler.rpc import people
from scheduler.service import campaigns, outbox
from scheduler.service.transfers import Transfers
from scheduler.site import Site, SiteServer
from terminal import exits
from tests.scheduler.ports import house
from trust import certificates, dsse, schema
from trust.certificates import Role
from trust.clock import SystemClock
from trust.documents import signed
from trust.documents.campaign import Opening, Plan, Release
from trust.documents.governance import Authorisation
from trust.documents.reporting import Conclusion
from trust.documents.root import Duty, DutyKeys
from trust.entropy import SYSTEM
from trust.errors import SignatureInvalid
from trust.ids import Digest
from trust.keys import PrivateKey
from trust.log.entry import Kind, LogEntry
from trust.log.policy import Policy
from trust.log.proof import verify_proof
from trust.root import rotate
from wire.enrolment import Membership


@pytest.fixture
def world(tmp_path, builder, monkeypatch):
    """TLS compares certificates with the machine's own clock: so the territory lives now."""
    monkeypatch.setitem(builder.__globals__, "START", SystemClock().now().replace(microsecond=0))
    made = builder(tmp_path / "scheduler")
    yield made
    made.desk.store.close()
    made.desk.log.close()


async def gather(world):
    """Two workers with consents, a judge, a started campaign."""
    await world.authorised()
    members = [await world.worker(f"o{n}", capsules=4) for n in range(2)]
    judge = await world.worker("judge", concludes=True)
    for worker in [*members, judge]:
        await worker.exchange()
    return members, judge, await world.start()


async def train(world, rounds=3):
    """A campaign whose `rounds` rounds were concluded."""
    members, judge, campaign = await gather(world)
    for _ in range(rounds):
        await world.turn()
        for worker in members:
            await worker.exchange()
            await worker.exchange([worker.report(order) for order in worker.held])
        await world.turn()
        await judge.exchange()
        await judge.exchange([judge.report(order) for order in judge.held])
        await world.turn()
    await world.turn()
    return campaign


def terminal(made, folder, role=Role.OPERATOR, chain=None, site="http://127.0.0.1:9"):
    """The folder of a member who has joined, as `cadastre operator join` leaves it."""
    desk = made.world.desk
    chain = chain or (made.world.root_envelope,)
    _, tls = identity.draw_keys(folder, SYSTEM)
    leaf = certificates.issue(
        desk.authority.key,
        desk.authority.certificate,
        certificates.make_request(tls, "ana"),
        territory=desk.territory,
        role=role,
        name="ana",
        now=made.world.clock.now(),
    )
    address = f"127.0.0.1:{made.port}"
    identity.establish(folder, Membership(desk.root, chain, leaf, "ana", role.value, address), site)
    return folder


def words(folder, **given):
    return argparse.Namespace(json=True, identity=folder, **given)


async def command(run, *arguments):
    return await asyncio.to_thread(run, *arguments)


async def exported(world, tmp_path, campaign, role=Role.OPERATOR):
    async with house(world) as made:
        me = terminal(made, tmp_path / f"me-{role.value}", role)
        out = tmp_path / "deep" / f"model-{role.value}"
        assert (
            await command(client.models.export, words(me, campaign=campaign, out=out)) == exits.OK
        )
        return out


# --- the way it should go ---


def test_every_person_exports_a_model_that_others_can_check(world, tmp_path, run):
    async def story():
        world.follow()
        campaign = await train(world)
        one = await exported(world, tmp_path, campaign)
        require_checkable(world, campaign, one)
        for role in (Role.AUTHOR, Role.AUDITOR):
            two = await exported(world, tmp_path, campaign, role)
            for path in one.rglob("*"):
                if path.is_file() and path.suffix != ".tlog-proof":  # a later checkpoint is as good
                    assert path.read_bytes() == (two / path.relative_to(one)).read_bytes()
        assert len(list(one.parent.iterdir())) == 3
        require_card((one / "MODEL_CARD.md").read_text())

    run(story())


def require_checkable(world, campaign, out):
    weights = (out / "model.safetensors").read_bytes()
    arrays = load(weights)
    assert list(arrays) == ["walked"]
    np.testing.assert_array_equal(arrays["walked"], [3.0])
    told = json.loads((out / "provenance.json").read_bytes())
    assert told["model"]["sha256"] == Digest.of(weights)
    assert told["campaign"] == campaign
    assert told["parameters"] == {"zones": 3}
    assert [found["number"] for found in told["rounds"]] == [1, 2, 3]
    assert (told["rounds_voted"], told["privacy"]["rho"]) == (3, "0.1")
    assert told["privacy"]["epsilon"] > 0
    # Whoever has the territory root checks release and rounds with no scheduler at hand.
    policy = Policy.parse(world.desk.root.document.log_policy.encode())
    names = ["release", "authorisation"]
    names += [f"{kind}-{n}" for kind in ("plan", "opening") for n in (1, 2, 3)]
    for name in names:
        kind = Kind(name.partition("-")[0])
        path = out / "release.json" if name == "release" else out / f"log/{name}.json"
        entry = LogEntry.of(kind, path.read_bytes()).emit()
        verify_proof((out / f"log/{name}.tlog-proof").read_bytes(), entry, policy)
    release = signed.verify(
        Release, (out / "release.json").read_bytes(), {world.desk.orders.public}
    ).document
    assert release.conclusion == Digest.of((out / "log/conclusion-3.json").read_bytes())
    assert release.report == Digest.of((out / "report.json").read_bytes())


def require_card(card):
    assert "# Fiche du modèle : Comptes" in card
    assert "# Model card: Counts" in card
    assert "ne donne pas de limites" in card
    assert "names no limits of use" in card
    assert "epsilon = " in card
    assert "Données admises : personnelles" in card
    assert "- counts (a): " in card
    assert "{" not in card.replace('{"zones":3}', "")


def test_a_model_is_listed_and_shown_and_a_report_alone_is_not(world, tmp_path, run, capsys):
    async def story():
        world.follow()
        campaign = await train(world)
        async with house(world) as made:
            me = terminal(made, tmp_path / "me")
            assert await command(client.models.list_all, words(me)) == exits.OK
            (row,) = json.loads(capsys.readouterr().out)
            assert (row["model"], row["rounds voted"]) == (campaign, 3)
            short = campaign.removeprefix("camp_")[:12]
            assert await command(client.models.show, words(me, campaign=short)) == exits.OK
            told = json.loads(capsys.readouterr().out)
            assert told["rounds"] is not None
            assert told["bundle digest"] == world.bundle.digest
            assert told["author's key"] == str(world.author.public)
            assert (told["voted as"], told["rho"]) == ("Counts", "0.1")

    run(story())


def test_a_model_that_stopped_early_says_so(world, tmp_path, run):
    async def story():
        world.follow()
        world.enough = 2
        out = await exported(world, tmp_path, await train(world, 2))
        told = json.loads((out / "provenance.json").read_bytes())
        assert (len(told["rounds"]), told["rounds_voted"]) == (2, 3)
        assert told["privacy"]["rho"].startswith("0.0666")
        assert "sur 2 tours (votés : 3)" in (out / "MODEL_CARD.md").read_text()

    run(story())


def test_an_export_that_fails_half_way_leaves_nothing(world, tmp_path, run, monkeypatch):
    async def story():
        world.follow()
        campaign = await train(world)
        written = []

        def full(path, data):
            written.append(path)
            if len(written) == 4:
                raise StorageFailed.writing(path, OSError(28, "No space left on device"))
            path.write_bytes(data)

        monkeypatch.setattr(client.models, "write_atomic", full)
        out = tmp_path / "exports" / "model"
        async with house(world) as made:
            me = terminal(made, tmp_path / "me")
            with pytest.raises(StorageFailed):
                await command(client.models.export, words(me, campaign=campaign, out=out))
        assert len(written) == 4
        assert not list(out.parent.iterdir())

    run(story())


# --- no model ---


def test_a_bundle_without_state_has_no_model(world, tmp_path, run):
    async def story():
        campaign = await train(world, 1)
        assert (await world.view(campaign)).row.state == "released"
        async with house(world) as made:
            me = terminal(made, tmp_path / "me")
            with pytest.raises(
                NoModel, match=r"declares no \[state\]: it trains no model"
            ) as caught:
                await command(client.models.show, words(me, campaign=campaign))
            assert exits.of(caught.value) == exits.NOT_FOUND
            assert "cadastre model list" in caught.value.remedy

    run(story())


def test_a_model_that_is_not_released_is_waited_for_or_given_up(world, tmp_path, run):
    async def story():
        world.follow()
        campaign = await train(world, 2)
        async with house(world) as made:
            me, out = terminal(made, tmp_path / "me"), tmp_path / "out"
            asked = words(me, campaign=campaign, out=out)
            with pytest.raises(ModelNotReady, match="no model yet") as caught:
                await command(client.models.export, asked)
            assert exits.of(caught.value) == exits.NOT_READY
            await campaigns.cancel(world.desk, campaign, "enough")
            with pytest.raises(CampaignEnded, match="without a model") as ended:
                await command(client.models.export, asked)
            assert exits.of(ended.value) == exits.FAILURE
            assert not out.exists()

    run(story())


@pytest.mark.parametrize("kind", ["file", "full"])
def test_what_lies_there_is_not_overwritten(tmp_path, kind):
    out = tmp_path / "out"
    if kind == "file":
        out.write_text("mine")
    else:
        out.mkdir()
        (out / "mine").write_text("mine")
    with pytest.raises(InputRefused, match="not an empty folder"):
        client.models.export(words(tmp_path, campaign="camp_x", out=out))


# --- a scheduler that alters what it hands out ---


async def blobs_of(world, campaign):
    """Digest -> what it is, of every blob that an export reads."""
    keys = {world.desk.orders.public}
    view = await world.view(campaign)
    release = signed.verify(Release, world.desk.blobs.get(Digest(view.row.release)), keys).document
    named = {"bundle": release.bundle, "author's statement": Digest(view.statement)}
    plans = [
        signed.verify(Plan, world.desk.blobs.get(Digest(found.row.plan)), keys).document
        for found in view.rounds
    ]
    named["first round's parameters"] = plans[0].parameters
    ends = [*(plan.after for plan in plans[1:]), release.conclusion]
    for number, digest in enumerate(ends, start=1):
        named[f"conclusion of round {number}"] = digest
        made = schema.decode(Conclusion, dsse.Envelope.parse(world.desk.blobs.get(digest)).payload)
        named[f"result of round {number}"] = made.result
    return named


def test_every_altered_blob_is_refused_by_name(world, tmp_path, run, monkeypatch):
    async def story():
        world.follow()
        campaign = await train(world)
        named = await blobs_of(world, campaign)
        assert len(named) == 9
        altered = {"now": ""}
        honest = Transfers.get

        async def get(self, peer, digest, offset):
            async for data in honest(self, peer, digest, offset):
                lie = digest == named[altered["now"]] and offset == 0
                yield data[:-1] + bytes([data[-1] ^ 1]) if lie else data

        monkeypatch.setattr(Transfers, "get", get)
        async with house(world) as made:
            me = terminal(made, tmp_path / "me")
            for what in named:
                altered["now"] = what
                out = tmp_path / "exports" / "model"
                with pytest.raises(ModelUnverified, match=f"the {what} came with") as caught:
                    await command(client.models.export, words(me, campaign=campaign, out=out))
                assert exits.of(caught.value) == exits.UNVERIFIED
                assert not (tmp_path / "exports").exists()

    run(story())


def test_every_altered_envelope_of_the_log_is_refused_by_name(world, tmp_path, run, monkeypatch):
    async def story():
        world.follow()
        campaign = await train(world)
        view = await world.view(campaign)
        named = {"release": view.row.release, "authorisation": view.authorisation}
        for found in view.rounds:
            named[f"plan of round {found.row.number}"] = found.row.plan
            named[f"opening of round {found.row.number}"] = found.row.opening
        altered = {"now": ""}
        honest = people.Audit.Prove

        async def prove(self, request, context):
            answer = await honest(self, request, context)
            if request.entry == named[altered["now"]]:
                raw = answer.envelope.replace(b'"sig":"', b'"sig":"A', 1)
                return audit_pb2.ProveResponse(
                    proof=answer.proof, index=answer.index, envelope=raw, kind=answer.kind
                )
            return answer

        monkeypatch.setattr(people.Audit, "Prove", prove)
        async with house(world) as made:
            me = terminal(made, tmp_path / "me")
            for what in named:
                altered["now"] = what
                with pytest.raises(ModelUnverified, match=f"the {what} is not proven") as caught:
                    await command(
                        client.models.export, words(me, campaign=campaign, out=tmp_path / "out")
                    )
                assert exits.of(caught.value) == exits.UNVERIFIED
                assert not (tmp_path / "out").exists()

    run(story())


def test_the_release_of_another_campaign_is_refused(world, tmp_path, run, monkeypatch):
    async def story():
        world.follow()
        campaign = await train(world)
        honest = people.Campaigns.Show

        async def show(self, request, context):
            view = campaigns_pb2.CampaignView()
            view.CopyFrom(
                await honest(self, campaigns_pb2.ShowCampaignRequest(campaign=campaign), context)
            )
            view.campaign = request.campaign
            return view

        monkeypatch.setattr(people.Campaigns, "Show", show)
        other = campaign[:-3] + "000"
        async with house(world) as made:
            me = terminal(made, tmp_path / "me")
            with pytest.raises(ModelUnverified, match="another campaign"):
                await command(client.models.show, words(me, campaign=other))

    run(story())


# --- a scheduler that signs what does not fit together ---


async def documents(world, campaign):
    keys = {world.desk.orders.public}
    view = await world.view(campaign)

    def read(cls, digest):
        return signed.verify(cls, world.desk.blobs.get(Digest(digest)), keys)

    release = read(Release, view.row.release)
    college = {key.public for key in world.college}
    vote = signed.verify(Authorisation, world.desk.blobs.get(Digest(view.authorisation)), college)
    plans = [read(Plan, found.row.plan) for found in view.rounds]
    openings = [read(Opening, found.row.opening) for found in view.rounds]
    named = await blobs_of(world, campaign)
    raw = {what: world.desk.blobs.get(digest) for what, digest in named.items()}
    return vote, release, plans, openings, raw


def trace(world, vote, release, plans, openings, raw):
    chain = Lineage(world.bundle, vote, release)
    chain.start(raw["first round's parameters"])
    for number, (plan, opening) in enumerate(zip(plans, openings, strict=True), start=1):
        envelope, result = raw[f"conclusion of round {number}"], raw[f"result of round {number}"]
        chain.take(plan, opening, envelope, result)
    return chain.finish()


def other(world, document, **changes):
    return signed.sign(replace(document.document, **changes), [world.desk.orders])


NOTHING = Digest.of(b"another")


MISFITS = [
    ("release", {"rho": "0.01"}, "release's rho"),
    ("release", {"bundle": NOTHING}, "release's bundle"),
    ("release", {"report": NOTHING}, "report is not"),
    ("release", {"conclusion": NOTHING}, "last conclusion"),
    ("release", {"territory": "elsewhere.example"}, "territory"),
    ("release", {"openings": (NOTHING,) * 3}, "opening of round 1"),
    ("release", {"openings": (NOTHING,) * 4}, "more than were voted"),
    ("vote", {"manifest": NOTHING}, "authorisation's manifest"),
    ("vote", {"bundle": NOTHING}, "authorisation's bundle"),
    ("vote", {"rules": ()}, "release rules"),
    ("vote", {"images": (NOTHING,)}, "runtime image that was not voted"),
    ("plan", {"parameters": NOTHING}, "plan of round 2: parameters"),
    ("plan", {"after": NOTHING}, "plan of round 2: conclusion before"),
    ("plan", {"round": 3}, "plan of round 2: number"),
    ("plan", {"bundle": NOTHING}, "plan of round 2: bundle"),
    ("opening", {"parameters": NOTHING}, "opening of round 2"),
    ("opening", {"aggregate": NOTHING}, "opening of round 2"),
]


def test_documents_that_do_not_fit_are_refused_by_name(world, run):
    async def story():
        world.follow()
        honest = await documents(world, await train(world))
        assert trace(world, *honest).state["walked"] == [3.0]
        for what, changes, said in MISFITS:
            vote, release, plans, openings, raw = honest
            plans, openings = list(plans), list(openings)
            match what:
                case "release":
                    release = other(world, release, **changes)
                case "vote":
                    vote = other(world, vote, **changes)
                case "plan":
                    plans[1] = other(world, plans[1], **changes)
                case "opening":
                    openings[1] = other(world, openings[1], **changes)
            with pytest.raises(LineageBroken, match=said):
                trace(world, vote, release, plans, openings, raw)

    run(story())


def test_another_rounds_result_or_a_missing_round_is_refused(world, run):
    async def story():
        world.follow()
        vote, release, plans, openings, raw = await documents(world, await train(world))
        with pytest.raises(LineageBroken, match="names 3 rounds, 2 are here"):
            trace(world, vote, release, plans[:2], openings[:2], raw)
        for kind in ("conclusion", "result"):
            swapped = raw | {f"{kind} of round 2": raw[f"{kind} of round 1"]}
            with pytest.raises(LineageBroken, match=f"{kind} of round 2"):
                trace(world, vote, release, plans, openings, swapped)
        for junk in (b"", b"{}", release.envelope.raw):
            with pytest.raises(LineageBroken, match="conclusion of round 2"):
                trace(world, vote, release, plans, openings, raw | {"conclusion of round 2": junk})

    run(story())


# --- keys that were replaced since ---


async def rotated(world, *, orders=None, college=None, logged=True):
    """The next root, which names other keys; the scheduler runs under it and logs it."""
    old = world.desk.root.document
    duties = dict(old.duties)
    if orders is not None:
        duties[Duty.ORDERS] = DutyKeys((orders.public,), 1)
    if college is not None:
        duties[Duty.COLLEGE] = DutyKeys(tuple(key.public for key in college), 2)
    document = replace(old, version=old.version + 1, duties=duties)
    envelope = signed.sign(document, [world.keys["root"]]).envelope
    world.desk.root = rotate(world.desk.root, envelope.raw)
    world.desk.facts.clear()  # a scheduler gets the next root when it starts
    if logged:
        await log_root(world, envelope.raw)
    return envelope.raw


async def log_root(world, raw):
    await world.desk.run("log-root", lambda tx: outbox.publish_raw(tx, world.desk, Kind.ROOT, raw))
    await world.turn()


def new_keys(count):
    return [PrivateKey.generate(SYSTEM) for _ in range(count)]


async def shown(me, campaign):
    return await command(client.models.show, words(me, campaign=campaign))


def test_a_model_released_under_an_older_root_still_verifies(world, tmp_path, run, capsys):
    async def story():
        world.follow()
        await log_root(world, world.root_envelope)
        campaign = await train(world)
        (world.desk.orders,) = orders = new_keys(1)
        following = await rotated(world, orders=orders[0], college=new_keys(3))
        async with house(world) as made:
            me = terminal(made, tmp_path / "me", chain=(world.root_envelope, following))
            out = tmp_path / "model"
            assert await shown(me, campaign) == exits.OK
            asked = words(me, campaign=campaign, out=out)
            assert await command(client.models.export, asked) == exits.OK
            told = json.loads((out / "provenance.json").read_bytes())
            assert len(told["rounds"]) == 3
            report = words(me, campaign=campaign, out=None)
            assert await command(client.campaigns.report, report) == exits.OK

    run(story())


def test_what_a_replaced_key_signs_after_its_successor_was_logged_is_refused(world, tmp_path, run):
    async def story():
        world.follow()
        await log_root(world, world.root_envelope)
        following = await rotated(world, orders=new_keys(1)[0])
        campaign = await train(world)  # the scheduler signs on with the old key
        async with house(world) as made:
            me = terminal(made, tmp_path / "me", chain=(world.root_envelope, following))
            with pytest.raises(ModelUnverified, match="the release does not verify") as caught:
                await shown(me, campaign)
            assert exits.of(caught.value) == exits.UNVERIFIED
            report = words(me, campaign=campaign, out=None)
            with pytest.raises(SignatureInvalid):
                await command(client.campaigns.report, report)

    run(story())


def test_a_scheduler_that_leaves_the_next_root_out_of_the_log_is_refused(world, tmp_path, run):
    """Where no one can see when the old key ended, nothing that it signed is believed."""

    async def story():
        world.follow()
        await log_root(world, world.root_envelope)
        campaign = await train(world)
        (world.desk.orders,) = orders = new_keys(1)
        following = await rotated(world, orders=orders[0], logged=False)
        async with house(world) as made:
            me = terminal(made, tmp_path / "me", chain=(world.root_envelope, following))
            with pytest.raises(ModelUnverified, match="root version 2 is not in the log") as caught:
                await shown(me, campaign)
            assert exits.of(caught.value) == exits.UNVERIFIED

    run(story())


def test_a_terminal_that_joined_before_the_rotation_follows_it(world, tmp_path, run):
    """Its certificate is half a day from renewal; the model was signed a minute ago."""

    async def story():
        world.follow()
        await log_root(world, world.root_envelope)
        (world.desk.orders,) = orders = new_keys(1)
        following = await rotated(world, orders=orders[0])
        campaign = await train(world)
        roots = [world.root_envelope, following]
        site = SiteServer(Site(world.desk, roots, list), "127.0.0.1", 0)
        site.start()
        try:
            async with house(world) as made:
                me = terminal(made, tmp_path / "me", site=f"http://127.0.0.1:{site.port}")
                assert await shown(me, campaign) == exits.OK
                assert identity.load(me).root.document.version == 2
                other = terminal(made, tmp_path / "you", site=f"http://127.0.0.1:{site.port}")
                report = words(other, campaign=campaign, out=None)
                assert await command(client.campaigns.report, report) == exits.OK
        finally:
            site.stop()

    run(story())


# --- the card, the files, the installation ---


def test_the_card_quotes_the_limits_that_the_author_wrote():
    readme = "# b\ntext\n## Limits\nNot for fares.\n### More\nNever alone.\n## Else\nx\n"
    assert model_card.limits_of(readme, ("limites", "limits")) == (
        "Not for fares.\n### More\nNever alone."
    )
    assert model_card.limits_of(readme + "## LIMITES\nRien.", ("limites", "limits")) == "Rien."
    assert model_card.limits_of("# b\nno limits\n", ("limits",)) == ""


@pytest.mark.parametrize("name", built_in())
def test_every_built_in_bundle_that_trains_a_model_names_its_limits(name: str) -> None:
    """Two of them had limits in prose, and the card of their models said that there were none."""
    folder = built_in_folder(name)
    if archive.pack_folder(folder).manifest.state:
        readme = (folder / "README.md").read_text("utf-8")
        assert model_card.limits_of(readme, ("limites", "limits"))


def rounds_with(metrics):
    opening = SimpleNamespace(document=SimpleNamespace(partials=3, contributors_rounded=0))
    return [
        SimpleNamespace(number=n, opening=opening, metrics=found)
        for n, found in enumerate(metrics, start=1)
    ]


def test_the_card_tables_the_first_and_the_last_rounds_and_counts_the_others():
    rounds = rounds_with([{"loss": 1 / n} if n != 2 else {} for n in range(1, 41)])
    array = {"kind": "value", "unit": "share", "labels": [["a|b", "c"]], "cells": [0.5, None]}
    report = json.dumps({"arrays": {"right": array}}).encode()
    model = SimpleNamespace(rounds=rounds, report=report)
    table, omitted, cells = model_card._measures(model, model_card._ENGLISH)
    lines = table.splitlines()
    assert lines[0] == "| round | machines | contributions | loss |"
    assert lines[2:4] == ["| 1 | 3 | <10 | 1 |", "| 2 | 3 | <10 | - |"]
    assert lines[-1] == "| 40 | 3 | <10 | 0.025 |"
    assert (len(lines), omitted) == (14, "… 28 more: see `provenance.json`.")
    assert cells == "- right (a\\|b): 0.5 share\n- right (c): - share"


def test_weights_of_every_shape_come_back_as_they_were():
    state = {
        "w": np.arange(12.0).reshape(3, 4) / 7,
        "b": np.array([-1e12]),
        "a": np.zeros((2, 1, 3)),
    }
    model = SimpleNamespace(state=state, release=SimpleNamespace(digest=Digest.of(b"release")))
    raw = models.weights(model)
    assert raw == models.weights(model)
    back = load(raw)
    assert set(back) == set(state)
    for name, array in state.items():
        assert back[name].dtype == np.float64
        np.testing.assert_array_equal(back[name], array)
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    assert header["__metadata__"] == {"release": str(Digest.of(b"release"))}


def test_no_part_of_it_reads_a_pickle():
    for path in ("jobs/model.py", "jobs/lineage.py", "client/models.py", "client/provenance.py"):
        assert "import pickle" not in Path(path).read_text()
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    assert "safetensors" in " ".join(project["optional-dependencies"]["models"])
