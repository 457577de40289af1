"""The signed log for everybody: what it holds, in words and in bytes, with what proves it."""

from __future__ import annotations

import json

from fastapi import APIRouter, Request, Response

from scheduler.errors import NotLogged
from scheduler.service.desk import Desk
from scheduler.views import ledger
from scheduler.web import plainly, words
from scheduler.web.auditors import hexadecimal, telling
from scheduler.web.auditors.tables import LINES, WHOLE
from scheduler.web.tables import cut
from trust.log.proof import MEDIA_SUFFIX
from web.cells import Ident
from web.kit import Crumb, Kit
from web.listing import of
from web.listing.openapi import description
from web.sentences import say
from web.signin.access import anybody

API = "/api/v1"
_PROOF = "text/plain; charset=utf-8"  # a .tlog-proof is lines of text
LOG = Crumb(say("Log"), "/log")


def log_pages(kit: Kit, desk: Desk) -> APIRouter:
    """All of it is public: the log and every document in it are served without a sign-in."""
    router = APIRouter()

    @router.get("/log", dependencies=[anybody()], include_in_schema=False)
    @router.get(f"{API}/log", dependencies=[anybody()], openapi_extra=description(LINES))
    def listed(request: Request) -> Response:
        state = kit.state(request, LINES)
        rows = ledger.lines(
            desk,
            cut(state),
            kind=state.filters.get("kind", ""),
            campaign=state.filters.get("campaign", ""),
            digest=state.filters.get("digest", ""),
            bundle=state.filters.get("bundle", ""),
        )
        head = ledger.head(desk)
        why = say("The log has no entry yet.")
        if state.filters:
            why = say("No entry matches these filters.")
        return kit.listing(
            request,
            "auditors/log.html",
            of(LINES, state, rows, why),
            title=say("Log"),
            head=head,
            head_facts=[
                (say("Log"), f"{desk.territory}/log"),
                (say("Root of the tree"), Ident(head.root, letters=WHOLE)),
                (say("Cosigned by"), ", ".join(head.cosigners)),
            ],
            campaign=state.filters.get("campaign", ""),
        )

    @router.get("/log/checkpoint", dependencies=[anybody()], include_in_schema=False)
    def checkpoint() -> Response:
        return Response(ledger.head(desk).note, media_type=_PROOF)

    @router.get("/log/{index}", dependencies=[anybody()], include_in_schema=False)
    def one(request: Request, index: str) -> Response:
        found = ledger.entry(desk, index)
        return kit.page(
            request,
            "auditors/entry.html",
            title=say("Entry {index}: {what}", index=str(found.line.index),
                      what=words.entry_word(found.line.kind)),
            trail=[LOG],
            data=lambda: plainly.answer(found),
            found=found,
            told=telling.told(found),
            facts=telling.facts(found),
            place=telling.place(found),
            signers=telling.signers(found),
            vote=telling.vote(found),
            entry_bytes=hexadecimal.dump(found.raw.encode()),
            envelope_bytes=hexadecimal.dump(found.envelope.encode()),
            shown=hexadecimal.MOST,
            proof_state=words.PROOFS[found.line.proven],
            document=json.dumps(found.payload, indent=2, ensure_ascii=False),
            name=_name(found.line.index),
            receipt=_receipt(found.line.index) if ledger.receipt(found) else "",
        )  # fmt: skip

    @router.get(
        f"{API}/log/{{index}}",
        dependencies=[anybody()],
        openapi_extra=plainly.description(ledger.EntryDetail),
    )
    def as_json(index: str) -> Response:
        return plainly.answer(ledger.entry(desk, index))

    _files(router, desk)
    return router


def _files(router: APIRouter, desk: Desk) -> None:
    """What one takes away of an entry."""

    @router.get("/log/{index}/proof", dependencies=[anybody()], include_in_schema=False)
    def proof(index: str) -> Response:
        found = ledger.entry(desk, index)
        if found.proof is None:
            raise NotLogged(
                f"entry {found.line.index} is not yet cosigned by enough witnesses",
                remedy="wait for the witnesses; the first page names who is missing",
            )
        return attachment(found.proof.encode(), f"{_name(found.line.index)}.tlog-proof")

    @router.get("/log/{index}/receipt", dependencies=[anybody()], include_in_schema=False)
    def receipt(index: str) -> Response:
        found = ledger.entry(desk, index)
        made = ledger.receipt(found)
        if made is None:
            raise NotLogged(
                f"entry {found.line.index} has no proof yet that could carry its document",
                remedy="take the proof and the signed document one by one from the entry's page",
            )
        return attachment(made, _receipt(found.line.index))

    @router.get("/log/{index}/document", dependencies=[anybody()], include_in_schema=False)
    def document(index: str) -> Response:
        found = ledger.entry(desk, index)
        return attachment(found.envelope.encode(), f"{_name(found.line.index)}.json")

    @router.get("/log/{index}/entry", dependencies=[anybody()], include_in_schema=False)
    def line(index: str) -> Response:
        found = ledger.entry(desk, index)
        return attachment(found.raw.encode(), f"{_name(found.line.index)}.txt")


def _name(index: int) -> str:
    return f"entry-{index}"


def _receipt(index: int) -> str:
    return f"receipt-{index}{MEDIA_SUFFIX}"


def attachment(data: bytes, name: str) -> Response:
    """A file to keep, under its name."""
    return Response(
        data,
        media_type="application/json" if name.endswith(".json") else _PROOF,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
