"""The authors' pages and their API: bundles, campaigns, releases. Reading only.

What is beyond somebody's reach is as unknown as what there is not: the same answer, 404.
"""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from scheduler.service import authorship
from scheduler.service.desk import Desk
from scheduler.views import dossiers, own_runs, releases, trained
from scheduler.views.reach import Reach
from scheduler.views.releases import Released
from scheduler.web import plainly, stages
from scheduler.web.authors import downloads, facts, plots, words
from scheduler.web.authors.plots import Places
from scheduler.web.authors.tables import BUNDLES, OWN_RUNS
from scheduler.web.tables import cut
from web.kit import VARY, Crumb, Kit
from web.listing import of
from web.listing.openapi import description
from web.sentences import say
from web.signin import visits
from web.signin.access import needs
from web.signin.roles import Role

API = "/api/v1"
SEES_ALL = frozenset({Role.OPERATOR, Role.AUDITOR, Role.VIEWER})
READERS = (Role.AUTHOR, *sorted(SEES_ALL))
# Nothing of it is an operator's own: what they see is everybody's, and called so.
_MINE, _RUNS = say("My bundles"), say("My campaigns")
_ALL, _ALL_RUNS = say("Bundles of all authors"), say("Campaigns of all authors")
_BYTES = "application/octet-stream"
_PARQUET = "application/vnd.apache.parquet"


def reach_of(desk: Desk, request: Request) -> Reach:
    """What whoever asks may see. Raises NotSignedIn."""
    person = visits.person(request)
    if person.roles & SEES_ALL:
        return Reach(everything=True)
    keys = desk.store.read("author-keys", lambda tx: authorship.keys_of(tx, person.subject))
    return Reach(keys)


def _all(request: Request) -> bool:
    return bool(visits.person(request).roles & SEES_ALL)


def _bundles_of(request: Request) -> Crumb:
    return Crumb(_ALL if _all(request) else _MINE, "/mine")


def _runs_of(request: Request) -> Crumb:
    return Crumb(_ALL_RUNS if _all(request) else _RUNS, "/runs")


def author_pages(kit: Kit, desk: Desk, places: Places = plots.NOWHERE) -> APIRouter:
    """The routes; `places` say where the labels of flows lie, for their map."""
    router = APIRouter(dependencies=[needs(*READERS)])
    _bundles(router, kit, desk)
    _runs(router, kit, desk)
    _rounds(router, kit, desk)
    _releases(router, kit, desk, places)
    _files(router, desk)
    return router


def _bundles(router: APIRouter, kit: Kit, desk: Desk) -> None:
    @router.get("/mine", include_in_schema=False)
    @router.get(f"{API}/mine", openapi_extra=description(BUNDLES))
    def listed(request: Request) -> Response:
        state, reach = kit.state(request, BUNDLES), reach_of(desk, request)
        rows = dossiers.dossiers(desk, cut(state), reach)
        why = say("No bundle was submitted here yet: `cadastre bundle submit` does it.")
        subject = visits.person(request).subject
        if not reach.everything and not reach.keys:
            why = say(
                "No author's key belongs to this account: ask an operator to tie yours to it."
            )
        return kit.listing(
            request,
            "authors/listing.html",
            of(BUNDLES, state, rows, why),
            title=_bundles_of(request).text,
            runs=_runs_of(request),
            keys=reach.keys,
            everything=reach.everything,
            subject=subject,
        )

    @router.get("/mine/{prefix}", include_in_schema=False)
    def one(request: Request, prefix: str) -> Response:
        found = dossiers.dossier(desk, prefix, reach_of(desk, request))
        line = found.dossier
        return kit.page(
            request,
            "authors/dossier.html",
            title=say("{name} {version}", name=line.name, version=line.version),
            trail=[_bundles_of(request)],
            data=lambda: plainly.answer(found),
            found=found,
            standing=words.STANDINGS[line.standing],
            blocked=words.blocked(line),
            foreseen=None if found.prospect is None else words.foreseen(found.prospect),
            facts=facts.of_dossier(found),
            images=facts.image_rows(found),
            runs=facts.run_rows(found.runs),
        )

    @router.get(f"{API}/mine/{{prefix}}", openapi_extra=plainly.description(dossiers.DossierDetail))
    def as_json(request: Request, prefix: str) -> Response:
        return plainly.answer(dossiers.dossier(desk, prefix, reach_of(desk, request)))


def _runs(router: APIRouter, kit: Kit, desk: Desk) -> None:
    @router.get("/runs", include_in_schema=False)
    @router.get(f"{API}/runs", openapi_extra=description(OWN_RUNS))
    def listed(request: Request) -> Response:
        state = kit.state(request, OWN_RUNS)
        rows = own_runs.own_runs(
            desk,
            cut(state),
            reach_of(desk, request),
            state=state.filters.get("state", ""),
            bundle=state.filters.get("bundle", ""),
        )
        why = say("An operator starts campaigns of bundles that the cooperative has authorised.")
        if state.filters:
            why = say("No campaign matches these filters.")
        return kit.listing(
            request,
            "authors/listing.html",
            of(OWN_RUNS, state, rows, why),
            title=_runs_of(request).text,
            trail=[_bundles_of(request)],
        )

    @router.get("/runs/{prefix}", include_in_schema=False)
    def one(request: Request, prefix: str) -> Response:
        found = own_runs.own_run(desk, prefix, reach_of(desk, request))
        told = [releases.Told(one.number, one.told) for one in reversed(found.stages) if one.told]
        return kit.page(
            request,
            "authors/run.html",
            title=found.run.title or found.run.campaign,
            trail=[_bundles_of(request), _runs_of(request)],
            data=lambda: plainly.answer(found),
            found=found,
            facts=facts.of_run(found),
            stages=facts.stage_rows(found),
            stage_headings=stages.headings(stages.OWN_ROUNDS),
            curves=plots.curves(told, kit.speech(kit.language(request))),
        )

    @router.get(f"{API}/runs/{{prefix}}", openapi_extra=plainly.description(own_runs.OwnRunDetail))
    def as_json(request: Request, prefix: str) -> Response:
        return plainly.answer(own_runs.own_run(desk, prefix, reach_of(desk, request)))


