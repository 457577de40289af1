"""The history of checkpoints: kept, listed, proven to continue each other, verified offline."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

import cadastre
from scheduler.service import outbox
from scheduler.store.tables import CheckpointRow
from scheduler.views import checkpoints
from scheduler.views.slices import Slice
from tests.scheduler.conftest import World, build
from tests.web_scheduler.territory import Grid
from tests.web_scheduler.test_pages_long_lists import plans
from tests.web_scheduler.test_pages_reading import ask
from trust.log.checkpoint import Checkpoint
from trust.log.entry import Kind
from trust.log.note import Note


def listed(grid: Grid) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ask(grid.enter(), "/api/v1/log-checkpoints?size=200")["items"]
    return found


def test_every_turn_leaves_its_checkpoint_with_cosignatures(grid: Grid) -> None:
    rows = listed(grid)
    sizes = [row["size"] for row in rows]
    assert [int(size) for size in sizes] == sorted(map(int, sizes), reverse=True)
    assert len(rows) >= 4
    newest = Checkpoint.parse(Note.parse(grid.world.desk.log.checkpoint()).text)
    assert (rows[0]["size"], rows[0]["root"]) == (str(newest.size), newest.root.hex())
    assert all(row["cosigned"].startswith("witness.example/one (2026-11-22 12:") for row in rows)
    assert {row["signed"] for row in rows} == {"holds"}
    page = grid.enter().get("/log/checkpoints").text
    assert "witness.example/one" in page
    assert " UTC)" not in page  # a moment as everywhere: in the territory's time, and how long ago
    assert page.count('class="dated"') == len(rows)
    first = ask(grid.enter(), "/api/v1/log-checkpoints?size=2")
    second = ask(grid.enter(), f"/api/v1/log-checkpoints?size=2&cursor={first['next']}")
    assert first["items"] + second["items"] == rows[:4]


def test_a_cosignature_that_comes_late_joins_its_checkpoint(tmp_path: Path) -> None:
    async def play(world: World) -> list[tuple[int, int]]:
        desk, seen = world.desk, []
        world.witness.asleep = True
        await desk.run(
            "root", lambda tx: outbox.publish_raw(tx, desk, Kind.ROOT, world.root_envelope)
        )
        for asleep in (True, False):
            world.witness.asleep = asleep
            await outbox.flush(desk)
            rows = checkpoints.published(desk, Slice(9))
            seen += [(row.size, len(row.cosigned)) for row in rows]
        return seen

    world = build(tmp_path)
    try:
        assert asyncio.run(play(world)) == [(1, 0), (1, 1)]
    finally:
        world.desk.store.close()
        world.desk.log.close()  # type: ignore[attr-defined]


def test_a_database_without_checkpoints_begins_with_the_newest(tmp_path: Path) -> None:
    async def play(world: World) -> list[int]:
        world.desk.log.append([b"cadastre/v1 of before\n"])
        await outbox.keep_head(world.desk)
        await outbox.keep_head(world.desk)
        return [row.size for row in checkpoints.published(world.desk, Slice(9))]

    world = build(tmp_path)
    try:
        assert asyncio.run(play(world)) == [1]
    finally:
        world.desk.store.close()
        world.desk.log.close()  # type: ignore[attr-defined]


def test_any_two_are_proven_shown_and_verified_offline(
    grid: Grid, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = sorted(int(row["size"]) for row in listed(grid))
    root = tmp_path / "root.json"
    root.write_bytes(grid.world.root_envelope)
    browser = grid.enter()
    for old, new in [(sizes[0], sizes[-1]), (sizes[1], sizes[2]), (sizes[3], sizes[3])]:
        page = browser.get(f"/log/consistency?old={old}&new={new}&lang=en").text
        assert "The key of the log signed both checkpoints." in page
        assert "witness.example/one cosigned the one of" in page
        paths = []
        for name, where in (
            ("continuation", f"/log/consistency/file?old={old}&new={new}"),
            ("old", f"/log/checkpoints/{old}/note"),
        ):
            answer = browser.get(where)
            assert "attachment" in answer.header("content-disposition")
            paths.append(tmp_path / name)
            paths[-1].write_bytes(answer.body)
        command = ["audit", "consistency", str(paths[0]), "--old", str(paths[1])]
        assert cadastre.main([*command, "--root", str(root), "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["old size"], told["new size"]) == (old, new)
        assert told["new cosigned by"] == "witness.example/one"
    altered = paths[0].read_bytes().replace(b"old ", b"old 1", 1)
    paths[0].write_bytes(altered)
    assert cadastre.main([*command, "--root", str(root)]) != 0
    assert "log-refused" in capsys.readouterr().err


def test_the_order_of_the_two_does_not_matter_and_others_are_named(grid: Grid) -> None:
    sizes = sorted(int(row["size"]) for row in listed(grid))
    browser = grid.enter()
    turned = ask(browser, f"/api/v1/log-consistency?old={sizes[-1]}&new={sizes[0]}")
    assert (turned["old"]["size"], turned["new"]["size"]) == (sizes[0], sizes[-1])
    for question in (f"{sizes[0]}&new=999999", "x&new=1", f"1{'0' * 30}&new=1", "-1&new=1"):
        answer = browser.get(f"/log/consistency?old={question}")
        assert answer.status == 404
        assert "Traceback" not in answer.text
    english = {"accept-language": "en"}
    question = f"/api/v1/log-consistency?old={sizes[0]}&new=999999"
    refused = browser.get(question, headers=english).text
    assert f"the nearest have {sizes[-1]}" in refused
    assert browser.get("/log/consistency").status == 422
    assert browser.get("/log/checkpoints/%3Cimg%3E").status == 404


def test_one_checkpoint_shows_what_was_signed(grid: Grid) -> None:
    size = listed(grid)[2]["size"]
    page = grid.enter().get(f"/log/checkpoints/{size}").text
    assert f"/log/consistency?old={size}&amp;new=" in page
    assert "— witness.example/one" in page


def test_a_checkpoint_that_was_altered_in_the_store_is_called_so(grid: Grid) -> None:
    size = int(listed(grid)[1]["size"])

    def set_root(tx: Any, root: str) -> str:
        row = tx.session.get(CheckpointRow, size)
        before, row.root = row.root, root
        return str(before)

    store = grid.world.desk.store
    before = store.run("alter", lambda tx: set_root(tx, "00" * 32))
    row = next(row for row in listed(grid) if row["size"] == str(size))
    assert row["signed"] == "fails"
    assert "does not hold" in grid.enter().get(f"/log/checkpoints/{size}?lang=en").text
    store.run("mend", lambda tx: set_root(tx, before))


@pytest.mark.parametrize("reverse", [False, True])
def test_a_page_of_the_history_enters_an_index(grid: Grid, reverse: bool) -> None:
    cut = Slice(51, (7,), reverse=reverse)
    for line in plans(grid, lambda: checkpoints.published(grid.world.desk, cut)):
        assert not line.startswith("SCAN")
        assert "TEMP B-TREE" not in line
