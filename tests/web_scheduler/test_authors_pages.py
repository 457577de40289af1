"""The authors' pages: whose bundles they show, what blocks each, and releases that say whence."""

from __future__ import annotations

import csv
import io
import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any

import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load

from protection import accounting
from scheduler.errors import InputRefused
from scheduler.judging import parse
from scheduler.service import authorship
from scheduler.service.authorship import MOST_KEYS
from scheduler.service.campaigns import view_of
from scheduler.service.finding import campaign_by
from scheduler.store.store import Transaction
from scheduler.store.tables import BundleRow
from scheduler.web.surface import room, surface
from tests.web.signin_browser import Browser
from tests.web_scheduler.authorship import ADA, BOB, Authors, authors_in
from tests.web_scheduler.test_api_schema import MODELS, Asked
from trust.entropy import seeded
from trust.ids import Digest
from trust.keys import PrivateKey
from trust.log.checkpoint import Checkpoint
from trust.log.entry import Kind, LogEntry
from trust.log.note import Note
from trust.log.policy import Policy
from trust.log.proof import LogProof, verify_proof
from web.extraction import complaints
from web.signin.roles import Role

FILES = ("csv", "json", "parquet", "report", "model", "card")


@pytest.fixture(scope="module")
def authors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authors]:
    made = authors_in(tmp_path_factory.mktemp("authors"))
    yield made
    made.grid.close()


def ask(browser: Browser, path: str, status: int = 200) -> Any:
    answer = browser.get(path, headers={"accept": "application/json"})
    assert answer.status == status, answer.text
    return answer.json


def places(bundle: str, campaign: str) -> list[str]:
    own = [f"mine/{bundle}", f"runs/{campaign}", f"releases/{campaign}"]
    files = [f"releases/{campaign}/{name}" for name in FILES]
    found = [f"/{path}" for path in own] + [f"/{path}" for path in files]
    return found + [f"/api/v1/{path}" for path in (*own, *files) if not path.endswith("/json")]


def test_both_catalogues_are_complete() -> None:
    assert complaints("scheduler.web.authors") == []


def test_a_list_has_ones_own_bundles_and_no_others(authors: Authors) -> None:
    ada, bob = authors.enter(ADA), authors.enter(BOB)
    mine = {row["bundle"] for row in ask(ada, "/api/v1/mine")["items"]}
    assert mine == set(authors.bundles.values()) - {authors.bundles["bobs"]}
    assert [row["bundle"] for row in ask(bob, "/api/v1/mine")["items"]] == [authors.bundles["bobs"]]
    assert [row["campaign"] for row in ask(bob, "/api/v1/runs")["items"]] == [authors.others]
    assert authors.others not in {row["campaign"] for row in ask(ada, "/api/v1/runs")["items"]}
    both = authors.enter(ADA, BOB)
    assert len(ask(both, "/api/v1/mine")["items"]) == len(authors.bundles)


def test_what_is_everybodys_is_not_called_ones_own(authors: Authors) -> None:
    """Words and menu by role, in the heading, on the way there and on the pages behind."""
    watcher, ada = authors.grid.enter(Role.VIEWER), authors.enter(ADA)
    places = {
        "/runs": "campaigns", "/mine": "bundles", f"/runs/{authors.trained}": "campaigns",
        f"/releases/{authors.trained}": "campaigns", f"/mine/{authors.bundles['done']}": "bundles",
        f"/runs/{authors.trained}/rounds": "campaigns",
    }  # fmt: skip
    for path, entry in places.items():
        theirs, own = watcher.get(f"{path}?lang=fr").text, ada.get(f"{path}?lang=fr").text
        assert "de tous les auteurs" in theirs, path
        assert not re.search(r">\s*Mes (dossiers|campagnes)", theirs), path
        assert f'<a href="/{entry}" aria-current="true">' in theirs, path
        assert "de tous les auteurs" not in own, path
        assert re.search(r">\s*Mes (dossiers|campagnes)", own), path
    assert "<h1>Campaigns of all authors</h1>" in watcher.get("/runs?lang=en").text
    assert "<h1>My campaigns</h1>" in ada.get("/runs?lang=en").text