def _rounds(router: APIRouter, kit: Kit, desk: Desk) -> None:
    @router.get("/runs/{prefix}/rounds", include_in_schema=False)
    @router.get(f"{API}/runs/{{prefix}}/rounds", openapi_extra=description(stages.OWN_ROUNDS))
    def listed(request: Request, prefix: str) -> Response:
        state = kit.state(request, stages.OWN_ROUNDS)
        run, rows = own_runs.own_stages(desk, prefix, reach_of(desk, request), cut(state))
        table = stages.with_told(stages.OWN_ROUNDS, rows)
        return kit.listing(
            request,
            "authors/rounds.html",
            of(table, state, rows, say("The first round is not planned yet.")),
            trail=[
                _bundles_of(request),
                _runs_of(request),
                Crumb(run.title, f"/runs/{run.campaign}"),
            ],
        )


def _releases(router: APIRouter, kit: Kit, desk: Desk, places: Places) -> None:
    @router.get("/releases/{prefix}", include_in_schema=False)
    def one(request: Request, prefix: str) -> Response:
        found = releases.released(desk, prefix, reach_of(desk, request))
        language = kit.language(request)
        speech = kit.speech(language)
        source = found.provenance
        return kit.page(
            request,
            "authors/release.html",
            title=found.titles.get(language.value) or source.title or source.campaign,
            trail=[
                _bundles_of(request),
                _runs_of(request),
                Crumb(source.title, f"/runs/{source.campaign}"),
            ],
            data=lambda: _told(found),
            found=found,
            scalars=plots.scalars(found.arrays),
            shown=[
                plots.shown(array, speech, places)
                for array in found.arrays
                if plots.plot_of(array) is not plots.Plot.SCALAR
            ],
            curves=plots.curves(
                found.told, speech, {array.name: array.unit for array in found.arrays}
            ),
            facts=facts.of_release(source),
            name=_name(found),
            parquet=downloads.writes_parquet(),
        )

    @router.get(f"{API}/releases/{{prefix}}", openapi_extra=downloads.description())
    def as_json(request: Request, prefix: str) -> Response:
        return _told(releases.released(desk, prefix, reach_of(desk, request)))


def _files(router: APIRouter, desk: Desk) -> None:
    def found(request: Request, prefix: str) -> Released:
        return releases.released(desk, prefix, reach_of(desk, request))

    @router.get("/releases/{prefix}/csv", include_in_schema=False)
    @router.get(
        f"{API}/releases/{{prefix}}/csv",
        response_class=Response,
        openapi_extra=plainly.answered("text/csv", "Every cell of a release, its origin above it."),
    )
    def as_csv(request: Request, prefix: str) -> Response:
        one = found(request, prefix)
        return _file(downloads.as_csv(one), f"{_name(one)}.csv", "text/csv; charset=utf-8")

    @router.get("/releases/{prefix}/json", include_in_schema=False)
    def as_json(request: Request, prefix: str) -> Response:
        one = found(request, prefix)
        return _file(downloads.as_json(one), f"{_name(one)}.json", "application/json")

    @router.get("/releases/{prefix}/parquet", include_in_schema=False)
    @router.get(
        f"{API}/releases/{{prefix}}/parquet",
        response_class=Response,
        openapi_extra=plainly.answered(_PARQUET, "Every cell of a release, its origin with it."),
    )
    def as_parquet(request: Request, prefix: str) -> Response:
        one = found(request, prefix)
        return _file(downloads.as_parquet(one), f"{_name(one)}.parquet", _PARQUET)

    @router.get("/releases/{prefix}/report", include_in_schema=False)
    @router.get(
        f"{API}/releases/{{prefix}}/report",
        openapi_extra=plainly.answered(
            "application/json",
            "The report, byte for byte as the release names its digest.",
            {"type": "object"},
        ),
    )
    def report(request: Request, prefix: str) -> Response:
        one = found(request, prefix)
        return _file(one.raw, f"{_name(one)}-report.json", "application/json")

    @router.get("/releases/{prefix}/model", include_in_schema=False)
    @router.get(
        f"{API}/releases/{{prefix}}/model",
        response_class=Response,
        openapi_extra=plainly.answered(_BYTES, "The released model, as safetensors."),
    )
    def model(request: Request, prefix: str) -> Response:
        one = found(request, prefix)
        raw = trained.weights(desk, one.provenance.campaign)
        return _file(raw, f"{_name(one)}.safetensors", _BYTES)

    @router.get("/releases/{prefix}/card", include_in_schema=False)
    @router.get(
        f"{API}/releases/{{prefix}}/card",
        response_class=Response,
        openapi_extra=plainly.answered("text/markdown", "The card of the released model."),
    )
    def card(request: Request, prefix: str) -> Response:
        one = found(request, prefix)
        raw = trained.card(desk, one.provenance.campaign)
        return _file(raw, f"{_name(one)}-card.md", "text/markdown; charset=utf-8")


def _told(found: Released) -> Response:
    return Response(downloads.as_json(found), media_type="application/json", headers={"Vary": VARY})


def _name(found: Released) -> str:
    """A file's name, of characters that every system takes."""
    return f"release-{found.provenance.campaign.removeprefix('camp_')[:12]}"


def _file(raw: bytes, name: str, kind: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(raw, media_type=kind, headers=headers)
