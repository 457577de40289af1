"""What the pages refuse, in the reader's language: one table by code, one of exact sentences.

Refusals are written in English, where they are raised; a page shows them to people. A sentence of
the scheduler's own is told whole, with its names and figures. Of any other one (a bound that the
disk's library names, say) the code tells what it is, and its English words follow, marked as such.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from scheduler.web.details import fitting
from scheduler.web.refusal_texts import TEXTS
from scheduler.web.words import CAMPAIGNS
from trust.problem import Problem
from web.errors import Worded
from web.sentences import Foreign, Sentence, Value, mark, say

# By code: what it is, and what helps. The remedy is the class's own advice where it has one.
CODES: Mapping[str, tuple[str, str]] = {
    "unknown": (
        mark("nothing is known here under this name"),
        mark("look the name up in its list, and type more of it"),
    ),
    "ambiguous-prefix": (
        mark("the beginning of this name fits several"),
        mark("type more of the name, or all of it as its list shows it"),
    ),
    "input-refused": (
        mark("a value is malformed, too large or out of its bounds"),
        mark("correct the value that the sentence names and send the request again"),
    ),
    "conflict": (
        mark("the same name or key is already taken by other content"),
        mark("open the page again to see how things stand, and begin anew from there"),
    ),
    "not-authorised": (
        mark("no valid authorisation of the college covers this"),
        mark(
            "ask the college for an authorisation that covers it (`cadastre authorisation draft`)"
        ),
    ),
    "already-ended": (
        mark("the campaign is over: it can neither move nor be cancelled"),
        mark("start a new campaign with `cadastre campaign start`"),
    ),
    "action-refused": (
        mark("the rules or the state of things do not allow this now"),
        mark("look at the newest state: nothing was done, and nothing was logged"),
    ),
    "too-many-actions": (
        mark("more is done by hand in an hour than one person does"),
        mark("wait an hour; if it was not you, end your sessions and tokens on the account page"),
    ),
    "not-released": (
        mark("there is no release yet, or there will be none"),
        mark("the campaign's page says how far it is"),
    ),
    "archive-too-large": (
        mark("the evidence is more than one file of the pages may be"),
        mark("copy it file by file instead: cadastre audit fetch URL --out DIR"),
    ),
    "archive-busy": (
        mark("as many archives as allowed are being read already"),
        mark("ask again in a minute, or copy the evidence with `cadastre audit fetch`"),
    ),
    "not-logged": (
        mark("the entry waits for the log or for its witnesses"),
        mark("wait for the witnesses; the first page names who is missing"),
    ),
    "extra-missing": (
        mark("this scheduler has no library for this form of a download"),
        mark("take another form, or ask whoever runs it to add the library"),
    ),
    # The store and the disk.
    "store-failed": (
        mark("the database did not answer; nothing of it is stored"),
        mark("try again; if it lasts, tell whoever runs the scheduler"),
    ),
    "disk-full": (
        mark("the scheduler's disk is full"),
        mark("free some space there; nothing was lost or half written, work resumes"),
    ),
    "clock-behind": (
        mark("the scheduler's clock is behind the last moment that its database has seen"),
        mark("set the machine's clock right (timedatectl), then start again"),
    ),
    "schema-refused": (
        mark("the database is not one that this program may open"),
        mark("tell whoever runs the scheduler: a backup may have to be restored"),
    ),
    "storage-failed": (
        mark("the scheduler's disk refused"),
        mark("check the disk, and that this user may read and write the folder; then start again"),
    ),
    "blob-missing": (
        mark("the bytes that this rests on are not stored here any more"),
        mark("tell whoever runs the scheduler: they may come from a backup"),
    ),
    "blob-corrupted": (
        mark("the stored bytes are not any more what their digest says"),
        mark("tell whoever runs the scheduler: the disk has to be checked"),
    ),
    # Bundles, parameters and models.
    "parameters-refused": (
        mark("parameters are unknown, missing or out of their voted bounds"),
        mark("set every parameter inside the bounds that were voted"),
    ),
    "manifest-refused": (
        mark("the bundle's manifest says something wrong, or too little"),
        mark("tell the bundle's author"),
    ),
    "archive-refused": (
        mark("the bundle's bytes are not one canonical bundle"),
        mark("tell the bundle's author"),
    ),
    "bundle-unverified": (
        mark("the bundle's bytes, its manifest and its author's signature do not agree"),
        mark("use nothing of it; show it to an auditor"),
    ),
    "report-refused": (
        mark("the report does not have the layout that its bundle declares"),
        mark("tell the bundle's author"),
    ),
    "columns-malformed": (
        mark("the columns of a result cannot be read"),
        mark("show the release to an auditor"),
    ),
    "release-rule-refused": (
        mark("the voted rules do not go together"),
        mark("tell the college: it may have to vote again"),
    ),
    "no-model": (
        mark("this bundle carries no state from round to round: its release is a report alone"),
        mark("`cadastre model list` lists the models; `cadastre campaign report` prints a report"),
    ),
    "lineage-broken": (
        mark("a round of the model is not what the documents around it name"),
        mark(
            "do not use the model; show it to an auditor: `cadastre audit verify` finds where the "
            "records part"
        ),
    ),
    # Signed documents.
    "malformed": (
        mark("the bytes do not have the form that they should have"),
        mark("get it again from whoever made it, byte for byte"),
    ),
    "too-large": (
        mark("there are more bytes than the limit allows"),
        mark("make it smaller, or check that it is the file meant"),
    ),
    "key-refused": (mark("this is no key"), mark("write the whole key, ed25519:…")),
    "signature-invalid": (
        mark("a signature does not verify, or too few people signed"),
        mark("get it again from its signer; if it fails again, somebody altered it: do not use it"),
    ),
    "wrong-type": (
        mark("a signed document is of another kind than the one expected here"),
        mark("show it to an auditor"),
    ),
    "log-refused": (
        mark("a checkpoint, a tile or a proof does not verify under the log's policy"),
        mark(
            "fetch the log anew; if it fails again, rely on nothing in it and show both copies to "
            "an auditor"
        ),
    ),
}
_LIST = "  - "
_QUOTED = re.compile(r"""'([^']*)'|"([^"]*)\"""")


