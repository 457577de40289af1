"""schemathesis against the API: no failure of ours whatever is sent, and answers as described.

Every refusal is a problem document; what the description forbids is refused.

Bounded and the same each time: so many examples an operation, drawn from a fixed seed.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from http import HTTPStatus
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase
from schemathesis import GenerationMode
from schemathesis.specs.openapi import checks

from scheduler.views import checkpoints
from scheduler.views.slices import Slice
from tests.web_scheduler.territory import ORIGIN, Grid
from web.problems import INTERNAL, MEDIA_TYPE
from web.signin.roles import Role

EXAMPLES = 25
FEW = 5  # of an operation that takes a name in its address alone: whatever it is, it is not found
API = "/api/v1/"
CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]
# Who tries many poor tokens is asked to wait.
NOTHING_TOLD = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS}
REJECTED = checks.negative_data_rejection
PHASES = (Phase.explicit, Phase.generate)
SETTINGS = hypothesis.settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=True,
    phases=PHASES,
    suppress_health_check=list(HealthCheck),
)


class Asked:
    """The API as somebody with a token asks it, and what every answer has to be."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        credentials = grid.entrance.credentials
        person = credentials.redeem(credentials.invite("Programme", list(Role))).person
        self.headers = {
            "Authorization": f"Bearer {credentials.api(person, list(Role), 'schemathesis')}",
            "Host": ORIGIN.removeprefix("http://"),
        }
        self.document = document = json.loads(self._document())
        self.schema: Any = schemathesis.openapi.from_dict(document)
        self.schema.app = grid.app
        self.operations = sorted(
            (path, method.upper())
            for path, methods in document["paths"].items()
            for method in methods
            if path.startswith(API)
        )

    def _document(self) -> str:
        return self._grid.enter(Role.VIEWER).get(
            "/api/v1/openapi.json", headers={"accept": "application/json"}
        ).text  # fmt: skip

    def judge(self, case: Any, more: list[Any], **headers: str) -> int:
        """Send one case and look at its answer; its status."""
        answer = case.call(base_url=ORIGIN, headers={**self.headers, **headers})
        case.validate_response(answer, checks=[*CHECKS, *more])
        status = int(answer.status_code)
        if status >= HTTPStatus.BAD_REQUEST:
            (kind,) = answer.headers["content-type"]
            told = json.loads(answer.content)
            assert kind == MEDIA_TYPE
            assert told["status"] == status
            assert told["code"]
            assert told["detail"]
            # Of a failure nothing is foreseen; what says itself that it is not there yet, is.
            foreseen = status == HTTPStatus.SERVICE_UNAVAILABLE and told["code"] != INTERNAL
            assert status < HTTPStatus.INTERNAL_SERVER_ERROR or foreseen, told
        return status


@pytest.fixture(scope="module")
def asked(grid: Grid) -> Asked:
    return Asked(grid)


OPERATIONS = (
    "/api/v1/campaigns",
    "/api/v1/campaigns/{prefix}",
    "/api/v1/campaigns/{prefix}/units",
    "/api/v1/health",
    "/api/v1/log",
    "/api/v1/log/{index}",
    "/api/v1/units/{prefix}",
    "/api/v1/workers",
)


def test_no_operation_is_left_out(asked: Asked) -> None:
    """One that was added stands here, or has its own test of the same kind."""
    reading = {path for path, method in asked.operations if method == "GET"}
    assert reading >= set(OPERATIONS)


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_every_answer_is_what_the_description_says(asked: Asked, mode: GenerationMode) -> None:
    """Of every operation, those that were added since too."""
    negative = mode is GenerationMode.NEGATIVE
    for path, method in asked.operations:
        operation = asked.schema[path][method]
        speaks = bool(operation.query or operation.body)
        # Any text may stand in a path: what is wrong there is not found, and not refused.
        if speaks or not negative:
            cases = operation.as_strategy(generation_mode=mode)
            sent = storm(asked, cases, [REJECTED] * negative, EXAMPLES if speaks else FEW)
            if negative and method == "POST":
                # Poor bodies reached the code that reads them, and were told what is wrong.
                assert sent[HTTPStatus.UNPROCESSABLE_ENTITY] >= FEW, (path, sent)


def storm(asked: Asked, cases: Any, more: list[Any], examples: int) -> Counter[int]:
    """How often each status was answered."""
    found: Counter[int] = Counter()

    @hypothesis.settings(SETTINGS, max_examples=examples)
    @hypothesis.given(cases)
    def send(case: Any) -> None:
        found[asked.judge(case, more)] += 1

    send()
    return found


