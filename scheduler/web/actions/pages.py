"""Forms, confirmations and the list of deeds. A deed is a POST and answers with a 303."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse

from scheduler.errors import ActionRefused, Conflict
from scheduler.service import acting
from scheduler.service.actions import Actor
from scheduler.service.desk import Desk
from scheduler.views import deeds
from scheduler.views.deeds import Deed, Offer, Target
from scheduler.web import plainly
from scheduler.web.actions import settings, words
from scheduler.web.actions.errors import NotNow
from scheduler.web.actions.hands import Hands
from scheduler.web.actions.settings import Setting
from scheduler.web.actions.tables import DEEDS, entry, subject
from scheduler.web.reasons import told
from scheduler.web.tables import cut
from scheduler.web.words import CAMPAIGNS, PROOFS, UNITS
from trust.documents.actions import MAXIMUM_REASON, Act, Means, tidy_reason
from web import forms
from web.cells import Cell, Exact, Ident, Link
from web.errors import BadParameter, NoSuchPage
from web.forms import Form
from web.kit import Crumb, Kit
from web.languages import Language
from web.listing import of
from web.listing.openapi import description
from web.live.broadcast import Broadcast
from web.sentences import Sentence, say
from web.signin import visits
from web.signin.access import needs
from web.signin.roles import Role

API = "/api/v1"
LEAST_REASON = 5  # letters: "test" is no reason
NONCE_BYTES = 16
# Reasons about a worker are about its keeper: they are for those who run and who audit the grid.
READERS = (Role.OPERATOR, Role.AUDITOR)
WATCHERS = (Role.OPERATOR, Role.AUDITOR, Role.VIEWER)
_ACTIONS = Crumb(say("Actions"), "/actions")


@dataclass(frozen=True)
class Asked:
    """What a form's page shows. `nonce` makes sending it twice the same as once."""

    action: str
    heading: Sentence
    effect: Sentence
    facts: list[tuple[Sentence, Cell]]
    word: str
    nonce: str
    published: bool  # the reason stands in the log for everybody
    back: str  # where they came from
    grave: bool = False  # it cannot be undone
    refusal: Sentence | None = None
    settings: Sequence[Setting] = ()  # a field for each parameter
    written: str = ""  # the same as one JSON object; "" where there is none
    vote: str = ""  # the authorisation whose bounds and costs are shown


def actions(kit: Kit, desk: Desk, hands: Hands) -> tuple[APIRouter, Broadcast]:
    """The routes, and the live part that the server's end has to close."""
    router = APIRouter()
    live = Broadcast(
        lambda key, language: _beat(kit, language, deeds.deed(desk, key)),
        kit.clock,
        version=kit.assets.version,
    )
    _reading(router, kit, desk, live)
    _starting(router, kit, desk, hands)
    _acting(router, kit, desk, hands)
    return router, live


def _reading(router: APIRouter, kit: Kit, desk: Desk, live: Broadcast) -> None:
    @router.get("/actions", dependencies=[needs(*READERS)], include_in_schema=False)
    @router.get(f"{API}/actions", dependencies=[needs(*READERS)], openapi_extra=description(DEEDS))
    def listed(request: Request) -> Response:
        state = kit.state(request, DEEDS)
        asked = state.filters
        rows = deeds.deeds(
            desk,
            cut(state),
            act=asked.get("act", ""),
            campaign=asked.get("campaign", ""),
            worker=asked.get("worker", ""),
        )
        why = say("No operator has done anything by hand yet.")
        if asked:
            why = say("No action matches these filters.")
        return kit.listing(
            request, "actions/deeds.html", of(DEEDS, state, rows, why), title=say("Actions")
        )

    @router.get("/actions/{identity}", dependencies=[needs(*READERS)], include_in_schema=False)
    def one(request: Request, identity: str) -> Response:
        if identity == Act.START_CAMPAIGN.value:
            return _offers(kit, desk, request)
        found = deeds.deed(desk, identity)
        return kit.page(
            request,
            "actions/deed.html",
            title=say("Action: {what}", what=words.ACTS[found.act].word),
            trail=[_ACTIONS],
            data=lambda: plainly.answer(found),
            **_shown(found),
        )

    @router.get("/live/actions/{identity}", dependencies=[needs(*READERS)],
                include_in_schema=False)  # fmt: skip
    def follow(request: Request, identity: str) -> Response:
        return live.stream(request, deeds.deed(desk, identity).action)