def worded(problem: Problem) -> Worded | None:
    """`problem` for a page: a hook of the kit. None for a code that pages do not know."""
    known = CODES.get(problem.code)
    if known is None:
        return None
    cause, remedy = known
    helps: Sentence = own(problem.remedy) or Sentence(remedy)
    return Worded(
        own(problem.sentence)
        or say("{cause}: {what}", cause=Sentence(cause), what=Foreign(problem.sentence)),
        # An exact remedy in words that nobody translated is worth more than none.
        say("{remedy} ({what})", remedy=helps, what=Foreign(problem.remedy))
        if _exact(problem) and own(problem.remedy) is None
        else helps,
    )


def _exact(problem: Problem) -> bool:
    return problem.remedy not in {"", problem.advice}


@lru_cache(maxsize=1024)
def own(text: str) -> Sentence | None:
    """A sentence that the pages themselves refuse with, or a remedy; None for any other."""
    return fitting(TEXTS, text, _value)


def _value(name: str, part: str) -> Value:
    if name == "state" and part in CAMPAIGNS:
        return CAMPAIGNS[part].word
    if name == "lines":
        return _listed([own(line) or Foreign(line) for line in part.split("\n" + _LIST)])
    if name == "what":
        return own(part) or Foreign(part)
    # What is quoted as Python does it: each language has its own marks.
    quoted = _QUOTED.fullmatch(part)
    return say("“{text}”", text=quoted[1] or quoted[2] or "") if quoted else part


def _listed(lines: Sequence[Value]) -> Value:
    """One after the other; nested by halves, since each level is told from within the one above."""
    if len(lines) == 1:
        return lines[0]
    half = len(lines) // 2
    return say("{first}; {second}", first=_listed(lines[:half]), second=_listed(lines[half:]))