def test_anothers_bundle_is_as_unknown_as_none(authors: Authors) -> None:
    """By its whole name, by a prefix, in every form: the answer for a bundle that is not there."""
    bob = authors.enter(BOB)
    theirs = places(authors.bundles["done"], authors.released)
    assert all(authors.enter(ADA).get(path).status in {200, 404} for path in theirs)
    nowhere = places("sha256:" + "0" * 64, "camp_" + "0" * 26)
    cut = places(authors.bundles["done"][7:19], authors.released[5:17])
    names = [authors.bundles["done"], authors.released, "sha256:" + "0" * 64, "camp_" + "0" * 26]
    for path, other, prefix in zip(theirs, nowhere, cut, strict=True):
        assert bob.get(path).status == bob.get(prefix).status == 404, path
        said, expected = json.dumps(ask(bob, path, 404)), json.dumps(ask(bob, other, 404))
        for name in names:
            said, expected = said.replace(name, "it"), expected.replace(name, "it")
        assert said == expected, path
    assert bob.get(f"/runs?bundle={authors.bundles['done'][7:]}").status == 404


def test_rounds_tell_participants_bytes_and_epsilon_in_every_form(authors: Authors) -> None:
    """To operators and to the author; on the campaign's page, in JSON and in CSV the same."""
    desk = authors.grid.world.desk
    authors.grid.world.deposit()
    view = desk.store.read("view", lambda tx: view_of(tx, campaign_by(tx, authors.trained)))
    rho = accounting.decimal(view.row.rho, "rho")
    epsilons = [round(accounting.epsilon(rho * number / 3), 2) for number in (3, 2, 1)]
    each = view.rounds[0].traffic
    assert each > 0
    assert {(one.participants, one.traffic) for one in view.rounds} == {(3, each)}
    for place, reader in (
        (f"campaigns/{authors.trained}", authors.grid.enter(Role.VIEWER)),
        (f"runs/{authors.trained}", authors.enter(ADA)),
    ):
        told = ask(reader, f"/api/v1/{place}/rounds")["items"]
        assert [row["round"] for row in told] == [3, 2, 1]
        assert [row["epsilon"] for row in told] == epsilons
        assert {(row["participants"], row["bytes"]) for row in told} == {(3, each)}
        assert all(isinstance(row["told_loss"], float) for row in told)
        rows = list(csv.DictReader(io.StringIO(reader.get(f"/{place}/rounds?format=csv").text)))
        assert [float(row["epsilon"]) for row in rows] == epsilons
        assert {(row["participants"], row["bytes"]) for row in rows} == {("3", str(each))}
        stages = ask(reader, f"/api/v1/{place}")["stages"]
        assert [round(stage["epsilon"], 2) for stage in stages] == epsilons
        assert {(stage["participants"], stage["bytes"]) for stage in stages} == {(3, each)}
        for path in (f"/{place}", f"/{place}/rounds"):
            page = reader.get(f"{path}?lang=fr").text
            assert "Participants" in page
            assert "Epsilon cumulé" in page
            assert f"{epsilons[0]:.2f}".replace(".", ",") in page
            assert f"{each}\u00a0o" in page
            assert "Epsilon so far" in reader.get(f"{path}?lang=en").text
        first = ask(reader, f"/api/v1/{place}/rounds?size=2")
        rest = ask(reader, f"/api/v1/{place}/rounds?size=2&cursor={first['next']}")
        assert [row["round"] for row in first["items"] + rest["items"]] == [3, 2, 1]


def test_anothers_rounds_are_as_unknown_as_the_campaign(authors: Authors) -> None:
    bob = authors.enter(BOB)
    assert bob.get(f"/runs/{authors.trained}/rounds").status == 404
    assert bob.get(f"/campaigns/{authors.trained}/rounds").status == 403
    assert bob.get(f"/api/v1/runs/{authors.others}/rounds").status == 200


def test_an_operator_finds_release_evidence_and_proof_on_the_campaigns_page(
    authors: Authors,
) -> None:
    reader = authors.grid.enter(Role.OPERATOR)
    page = reader.get(f"/campaigns/{authors.released}").text
    index = ask(reader, f"/api/v1/campaigns/{authors.released}")["release_index"]
    for path in (
        f"/releases/{authors.released}",
        f"/log/campaigns/{authors.released}/evidence",
        f"/log/{index}",
        "/log/verify",
    ):
        assert f'href="{path}"' in page
        assert reader.get(path).status == 200, path
    hungry = ask(reader, "/api/v1/campaigns?state=draft")["items"][0]["campaign"]
    assert "/releases/" not in reader.get(f"/campaigns/{hungry}").text


