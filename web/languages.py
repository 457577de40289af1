"""In which language somebody is answered: their own choice, else what their browser asks for.

The choice is a cookie that `?lang=en` on any page sets. French is the default.
"""

from __future__ import annotations

import enum

from starlette.requests import HTTPConnection

COOKIE = "cadastre_lang"
PARAMETER = "lang"
_LONGEST_HEADER = 200  # letters of Accept-Language that are looked at


class Language(enum.StrEnum):
    """The languages that every sentence exists in."""

    FR = "fr"
    EN = "en"

    @property
    def own_name(self) -> str:
        """What the language calls itself; a switch shows this."""
        return {"fr": "Français", "en": "English"}[self.value]


DEFAULT = Language.FR


def parse(text: str) -> Language | None:
    """The language of that two-letter code, or None."""
    return Language(text) if text in set(Language) else None


def of(request: HTTPConnection) -> Language:
    """The language for `request`: query, then cookie, then Accept-Language, then French."""
    for chosen in (request.query_params.get(PARAMETER, ""), request.cookies.get(COOKIE, "")):
        if language := parse(chosen):
            return language
    return preferred(request.headers.get("accept-language", ""))


def preferred(header: str) -> Language:
    """The best of an Accept-Language header; what cannot be read counts as not said."""
    best, best_weight = DEFAULT, 0.0
    for part in header[:_LONGEST_HEADER].split(","):
        tag, _, quality = part.strip().partition(";q=")
        language = parse(tag.strip().lower().partition("-")[0])
        weight = _weight(quality)
        if language and weight > best_weight:
            best, best_weight = language, weight
    return best


def _weight(quality: str) -> float:
    try:
        weight = float(quality or "1")
    except ValueError:
        return 0.0
    return weight if 0.0 <= weight <= 1.0 else 0.0  # also drops NaN
