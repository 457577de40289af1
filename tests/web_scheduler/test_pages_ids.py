"""Ids by their first letters: one field that goes there, deeds, and what the public log names."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from sqlmodel import select

from scheduler.service import acting
from scheduler.service.actions import Actor
from scheduler.store.tables import ActionRow
from scheduler.views import search
from tests.scheduler.conftest import build
from tests.scheduler.test_actions import failed_unit
from tests.web_scheduler.territory import Grid
from tests.web_scheduler.test_pages_long_lists import plans, whole_tables
from trust.documents.actions import Act, Means
from web.signin.roles import Role

ADA = Actor("local:ada", Means.PROGRAM)


@pytest.fixture(scope="module")
def acted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grid]:
    """A unit that was tried again and a worker that was drained, both in the log."""
    world = build(tmp_path_factory.mktemp("acted"))

    async def play() -> Grid:
        campaign, workers, unit = await failed_unit(world)
        await acting.act(world.desk, ADA, Act.RETRY_UNIT, unit, "the image is there")
        await acting.act(world.desk, ADA, Act.DRAIN_WORKER, workers[0].name, "a new disk")
        await world.turn()
        return Grid(world, "", campaign, unit, workers=workers)

    grid = asyncio.run(play())
    yield grid
    grid.close()


def deed_of(grid: Grid, act: Act) -> ActionRow:
    query = select(ActionRow).where(ActionRow.act == act.value)
    return grid.world.desk.store.read("deed", lambda tx: tx.session.exec(query).one())


def test_a_deed_is_found_by_its_first_letters(acted: Grid) -> None:
    operator = acted.enter(Role.OPERATOR)
    deed = deed_of(acted, Act.RETRY_UNIT)
    whole = operator.get(f"/actions/{deed.id}").text
    assert deed.id in whole
    asked = {"accept": "application/json"}
    for text in (deed.id[:13], deed.id[5:13], deed.id[5:]):
        assert deed.id in operator.get(f"/actions/{text}").text, text
        found = operator.get(f"/api/v1/actions/{text}", headers=asked).json
        assert found["action"] == deed.id, text
    for text in (deed.id[:12], "deed_", "deed_zzzzzzzzzz", "deed_%25"):
        assert operator.get(f"/actions/{text}").status == 404, text


def test_one_field_goes_to_whatever_an_id_is_of(acted: Grid) -> None:
    viewer, auditor = acted.enter(Role.VIEWER), acted.enter(Role.AUDITOR)
    worker, deed = str(acted.workers[0].name), deed_of(acted, Act.DRAIN_WORKER).id
    for identity, place in (
        (acted.moving, f"/campaigns/{acted.moving}"),
        (acted.late_unit, f"/units/{acted.late_unit}"),
        (worker, f"/workers/{worker}"),
        (deed, f"/actions/{deed}"),
    ):
        for text in (identity, f" {identity[:14]} ", identity.partition("_")[2][:8]):
            answer = auditor.get(f"/find?q={quote(text)}")
            assert (answer.status, answer.location) == (303, place), text
            assert auditor.get(place).status == 200
    for text in ("", "0123", "camp_zzzzzzzzzz", "' OR 1=1", "//evil.example", "\0"):
        answer = viewer.get(f"/find?q={quote(text)}")
        assert answer.status == 303
        assert answer.location.startswith("/log/search?q="), text
    # A deed's page is not for viewers: they are led to what the log says of it.
    led = viewer.get(f"/find?q={deed}").location
    assert led == f"/log/search?q={deed}"
    assert viewer.get(viewer.get(led).location).status == 200
    assert 'action="/find"' in viewer.get("/").text
    assert acted.enter(Role.AUTHOR).get("/find?q=camp_").status == 403


def test_the_log_is_searched_for_units_workers_and_deeds_that_it_names(acted: Grid) -> None:
    """By anybody: it is the entries that are found, which are public, and no machine."""
    desk, stranger = acted.world.desk, acted.enter()
    retried, drained = deed_of(acted, Act.RETRY_UNIT), deed_of(acted, Act.DRAIN_WORKER)
    worker = str(acted.workers[0].name)

    def kinds(text: str) -> list[tuple[str, str]]:
        return [(hit.entry, hit.name) for hit in search.search(desk, text).found]

    assert kinds(acted.late_unit[:14]) == kinds(retried.id) == [("action", retried.digest)]
    assert kinds(retried.id[5:14]) == [("action", retried.digest)]
    assert {kind for kind, _ in kinds(worker)} == {"enrolment", "action"}
    assert ("action", drained.digest) in kinds(worker[:13])
    answer = stranger.get(f"/log/search?q={retried.id}")
    assert answer.status == 303
    assert stranger.get(answer.location).status == 200
    assert search.search(desk, "unit_zzzzzzzz").found == ()


def test_looking_ids_up_enters_indexes(acted: Grid) -> None:
    desk = acted.world.desk
    viewer = acted.enter(Role.VIEWER)
    for text in ("unit_01234567", "wrk_01234567", "deed_01234567", "0123456789"):
        found = plans(acted, lambda text=text: search.search(desk, text))  # type: ignore[misc]
        assert not whole_tables(found), (text, found)
        found = plans(acted, lambda text=text: viewer.get(f"/find?q={text}"))  # type: ignore[misc]
        assert not whole_tables(found), (text, found)
