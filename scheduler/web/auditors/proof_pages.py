"""Where anybody verifies a proof: in the browser itself, or by this server for who trusts it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from scheduler.service.desk import Desk
from scheduler.views import proofs
from scheduler.views.proofs import Judged
from scheduler.web import words
from scheduler.web.auditors.log_pages import LOG
from scheduler.web.auditors.tables import WHOLE
from trust.log.entry import Kind
from web import forms
from web.cells import Cell, Ident
from web.kit import Kit
from web.sentences import Foreign, Sentence, Value, mark, say
from web.signin.access import anybody

# Why a proof does not hold, by the codes of assets/tlog-proof.js.
REASONS: Mapping[str, str] = {
    "malformed": mark("This is no proof, or it was damaged: download it again."),
    "policy": mark("This is neither a log policy nor a signed root: compare it with its source."),
    "key": mark("It was signed by another log than the one that you trust."),
    "signature": mark("A signature does not hold: the checkpoint was altered."),
    "quorum": mark("Too few of the witnesses that you trust have cosigned it."),
    "document": mark("The document is missing: paste it too, or a receipt, which brings its own."),
    "inclusion": mark("It is no proof of this document at this place: one of them was altered."),
}


def proof_pages(kit: Kit, desk: Desk) -> APIRouter:
    """One page, with and without scripts."""
    router = APIRouter()

    @router.get("/log/verify", dependencies=[anybody(forms=True)], include_in_schema=False)
    def blank(request: Request) -> Response:
        return kit.page(request, "auditors/verify.html", **_model({}, desk), found=None, why="")

    @router.post("/log/verify", dependencies=[anybody(forms=True)], include_in_schema=False)
    async def judged(request: Request) -> Response:
        form = await forms.read(request)
        # As it was typed: forms send every line's end as two characters.
        given = {
            name: form.fields.get(name, "").replace("\r\n", "\n")
            for name in ("proof", "document", "trust")
        }
        found = await run_in_threadpool(proofs.judge, **given)
        return await run_in_threadpool(
            kit.page, request, "auditors/verify.html", **_model(given, desk), found=found,
            facts=[] if found.refused else _facts(found), why=_why(kit, found),
        )  # fmt: skip

    return router


def _why(kit: Kit, found: Judged) -> Value:
    if found.refused is None:
        return ""
    worded = kit.worded(found.refused) if kit.worded else None
    return worded.cause if worded else Foreign(found.refused.sentence)


def _facts(found: Judged) -> list[tuple[Sentence, Cell]]:
    return [
        (say("What it is"), words.entry_word(found.kind)),
        (say("Index"), found.index),
        (say("Log"), found.log),
        (say("Entries under the checkpoint"), found.size),
        (say("Cosigned by"), ", ".join(found.witnesses)),
        (say("Digest of the document"), Ident(found.document, letters=WHOLE)),
        (say("Digest of what you trust"), Ident(found.trust, letters=WHOLE)),
    ]


def _model(given: Mapping[str, str], desk: Desk) -> dict[str, Any]:
    reasons = {code: Sentence(text) for code, text in REASONS.items()}
    return {
        "title": say("Verify a proof"),
        "trail": [LOG],
        "given": {"proof": "", "document": "", "trust": desk.root.document.log_policy, **given},
        "kinds": " ".join(kind.value for kind in Kind),
        "reasons": reasons,
    }
