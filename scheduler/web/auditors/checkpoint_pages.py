"""Checkpoints as they were published, and proofs that the log only grew between two of them."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from scheduler.service.desk import Desk
from scheduler.views import checkpoints
from scheduler.web import plainly
from scheduler.web.auditors.log_pages import API, LOG, attachment
from scheduler.web.auditors.tables import CHECKPOINTS, WHOLE, cosigners
from scheduler.web.tables import cut
from web.cells import Cell, Ident
from web.kit import Crumb, Kit
from web.listing import of
from web.listing.openapi import description
from web.sentences import Sentence, plural, say
from web.signin.access import anybody

_LIST = Crumb(say("Checkpoints"), "/log/checkpoints")


def checkpoint_pages(kit: Kit, desk: Desk) -> APIRouter:
    """The history of the log's heads."""
    router = APIRouter()

    @router.get("/log/checkpoints", dependencies=[anybody()], include_in_schema=False)
    @router.get(
        f"{API}/log-checkpoints", dependencies=[anybody()], openapi_extra=description(CHECKPOINTS)
    )
    def listed(request: Request) -> Response:
        state = kit.state(request, CHECKPOINTS)
        rows = checkpoints.published(desk, cut(state))
        largest = checkpoints.newest(desk)
        return kit.listing(
            request,
            "auditors/checkpoints.html",
            of(CHECKPOINTS, state, rows, say("No checkpoint was kept yet.")),
            trail=[LOG],
            old=largest[-1] if largest else "",
            new=largest[0] if largest else "",
        )

    @router.get("/log/checkpoints/{size}", dependencies=[anybody()], include_in_schema=False)
    def one(request: Request, size: str) -> Response:
        found = checkpoints.one(desk, size)
        largest = checkpoints.newest(desk, 1)[0]
        return kit.page(
            request,
            "auditors/checkpoint.html",
            title=plural("Checkpoint of {number} entry", "Checkpoint of {number} entries",
                         found.size),
            trail=[LOG, _LIST],
            data=lambda: plainly.answer(found),
            found=found,
            facts=_facts(found),
            name=f"checkpoint-{found.size}",
            largest=largest,
        )  # fmt: skip

    @router.get("/log/checkpoints/{size}/note", dependencies=[anybody()], include_in_schema=False)
    def note(size: str) -> Response:
        found = checkpoints.one(desk, size)
        return attachment(found.note.encode(), f"checkpoint-{found.size}.txt")

    @router.get("/log/consistency", dependencies=[anybody()], include_in_schema=False)
    def grown(request: Request, old: str, new: str) -> Response:
        found = checkpoints.growth(desk, old, new)
        return kit.page(
            request,
            "auditors/consistency.html",
            title=say("From {old} to {new} entries", old=found.old.size, new=found.new.size),
            trail=[LOG, _LIST],
            data=lambda: plainly.answer(found),
            found=found,
            checked=_checked(found),
            old_facts=_facts(found.old),
            new_facts=_facts(found.new),
            name=f"continuation-{found.old.size}-{found.new.size}.txt",
        )

    @router.get("/log/consistency/file", dependencies=[anybody()], include_in_schema=False)
    def file(old: str, new: str) -> Response:
        found = checkpoints.growth(desk, old, new)
        name = f"continuation-{found.old.size}-{found.new.size}.txt"
        return attachment(found.file.encode(), name)

    @router.get(
        f"{API}/log-consistency",
        dependencies=[anybody()],
        openapi_extra=plainly.description(checkpoints.Growth),
    )
    def as_json(old: str, new: str) -> Response:
        return plainly.answer(checkpoints.growth(desk, old, new))

    return router


def _facts(found: checkpoints.Published) -> list[tuple[Sentence, Cell]]:
    return [
        (say("Entries"), found.size),
        (say("Root of the tree"), Ident(found.root, letters=WHOLE)),
        (say("Published"), found.seen_at),
        (say("Cosigned by"), cosigners(found)),
    ]


def _checked(found: checkpoints.Growth) -> list[Sentence]:
    """What the proof showed, one sentence each."""
    same: Sentence = plural(
        "The first {number} entry is the same in both: nothing was changed, removed or put in "
        "between.",
        "The first {number} entries are the same in both: nothing was changed, removed or put in "
        "between.",
        found.old.size,
    )
    if not found.old.size:
        same = say("The earlier log was empty: whatever came later continues it.")
    return [
        say("The key of the log signed both checkpoints."),
        plural(
            "{number} hash leads from one root to the other.",
            "{number} hashes lead from one root to the other.",
            len(found.hashes),
        ),
        same,
        _cosigned(found.old),
        _cosigned(found.new),
    ]


def _cosigned(found: checkpoints.Published) -> Sentence:
    names = ", ".join(one.witness for one in found.cosigned)
    if not names:
        return say("No witness has cosigned the one of {size} entries.", size=found.size)
    return say("{names} cosigned the one of {size} entries.", names=names, size=found.size)
