"""What a log entry says, in human words and facts; its document was written by one of ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from scheduler.views.ledger import EntryDetail
from scheduler.web import words
from scheduler.web.auditors.tables import WHOLE, public_campaign
from trust.clock import from_text
from trust.documents.actions import Act
from trust.log.entry import Kind
from web.cells import Cell, Ident, Link
from web.sentences import Sentence, Value, mark, plural, say

_TOLD: Mapping[str, str] = {
    Kind.ROOT: mark("The root of {territory}, version {version}: who may sign what from now on."),
    Kind.AUTHORISATION: mark("The college authorised “{title}” for {purpose}."),
    Kind.SUSPENSION: mark("The college stopped {authorisation}: {reason}"),
    Kind.PLAN: mark("Round {round} of {campaign} was planned, with its deadline on {deadline}."),
    Kind.ORDERS: mark("A commitment to {size} {kind} of {campaign}: their list is for auditors."),
    Kind.OPENING: mark(
        "Round {round} of {campaign} was opened: {partials} reports, "
        "{contributors_rounded} people or more."
    ),
    Kind.RELEASE: mark(
        "{campaign} was released: {contributors_rounded} contributions or more, each round "
        "counted, at the cost of {rho} zCDP."
    ),
    Kind.CONSENTS: mark("A commitment to {size} decisions of owners: nobody can be found in it."),
    Kind.ENROLMENT: mark("{worker} joined at {site}; {operator} answers for it."),
    Kind.KEY_EVENT: mark("{worker} was excluded for good."),
    Kind.HELPER_KEY: mark("The helper made its key for {campaign}."),
    Kind.KEY_DESTROYED: mark("The helper destroyed its key for {campaign}."),
    Kind.BATCH: mark(
        "The reports of round {round} of {campaign} were fixed before anybody opened them: "
        "{partials} of them."
    ),
    Kind.SHARE: mark("One half of the sum of round {round} of {campaign}, by the {side}."),
    Kind.REFUSAL: mark("{campaign} was refused ({code}): {sentence}"),
    Kind.TRUSTEE_KEY: mark("A trustee made a key."),
    Kind.EPOCH_KEY: mark("The keys of {campaign} were made; {threshold} trustees open with them."),
    Kind.SHARE_REQUEST: mark("The trustees were asked to open round {round} of {campaign}."),
    Kind.TRUSTEE_SHARE: mark("Trustee {place} gave a share for round {round} of {campaign}."),
    Kind.OPENED: mark("Keyholder and trustees opened round {round} of {campaign}."),
    Kind.EPOCH_RETIRED: mark("The keys of {campaign} were retired: {reason}"),
    Kind.ACTION: mark("An operator ({actor}) did this by hand: {act}"),
}
_DECIMAL = re.compile(r"[0-9]{1,20}(\.[0-9]{1,40})?")
_MOMENTS = ("_at", "_after", "_before", "deadline")
_DONE: Mapping[str, str] = {
    Act.START_CAMPAIGN: mark("An operator ({actor}) started {campaign}: {reason}"),
    Act.CANCEL_CAMPAIGN: mark("An operator ({actor}) cancelled {campaign}: {reason}"),
    Act.RETRY_UNIT: mark("An operator ({actor}) had {unit} of {campaign} tried again: {reason}"),
    Act.DRAIN_WORKER: mark(
        "An operator ({actor}) lets {worker} take nothing new; their reason is sealed."
    ),
    Act.RESUME_WORKER: mark(
        "An operator ({actor}) lets {worker} take work again; their reason is sealed."
    ),
    Act.EXCLUDE_WORKER: mark(
        "An operator ({actor}) excluded {worker} for good; their reason is sealed."
    ),
}
# Long lists and keys are in the document below; facts are what fits on a line.
_LONGEST = 100


def told(found: EntryDetail) -> Sentence:
    """The entry in one sentence."""
    if not found.payload:
        return say("The document is not here any more; its entry and proof still hold.")
    values: dict[str, Value] = {
        name: _plain(name, value)
        for name, value in found.payload.items()
        if isinstance(value, str | int)
    }
    if isinstance(rho := values.get("rho"), str) and _DECIMAL.fullmatch(rho):
        values["rho"] = Decimal(rho)
    if found.line.kind == Kind.ACTION:
        values["reason"] = values.get("reason") or "—"
        said = _DONE.get(str(found.payload.get("act")), _TOLD[Kind.ACTION])
        return Sentence(said, values)
    return Sentence(_TOLD[found.line.kind], values)


def facts(found: EntryDetail) -> list[tuple[Sentence | str, Cell]]:
    """The short fields of the document, as it names them."""
    return [
        (name, _cell(name, value))
        for name, value in found.payload.items()
        if isinstance(value, int | float) or (isinstance(value, str) and len(value) <= _LONGEST)
    ]


def place(found: EntryDetail) -> list[tuple[Sentence, Cell]]:
    """Where the entry stands, and what its bytes are."""
    return [
        (say("Its place"), found.line.index),
        (say("Its hash in the tree"), Ident(found.leaf, letters=WHOLE)),
        (say("Type of the document"), found.payload_type),
    ]


def signers(found: EntryDetail) -> list[list[Cell | Sentence]]:
    """Who signed: duty, key, and under which root the duty is theirs."""
    return [
        [
            Sentence(words.DUTIES.get(one.duty, one.duty)),
            Ident(one.key, letters=16),
            plural(
                "root {root}: {number} signature is needed",
                "root {root}: {number} signatures are needed",
                one.needed,
                root=str(one.root),
            ),
        ]
        for one in found.signers
    ]


def vote(found: EntryDetail) -> list[tuple[Sentence, Cell]]:
    """The college's decision behind an entry, with the ways to its parts."""
    held = found.vote
    if held is None:
        return []
    decided = "" if held.index is None else f"/log/{held.index}"
    rows: list[tuple[Sentence, Cell]] = [
        (say("Voted as"), Link(decided, held.title) if decided else held.title),
        (say("For"), held.purpose),
        (say("Authorisation"), Ident(held.authorisation, decided, 8)),
        (say("In force from"), held.not_before),
        (say("Until"), held.not_after),
        (say("Bundle"), Ident(held.bundle, f"/log?bundle={held.bundle}")),
        (say("Name and version"), f"{held.name} {held.version}"),
        (say("Author"), Ident(held.author, f"/log/authors/{held.author}", 16)),
        (say("Author's fingerprint"), Ident(held.fingerprint, letters=16)),
    ]
    if held.suspended_at is not None:
        rows.append((say("Stopped since"), held.suspended_at))
        rows.append((say("Why"), held.suspended_because))
    return rows


def _cell(name: str, value: Any) -> Cell:
    plain = _plain(name, value)
    if isinstance(plain, str):
        if plain.startswith("camp_"):
            return public_campaign(plain)
        if plain.startswith(("sha256:", "unit_", "wrk_", "auth_", "acct_", "deed_", "ed25519:")):
            return Ident(plain)
    return plain


def _plain(name: str, value: Any) -> str | int | float | datetime:
    if isinstance(value, str) and name.endswith(_MOMENTS):
        try:
            return from_text(value)
        except ValueError:
            return value
    return value if isinstance(value, str | int | float) else str(value)