def _starting(router: APIRouter, kit: Kit, desk: Desk, hands: Hands) -> None:
    place = f"/actions/{Act.START_CAMPAIGN.value}/{{bundle}}"
    operators = [needs(Role.OPERATOR, delicate=True)]

    @router.get(place, dependencies=operators, include_in_schema=False)
    def form(request: Request, bundle: str) -> Response:
        found = deeds.offer(desk, bundle)
        fields = settings.settings(found.bounds, found.defaults)
        asked = Asked(
            action=f"/actions/{Act.START_CAMPAIGN.value}/{found.bundle}",
            heading=Sentence(words.VERBS[Act.START_CAMPAIGN]),
            effect=Sentence(words.EFFECTS[Act.START_CAMPAIGN]),
            facts=_offer_facts(found),
            word=found.name,
            nonce=desk.entropy(NONCE_BYTES).hex(),
            published=True,
            back=f"/actions/{Act.START_CAMPAIGN.value}",
            refusal=None if found.left else say("every campaign that was voted has been started"),
            settings=fields,
            written=settings.template(fields),
            vote=found.vote,
        )
        return _ask(kit, request, asked)

    @router.post(place, dependencies=operators, include_in_schema=False)
    async def send(request: Request, bundle: str) -> Response:
        sent = await forms.read(request)
        found = await run_in_threadpool(deeds.offer, desk, bundle)
        reason = _reason(sent, found.name)
        if sent.text("vote") != found.vote:
            # What was confirmed are the bounds, tables and costs of the vote that was shown.
            raise Conflict("the authorisation changed meanwhile", remedy="start again")
        values = settings.written(sent, found.bounds, kit.speech(kit.language(request)))
        made = acting.start(
            desk, _actor(request), found.bundle, values, reason=reason, request=_nonce(sent)
        )
        return _to((await hands(made)).id)


def _acting(router: APIRouter, kit: Kit, desk: Desk, hands: Hands) -> None:
    operators = [needs(Role.OPERATOR, delicate=True)]

    @router.get("/actions/{act}/{text}", dependencies=operators, include_in_schema=False)
    def form(request: Request, act: str, text: str) -> Response:
        found = deeds.target(desk, _act(act), text)
        asked = Asked(
            action=f"/actions/{found.act.value}/{found.identity}",
            heading=Sentence(words.VERBS[found.act]),
            effect=Sentence(words.EFFECTS[found.act]),
            facts=_facts(found),
            word=found.word,
            nonce=desk.entropy(NONCE_BYTES).hex(),
            published=not found.act.about_worker,
            back=_page_of(found),
            grave=found.act in words.GRAVE,
            refusal=words.obstacle(found.obstacle) if found.obstacle else None,
        )
        return _ask(kit, request, asked)

    @router.post("/actions/{act}/{text}", dependencies=operators, include_in_schema=False)
    async def send(request: Request, act: str, text: str) -> Response:
        sent = await forms.read(request)
        found = await run_in_threadpool(deeds.target, desk, _act(act), text)
        reason, nonce = _reason(sent, found.word), _nonce(sent)
        made = acting.act(desk, _actor(request), found.act, found.identity, reason, request=nonce)
        try:
            done = await hands(made)
        except ActionRefused as refused:
            raise NotNow.of(refused) from refused
        return _to(done.id)


def _act(text: str) -> Act:
    try:
        found = Act(text)
    except ValueError as error:
        raise NoSuchPage from error
    if found is Act.START_CAMPAIGN:
        raise NoSuchPage
    return found


def _actor(request: Request) -> Actor:
    return Actor(visits.person(request).subject, Means.PAGE)


def _reason(sent: Form, word: str) -> str:
    """The reason, once the word beside it was typed. Raises BadParameter."""
    sent.confirmed("word", word)
    reason = tidy_reason(sent.text("reason", most=2 * MAXIMUM_REASON))
    if not LEAST_REASON <= len(reason) <= MAXIMUM_REASON:
        raise BadParameter(
            "reason",
            say("say why, in {least} to {most} letters", least=LEAST_REASON, most=MAXIMUM_REASON),
            helps=say("go back and write a reason; nothing was done"),
        )
    return reason


