"""What an operator's Prometheus reads: complete, documented, and without anybody in it."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from scheduler import gauges, readiness
from scheduler.service.bell import PACE
from scheduler.service.pace import keep_pace
from scheduler.site import Site
from scheduler.views.alerts import Thresholds
from scheduler.views.voted import Documents
from scheduler.views.watching import FRESH, Watch
from tests.scheduler.conftest import World, build

HERE = Path(__file__).parents[2]
PAGE = (HERE / "docs" / "metrics.md").read_text("utf-8")
METRIC = re.compile(r"\bcadastre_[a-z_]+\b")
# What a name in a rule may end with beyond what the page calls the metric.
PARTS = re.compile(r"_(bucket|sum|count)$")


def documented() -> dict[str, tuple[str, set[str]]]:
    """The page's table: a metric's kind and labels by its name."""
    rows = re.findall(r"^\| `(cadastre_\w+)` \| (\w+) \|([^|]*)\|", PAGE, re.MULTILINE)
    return {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = build(tmp_path)
    desk = made.desk
    watch = Watch(desk, Documents(desk), list, Thresholds(disk_free_share=1e-9))
    gauges.install(desk, desk.log, tmp_path, tmp_path / "scheduler.db", watch)
    return made


def scrape(world: World) -> dict[str, Any]:
    page = Site(world.desk, [b"root"], list).page("/metrics", local=True)
    assert page is not None
    families = text_string_to_metric_families(page.data.decode())
    found = {family.name: family for family in families if not family.name.endswith("_created")}
    return {
        f"{name}_total" if family.type == "counter" else name: family
        for name, family in found.items()
    }


def value(world: World, name: str, **labels: str) -> float:
    (found,) = [s.value for s in scrape(world)[name].samples if labels == s.labels]
    return float(found)


def test_the_page_lists_every_metric_with_its_kind_and_no_other(world: World) -> None:
    found = {name: family.type for name, family in scrape(world).items()}
    assert found == {name: kind for name, (kind, _) in documented().items()}
    assert len(re.findall(r"^\| `cadastre_", PAGE, re.MULTILINE)) == len(found), "one row each"


def test_labels_are_those_of_the_page(world: World) -> None:
    world.desk.meters.faults.labels("pace").inc()
    world.desk.meters.exchanges.labels("answered").inc()
    world.desk.meters.attempts.labels("accepted").inc()
    world.witness.asleep = True
    for name, family in scrape(world).items():
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        assert labels <= documented()[name][1], name
        if family.samples:
            assert labels == documented()[name][1] or not labels, name


def test_counts_follow_what_happens_and_name_nobody(world: World) -> None:
    async def scenario() -> set[str]:
        await world.authorised()
        workers = [await world.worker(f"operator-{n}", capsules=14) for n in range(3)]
        for worker in workers:
            await worker.exchange()
        campaign = await world.start("one")
        await world.turn()
        for worker in workers:
            await worker.exchange()
        return {campaign, *(worker.name for worker in workers)}

    names = asyncio.run(scenario())
    assert value(world, "cadastre_workers", freshness="fresh") == 3
    assert value(world, "cadastre_campaigns", state="running") == 1
    assert value(world, "cadastre_units", state="leased") == 3
    assert value(world, "cadastre_units_late") == 0
    page = Site(world.desk, [b"root"], list).page("/metrics", local=True)
    assert page is not None
    text = page.data.decode()
    assert not [name for name in names if name in text]
    assert not re.search(r"operator-\d|(camp|wrk|unit|cap|att)_[0-9a-z]{26}", text)

    world.clock.advance(91)
    assert value(world, "cadastre_workers", freshness="lost") == 3
    assert value(world, "cadastre_alerts", kind="worker-lost") == 1
    assert value(world, "cadastre_alerts", kind="disk-fills") == 0
    assert value(world, "cadastre_units_late") == 3


def test_asking_often_reads_the_database_once(world: World) -> None:
    scrape(world)
    asked: list[str] = []
    reading = world.desk.store.read
    world.desk.store.read = lambda name, work: (asked.append(name), reading(name, work))[1]  # type: ignore[method-assign]
    for _ in range(20):
        scrape(world)
    assert asked == []
    world.clock.advance(FRESH.total_seconds())
    scrape(world)
    assert sorted(asked) == ["view-figures", "view-measures"]


def test_ready_says_what_is_missing_and_alive_does_not_look(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = world.desk

    def trouble() -> list[str]:
        return readiness.trouble(desk, desk.log, tmp_path)  # type: ignore[arg-type]

    site = Site(desk, [b"root"], trouble)
    answer = site.page("/readyz")
    assert answer is not None
    assert answer.data == b"ready\n"

    desk.turned_at = desk.now()
    world.clock.advance(61)
    assert [line[:23] for line in trouble()] == ["nothing has moved since"]
    assert value(world, "cadastre_turn_age_seconds") == 61
    assert value(world, "cadastre_ready") == 0

    async def turn_once() -> None:
        desk.bell.ring([PACE])
        pace = asyncio.create_task(keep_pace(desk))
        await desk.look("anything", lambda tx: tx.now)
        desk.bell.close()
        await pace

    asyncio.run(turn_once())
    assert trouble() == []

    monkeypatch.setattr(readiness, "LEAST_FREE_BYTES", 2**62)
    (line,) = trouble()
    assert "free where the state lies" in line
    monkeypatch.undo()

    world.clock.advance(timedelta(days=4000).total_seconds())
    assert "the territory root has expired" in trouble()
    answer = site.page("/readyz")
    assert answer is not None
    assert answer.status == 503
    alive = site.page("/healthz")
    assert alive is not None
    assert alive.status == 200


RULES = yaml.safe_load((HERE / "deploy" / "metrics" / "alerts.yml").read_text("utf-8"))
CONFIG = yaml.safe_load((HERE / "deploy" / "metrics" / "prometheus.yml").read_text("utf-8"))
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"]]


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_a_rule_names_metrics_and_labels_that_exist(rule: dict[str, Any]) -> None:
    known = documented()
    named = {PARTS.sub("", name) for name in METRIC.findall(rule["expr"])}
    assert named <= set(known)
    assert named or rule["expr"].startswith("up{")
    labels = set(re.findall(r"[{,]\s*(\w+)\s*=", rule["expr"]))
    assert labels <= {"job"}.union(*(known[name][1] for name in named))
    used = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
    assert used <= set().union(*(known[name][1] for name in named))
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["action"]
    assert rule["expr"].count("(") == rule["expr"].count(")")
    assert re.fullmatch(r"\d+[smh]", rule.get("for", "1m"))


def test_no_rule_stands_twice_and_the_scrape_is_of_this_machine() -> None:
    names = [rule["alert"] for rule in ALERTS]
    assert len(names) == len(set(names))
    (job,) = CONFIG["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["127.0.0.1:7480"]}]
    assert f'job="{job["job_name"]}"' in ALERTS[0]["expr"]
    assert CONFIG["rule_files"] == ["alerts.yml"]


@pytest.mark.external
@pytest.mark.parametrize(
    "words",
    [
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "--lint=all", "--lint-fatal", "alerts.yml"),
        ("test", "rules", "story.yml"),
    ],
    ids=" ".join,
)
def test_prometheus_itself_takes_the_rules(tmp_path: Path, words: tuple[str, ...]) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (.ci/promtool fetches Debian's)")
    for name in ("prometheus.yml", "alerts.yml"):
        shutil.copy(HERE / "deploy" / "metrics" / name, tmp_path)
    shutil.copy(Path(__file__).with_name("alerts_story.yml"), tmp_path / "story.yml")
    done = subprocess.run(
        [promtool, *words], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