@pytest.mark.parametrize(
    "path", ["/mine/a", "/mine/%25", "/mine/sha256:", "/runs/c", "/releases/camp_%27--aaaaaaa"]
)
def test_what_is_no_prefix_finds_nothing(authors: Authors, path: str) -> None:
    assert authors.enter(ADA).get(path).status == 404


def test_who_may_see_what(authors: Authors) -> None:
    everybodys = ["/mine", "/runs", *places(authors.bundles["model"], authors.trained)]
    everybodys += [f"/api/v1/{path}" for path in ("mine", "runs")]
    readers = [authors.enter(ADA)]
    readers += [authors.enter(roles=[role]) for role in Role if role is not Role.AUTHOR]
    for path in everybodys:
        for reader in readers:
            assert reader.get(path).status == 200, path
        asked = {"accept": "application/json"} if path.startswith("/api/") else {}
        assert authors.grid.enter().get(path, headers=asked).status in {303, 401}, path
    for path in ("/campaigns", f"/campaigns/{authors.released}", "/workers", "/live/health"):
        assert readers[0].get(path).status == 403, path
    assert readers[0].get("/").location == "/mine"


def test_an_account_without_a_key_sees_nothing_and_reads_what_to_do(authors: Authors) -> None:
    nobody = authors.enter()
    page = nobody.get("/mine?lang=en").text
    assert "No author&#39;s key belongs to this account" in page
    subject = page.split("this account&#39;s name: ")[1].split("<")[0]
    assert subject.startswith("local:cred_")
    assert ask(nobody, "/api/v1/mine")["items"] == []
    authors.tie(subject, BOB)
    assert len(ask(nobody, "/api/v1/mine")["items"]) == 1  # the same session: no new sign-in


def test_a_programs_token_reaches_as_far_as_its_owner(authors: Authors) -> None:
    credentials = authors.grid.entrance.credentials
    person = credentials.redeem(authors.credential(BOB)).person
    token = credentials.api(person, [Role.AUTHOR], "carnet")
    browser = Browser(authors.grid.app, authors.grid.origin)
    bearer = {"authorization": f"Bearer {token}", "accept": "application/json"}
    items = browser.get("/api/v1/mine", headers=bearer).json["items"]
    assert [row["bundle"] for row in items] == [authors.bundles["bobs"]]
    assert browser.get(f"/api/v1/releases/{authors.released}", headers=bearer).status == 404


@pytest.mark.parametrize(
    ("which", "standing", "english"),
    [
        ("unvoted", "submitted", "waits for the cooperative&#39;s vote"),
        ("short", "coming", "Its authorisation begins at"),
        ("suspended", "suspended", "The cooperative suspended it: a doubt"),
        ("expired", "expired", "only a new vote lets it run again"),
        ("done", "authorised", "Nothing: its newest campaign is released."),
        ("hungry", "authorised", "Its newest campaign: waiting for consents: 10 missing"),
    ],
)
def test_a_dossier_says_where_it_stands_and_what_blocks_it(
    authors: Authors, which: str, standing: str, english: str
) -> None:
    ada = authors.enter(ADA)
    found = ask(ada, f"/api/v1/mine/{authors.bundles[which]}")
    assert found["dossier"]["standing"] == standing
    page = ada.get(f"/mine/{authors.bundles[which][7:20]}?lang=en").text
    assert english in page
    assert "Ce qui le bloque" in ada.get(f"/mine/{authors.bundles[which]}?lang=fr").text


def test_a_dossier_foresees_what_a_campaign_would_wait_for(authors: Authors) -> None:
    found = ask(authors.enter(ADA), f"/api/v1/mine/{authors.bundles['done']}")
    assert found["prospect"] == {"reason": "", "why": ""}
    assert found["images"]
    assert found["libraries"] == ["numpy"]
    assert found["epsilon"] == pytest.approx(2.1419)
    assert [run["campaign"] for run in found["runs"]] == [authors.released]


