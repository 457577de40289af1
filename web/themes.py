"""Light or dark: what the system prefers, unless somebody chose; the choice is a cookie."""

from __future__ import annotations

import enum

from starlette.requests import HTTPConnection

from web.sentences import Sentence, mark

COOKIE = "cadastre_theme"
PARAMETER = "theme"


class Theme(enum.StrEnum):
    """The schemes; `AUTO` follows the system."""

    AUTO = "auto"
    LIGHT = "light"
    DARK = "dark"

    @property
    def word(self) -> Sentence:
        """What it is called."""
        return Sentence(_WORDS[self.value])


_WORDS = {"auto": mark("Automatic"), "light": mark("Light"), "dark": mark("Dark")}


def parse(text: str) -> Theme | None:
    """The theme of that name, or None."""
    return Theme(text) if text in set(Theme) else None


def of(request: HTTPConnection) -> Theme:
    """The theme for `request`: query, then cookie, then the system's."""
    for chosen in (request.query_params.get(PARAMETER, ""), request.cookies.get(COOKIE, "")):
        if theme := parse(chosen):
            return theme
    return Theme.AUTO