def test_every_answer_has_its_type_and_its_shape(asked: Asked) -> None:
    """What is described as JSON says which; a file is described as what it is."""
    for path, method in asked.operations:
        responses = asked.document["paths"][path][method.lower()]["responses"]
        good = {status: told for status, told in responses.items() if status.startswith("2")}
        assert len(good) == 1, path
        for told in good.values():
            (media,) = told["content"]
            shape = told["content"][media]["schema"]
            assert media != "application/json" or set(shape) & {"properties", "type"}, path
            assert media == "application/json" or shape["format"] == "binary", path


# Of a campaign that follows a model: tests/web_scheduler/test_authors_pages.py asks for them.
MODELS = {"/api/v1/releases/{prefix}/model", "/api/v1/releases/{prefix}/card"}


def test_what_exists_is_described_too(asked: Asked, grid: Grid) -> None:
    """Drawn names name nothing: the ones of the territory are asked for by name, at every path."""
    bundle, campaigns = str(grid.world.bundle.digest), [grid.moving, grid.released]
    known = {  # by what stands in front of the name
        "campaigns": campaigns,
        "units": [grid.late_unit],
        "workers": [grid.workers[0].name],
        "bundles": [bundle],
        "mine": [bundle],
        "runs": campaigns,
        "releases": [grid.released],
        "log": ["3"],
        "log-evidence": [grid.released],
        "log-authors": [str(grid.world.author.public)],
        "actions": [drained(asked, grid)],
    }
    paths = {path for path, method in asked.operations if "{" in path and method == "GET"}
    for path in sorted(paths - MODELS):
        noun, name = re.findall(r"/([a-z-]+)/{(\w+)}", path)[0]
        operation = asked.schema[path]["GET"]
        # By a prefix, too, as people type it, where it may be one.
        for value in [*known[noun], *(one[:16] for one in known[noun] if name == "prefix")]:
            case = operation.Case(path_parameters={name: value})
            assert asked.judge(case, []) == HTTPStatus.OK, (path, value)


def test_what_is_asked_for_by_a_query_is_described_too(asked: Asked, grid: Grid) -> None:
    sizes = [one.size for one in checkpoints.published(grid.world.desk, Slice(2, reverse=True))]
    queries = {
        "/api/v1/log-search": {"q": grid.moving},
        "/api/v1/log-consistency": {"old": str(min(sizes)), "new": str(max(sizes))},
    }
    # Every list and every answer without a name in its address, once with nothing asked of it.
    bare = {path for path, method in asked.operations if "{" not in path and method == "GET"}
    for path in sorted(bare):
        case = asked.schema[path]["GET"].Case(query=queries.get(path, {}))
        assert asked.judge(case, []) == HTTPStatus.OK, path


def drained(asked: Asked, grid: Grid) -> str:
    """A deed by a program, described as it is answered; its id."""
    body = {
        "act": "drain-worker",
        "subject": grid.workers[1].name,
        "reason": "tried by a test",
        "request": "schema",
    }
    case = asked.schema["/api/v1/actions"]["POST"].Case(body=body, media_type="application/json")
    answer = case.call(base_url=ORIGIN, headers=asked.headers)
    case.validate_response(answer, checks=CHECKS)
    assert answer.status_code == HTTPStatus.CREATED, answer.content
    deed: str = json.loads(answer.content)["action"]
    return deed


def test_without_a_token_and_with_a_poor_one_nothing_is_told(asked: Asked) -> None:
    for path, method in asked.operations:
        if path.startswith("/api/v1/log"):
            continue  # everybody's
        named = dict.fromkeys(re.findall(r"{(\w+)}", path), "camp_01234567")
        case = asked.schema[path][method].Case(path_parameters=named)
        for token in ("", "Bearer nonsense", "Bearer cadastre-api-v1." + "A" * 64):
            status = asked.judge(case, [], Authorization=token)
            assert status in NOTHING_TOLD, (path, status)


@pytest.mark.parametrize(
    "query", ["size=&size=5", "size=5&size=", "state=&state=", "sort=&sort=%0C"]
)
def test_a_parameter_that_is_given_twice_is_refused_even_when_empty(grid: Grid, query: str) -> None:
    """schemathesis sent one: an empty one used to count as not given at all."""
    answer = grid.enter(Role.VIEWER).get(
        f"/api/v1/campaigns?{query}", headers={"accept": "application/json"}
    )
    assert (answer.status, answer.json["code"]) == (422, "bad-parameter")