def test_authors_read_no_machine_and_no_exact_count(authors: Authors) -> None:
    ada = authors.enter(ADA)
    paths = ["/api/v1/mine", "/api/v1/runs", f"/api/v1/runs/{authors.trained}"]
    paths += [
        f"/api/v1/mine/{digest}" for name, digest in authors.bundles.items() if name != "bobs"
    ]
    for path in paths:
        text = ada.get(path).text
        for word in ("wrk_", "unit_", "att_", "cap_", "operator-", "ana"):
            assert word not in text, (path, word)


def test_a_release_is_drawn_with_the_bands_of_its_noise(authors: Authors) -> None:
    page = authors.enter(ADA).get(f"/releases/{authors.released}?lang=en").text
    assert 'id="plot-counts-title"' in page
    assert page.count('class="whisker"') == 9
    assert "bands are those of the noise that was added" in page
    trained = authors.enter(ADA).get(f"/releases/{authors.trained}").text
    assert 'id="curve-loss-title"' in trained


def test_every_value_has_its_picture(authors: Authors) -> None:
    page = authors.enter(ADA).get(f"/releases/{authors.pictured}?lang=en").text
    for name in ("counts", "flows", "weights"):
        assert f'id="plot-{name}-title"' in page
    for name in ("links", "means"):
        assert f'id="plot-{name}-title"' not in page
        assert f"<h2>{name}</h2>" in page
    assert "bands are the bundle&#39;s own" in page
    assert "<b>vélo" not in page
    rows = list(
        csv.DictReader(
            line
            for line in authors.enter(ADA)
            .get(f"/releases/{authors.pictured}/csv")
            .text.splitlines()
            if not line.startswith("#")
        )
    )
    assert {row["label_3"] for row in rows if row["array"] == "flows"} == {"voiture", "<b>vélo</b>"}
    assert [row["label_2"] for row in rows if row["array"] == "counts"] == ["", "", ""]


def test_every_download_says_where_it_is_from(authors: Authors) -> None:
    ada = authors.enter(ADA)
    there = f"/releases/{authors.released}"
    whole = ask(ada, f"/api/v1{there}")
    source = whole["provenance"]
    assert source["bundle"] == authors.bundles["done"]
    assert source["campaign"] == authors.released
    assert source["rho"] == "0.1"
    assert source["author"] == str(ADA.public)
    assert json.loads(ada.get(f"{there}/json").body) == whole

    lines = ada.get(f"{there}/csv").text.splitlines()
    about = dict(line.removeprefix("# ").split(": ", 1) for line in lines if line.startswith("#"))
    assert {name: json.loads(value) for name, value in about.items()} == source
    rows = list(csv.DictReader(io.StringIO("\n".join(x for x in lines if not x.startswith("#")))))
    assert [row["label_1"] for row in rows] == ["a", "b", "c"]
    assert [float(row["value"]) for row in rows] == whole["arrays"][0]["cells"]
    assert [float(row["low"]) for row in rows] == whole["arrays"][0]["low"]

    table = pq.read_table(io.BytesIO(ada.get(f"{there}/parquet").body))
    assert json.loads(table.schema.metadata[b"cadastre"]) == source
    assert table.column("value").to_pylist() == whole["arrays"][0]["cells"]

    report = ada.get(f"{there}/report").body
    assert str(Digest.of(report)) == source["report"]


def test_the_log_that_a_release_names_is_the_log(authors: Authors) -> None:
    ada = authors.enter(ADA)
    source = ask(ada, f"/api/v1/releases/{authors.released}")["provenance"]
    index = source["log"]["index"]
    proof, document = (ada.get(f"/log/{index}/{name}").body for name in ("proof", "document"))
    assert str(Digest.of(document)) == source["release"]
    policy = Policy.parse(authors.grid.world.desk.root.document.log_policy.encode())
    verify_proof(proof, LogEntry.of(Kind.RELEASE, document).emit(), policy)
    seen = Checkpoint.parse(Note.parse(LogProof.parse(proof).note).text)
    assert (seen.size, seen.root.hex()) == (source["log"]["size"], source["log"]["root"])


def test_a_model_is_its_arrays_and_its_card(authors: Authors) -> None:
    ada = authors.enter(ADA)
    arrays = load(ada.get(f"/releases/{authors.trained}/model").body)
    assert arrays["walked"].tolist() == [3.0]
    assert authors.bundles["model"] in ada.get(f"/releases/{authors.trained}/card").text
    assert ada.get(f"/releases/{authors.released}/model").status == 404