def _nonce(sent: Form) -> str:
    """What the form was given when it was shown. Raises BadParameter."""
    return sent.text("request", least=2 * NONCE_BYTES, most=2 * NONCE_BYTES)


def _to(identity: str) -> Response:
    return RedirectResponse(f"/actions/{identity}", HTTPStatus.SEE_OTHER)


def _page_of(found: Target) -> str:
    if found.act is Act.CANCEL_CAMPAIGN:
        return f"/campaigns/{found.identity}"
    room = "units" if found.act is Act.RETRY_UNIT else "workers"
    return f"/{room}/{found.identity}"


def _ask(kit: Kit, request: Request, asked: Asked) -> Response:
    return kit.page(
        request,
        "actions/form.html",
        title=asked.heading,
        trail=[_ACTIONS],
        asked=asked,
        least=LEAST_REASON,
        most=MAXIMUM_REASON,
    )


def _offers(kit: Kit, desk: Desk, request: Request) -> Response:
    rows = [
        [
            Link(f"/actions/{Act.START_CAMPAIGN.value}/{one.bundle}", one.title),
            f"{one.name} {one.version}",
            Ident(one.bundle),
            one.left,
            one.not_after,
        ]
        for one in deeds.offers(desk)
    ]
    return kit.page(
        request,
        "actions/offers.html",
        title=Sentence(words.VERBS[Act.START_CAMPAIGN]),
        trail=[_ACTIONS],
        rows=rows,
    )


def _facts(found: Target) -> list[tuple[Sentence, Cell]]:
    facts: list[tuple[Sentence, Cell]] = []
    if found.act is Act.CANCEL_CAMPAIGN:
        facts = [
            (say("Title"), found.title or None),
            (say("Campaign"), Ident(found.identity, f"/campaigns/{found.identity}", 8)),
            (say("State"), CAMPAIGNS[found.state]),
        ]
    elif found.act is Act.RETRY_UNIT:
        facts = [
            (say("Title"), found.title or None),
            (say("Work unit"), Ident(found.identity, f"/units/{found.identity}", 8)),
            (say("State"), UNITS[found.state]),
            (say("Why"), told(found.why, found.reason)),
            (say("Campaign"), Ident(found.campaign or "", f"/campaigns/{found.campaign}", 8)),
        ]
    else:
        facts = [
            (say("Worker"), Ident(found.identity, letters=8)),
            (say("Answers for it"), found.title or None),
            (say("State"), words.STATES[found.state]),
        ]
    return facts


def _offer_facts(found: Offer) -> list[tuple[Sentence, Cell]]:
    return [
        (say("Title"), found.title),
        (say("Algorithm"), f"{found.name} {found.version}"),
        (say("Bundle"), Ident(found.bundle)),
        (say("Authorised until"), found.not_after),
        (say("Campaigns left"), say("{left} of {most}", left=found.left, most=found.campaigns)),
        (say("Cost of a campaign (zCDP)"), Exact(found.rho)),
        (say("The same as epsilon, at delta 10⁻⁶"), found.epsilon),
        (say("Budget of all of them together (zCDP)"), Exact(found.rho_budget)),
        (say("Tables that it reads"), ", ".join(found.tables) or None),
    ]


def _shown(found: Deed) -> dict[str, Any]:
    facts: list[tuple[Sentence, Cell]] = [
        (say("What was done"), words.ACTS[found.act]),
        (say("To what"), subject(found)),
        (say("Reason"), found.reason or None),
        (say("By whom"), Ident(found.account)),
        (say("How"), Sentence(words.MEANS[found.means])),
        (say("When"), found.acted_at),
        (say("Action"), Ident(found.action)),
        (say("Signed document"), Ident(found.digest)),
        (say("In the log"), entry(found)),
        (say("Proof"), PROOFS[found.proven]),
    ]
    return {"found": found, "facts": facts}


def _beat(kit: Kit, language: Language, found: Deed) -> str:
    return kit.fragment("actions/beat.html", language, **_shown(found))
