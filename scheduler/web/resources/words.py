"""This room's states and kinds in words: one status for each."""

from __future__ import annotations

from collections.abc import Mapping

from web.cells import Status, Tone
from web.sentences import Sentence, say

STANDINGS: Mapping[str, Status] = {
    one.code: one
    for one in (
        Status("submitted", say("not voted yet, as far as this scheduler knows"), Tone.WAIT),
        Status("early", say("voted, not in force yet"), Tone.WAIT),
        Status("authorised", say("authorised"), Tone.GOOD),
        Status("spent", say("all campaigns used"), Tone.OFF),
        Status("suspended", say("suspended"), Tone.BAD),
        Status("expired", say("over"), Tone.OFF),
    )
}
PROTECTIONS: Mapping[str, Sentence] = {
    "clear": say("noise on each worker"),
    "shared": say("shared between two aggregators"),
    "encrypted": say("encrypted"),
}
CLASSES: Mapping[str, Sentence] = {
    "personal": say("personal data"),
    "company": say("data of companies"),
    "public": say("public data"),
}
