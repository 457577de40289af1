"""Who may use what, as one table: a new route has its row here, or this fails.

That each declaration is obeyed is tested by the sign-in's own tests (tests/web).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.scheduler.conftest import build
from tests.web_scheduler.territory import Grid
from web.signin.access import Requirement, declarations
from web.signin.roles import Role

# The log and every document in it are public; nothing else is, but the way in.
EVERYBODY = {
    "/sign-in", "/sign-in/return", "/sign-out",
    "/log", "/log/{index}", "/log/{index}/proof", "/log/{index}/receipt", "/log/{index}/document",
    "/log/{index}/entry", "/log/search", "/log/authors/{key}", "/log/checkpoint",
    "/log/checkpoints", "/log/checkpoints/{size}", "/log/checkpoints/{size}/note",
    "/log/consistency", "/log/consistency/file",
    "/log/campaigns/{prefix}/evidence", "/log/campaigns/{prefix}/evidence.tar",
    "/api/v1/log", "/api/v1/log/{index}", "/api/v1/log-search", "/api/v1/log-authors/{key}",
    "/api/v1/log-checkpoints", "/api/v1/log-consistency", "/api/v1/log-evidence/{prefix}",
}  # fmt: skip
WHO: Mapping[str, set[str]] = {
    "everybody": EVERYBODY,
    # Their forms carry a mark of the visitor's own, signed in or not.
    "everybody, with forms": {"/sign-in", "/sign-in/away", "/log/verify"},
    "whoever is signed in": {
        "/sign-out", "/account", "/account/sessions/{name}/end",
        "/account/credentials/{name}/revoke",
    },
    "whoever is signed in, proved lately": {"/account/keys", "/account/tokens"},
    "auditor, author, operator, viewer": {
        "/",
        *(f"{api}/{path}" for api in ("", "/api/v1") for path in (
            "mine", "mine/{prefix}", "runs", "runs/{prefix}", "runs/{prefix}/rounds",
            "releases/{prefix}",
            "releases/{prefix}/csv", "releases/{prefix}/parquet", "releases/{prefix}/report",
            "releases/{prefix}/model", "releases/{prefix}/card",
        )),
        "/releases/{prefix}/json",
    },
    # An author could time single machines with an algorithm: they see none of these.
    "auditor, operator, viewer": {
        *(f"{api}/{path}" for api in ("", "/api/v1") for path in (
            "campaigns", "campaigns/{prefix}", "campaigns/{prefix}/units",
            "campaigns/{prefix}/rounds", "units",
            "campaigns/{prefix}/timeline", "units/{prefix}", "workers", "workers/{prefix}",
            "sites", "queue", "bundles", "bundles/{prefix}", "budgets", "budgets/campaigns",
            "alerts", "energy",
        )),
        "/api/v1/health", "/api/v1/budgets/territory", "/api/v1/energy/days",
        "/api/v1/campaigns/{prefix}/timeline/rounds",
        "/find", "/live/health", "/live/campaigns/{prefix}", "/live/queue/{span}",
    },
    # Reasons about a worker are about its keeper.
    "auditor, operator": {
        "/actions", "/actions/{identity}", "/live/actions/{identity}",
        "/api/v1/actions", "/api/v1/actions/{identity}",
    },
    "operator": {"/api/v1/actions"},
    "operator, proved lately": {"/actions/start-campaign/{bundle}", "/actions/{act}/{text}"},
}  # fmt: skip


@pytest.fixture
def grid(tmp_path: Path) -> Iterator[Grid]:
    made = Grid(build(tmp_path), "", "", "")
    yield made
    made.close()


def who(asks: Requirement) -> str:
    """A requirement in words."""
    named = "whoever is signed in" if asks.signed_in else "everybody"
    said = ", ".join(sorted(asks.roles)) or named
    return said + ", proved lately" * asks.delicate + ", with forms" * asks.forms


def test_every_route_is_for_whom_this_table_says(grid: Grid) -> None:
    found: set[tuple[str, str]] = set()
    for path, asked in declarations(grid.app.routes):
        (one,) = asked
        found.add((path, who(one)))
    said = {(path, whom) for whom, paths in WHO.items() for path in paths}
    assert sorted(found - said) == []  # routes that this table does not know, or not like that
    assert sorted(said - found) == []  # rows of routes that are gone, or are for others


def test_the_table_knows_every_role() -> None:
    named = {word for words in WHO for word in words.split(", ")}
    assert {role.value for role in Role} <= named