def test_a_models_files_are_what_the_api_describes(authors: Authors) -> None:
    asked = Asked(authors.grid)
    for path in sorted(MODELS):
        case = asked.schema[path]["GET"].Case(path_parameters={"prefix": authors.trained})
        assert asked.judge(case, []) == 200, path


def test_a_campaign_without_a_release_says_so(authors: Authors) -> None:
    ada = authors.enter(ADA)
    waiting = ask(ada, f"/api/v1/mine/{authors.bundles['hungry']}")["dossier"]["newest"]
    assert ask(ada, f"/api/v1/releases/{waiting}", 503)["code"] == "not-released"
    assert "attend des consentements" in ada.get(f"/runs/{waiting}").text


@pytest.mark.parametrize("order", ["desc", "asc"])
def test_lists_go_on_behind_their_last_row(authors: Authors, order: str) -> None:
    """With two keys, whose rows lie between each other's; as operators see them, who see all."""
    ada, operator = authors.enter(ADA, BOB), authors.enter(roles=[Role.OPERATOR])
    for path in ("mine", "runs"):
        whole = ask(ada, f"/api/v1/{path}?size=200&dir={order}")["items"]
        gathered, cursor = [], ""
        while cursor is not None:
            page = ask(ada, f"/api/v1/{path}?size=1&dir={order}&cursor={cursor}")
            gathered += page["items"]
            cursor = page["next"]
        assert gathered == whole
        assert whole == ask(operator, f"/api/v1/{path}?size=200&dir={order}")["items"]
        assert len(whole) > 2
    only = ask(ada, f"/api/v1/runs?bundle={authors.bundles['done']}&state=released")["items"]
    assert [row["campaign"] for row in only] == [authors.released]


def test_an_account_follows_so_many_keys(authors: Authors) -> None:
    store = authors.grid.world.desk.store
    keys = [PrivateKey.generate(seeded(bytes([at]))).public for at in range(MOST_KEYS + 1)]

    def tie_all(tx: Transaction) -> None:
        for key in keys:
            authorship.tie(tx, "issuer#1", key, by="tests")

    with pytest.raises(InputRefused, match=f"{MOST_KEYS} author keys"):
        store.run("tie", tie_all)
    assert store.read("keys", lambda tx: authorship.keys_of(tx, "issuer#1")) == ()
    for subject in ("", "x" * 600, "a\nb"):
        with pytest.raises(InputRefused, match="printable"):
            store.run("tie", lambda tx, s=subject: authorship.tie(tx, s, keys[0], by="tests"))


def test_a_prefix_is_ambiguous_among_ones_own_alone(authors: Authors) -> None:
    """That somebody else's bundle begins the same shows in no answer. The last: it adds bundles."""
    pair = {ADA: "sha256:" + "ab" * 32, BOB: "sha256:" + "ab" * 8 + "cd" * 24}

    def submit(tx: Transaction) -> None:
        for author, digest in pair.items():
            row = BundleRow(digest=digest, statement="", manifest="", name="twin", version="1.0.0",
                            author=str(author.public), submitted_at=tx.now)  # fmt: skip
            tx.session.add(row)

    authors.grid.world.desk.store.run("twins", submit)
    for author, digest in pair.items():
        found = ask(authors.enter(author), "/api/v1/mine/abababababab")
        assert found["dossier"]["bundle"] == digest
    operator = authors.enter(roles=[Role.OPERATOR])
    assert ask(operator, "/api/v1/mine/abababababab", 422)["code"] == "ambiguous-prefix"


def test_flows_are_drawn_on_a_map_once_the_file_says_where_places_lie(authors: Authors) -> None:
    """Over the served page, with the file that `--web-judging` names."""
    grid, path = authors.grid, f"/releases/{authors.pictured}?lang=en"
    assert "where its places lie" not in authors.enter(ADA).get(path).text
    said = "[places]\nnord = [2.35, 49.0]\nsud = [2.35, 48.8]\nest = [2.5, 48.9]\n"
    judged = parse(tomllib.loads(said))
    desk = grid.world.desk
    grid.app, live = surface(room(desk), desk, grid.entrance, list, judged=judged)
    page = authors.enter(ADA).get(path).text
    assert "flows, where its places lie" in page
    drawn = page.partition("flows, where its places lie")[2]
    assert all(f">{place}" in drawn for place in ("nord", "sud", "est"))
    for one in live:
        one.close()
