"""Translations: the `.po` files of every room, read at start and kept in memory."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from babel.messages.catalog import Catalog
from babel.messages.pofile import PoFileError, read_po

from web.errors import CatalogueRefused
from web.languages import Language
from web.sentences import say

FOLDER = "locale"


@dataclass(frozen=True)
class Message:
    """A translation: one form, or two where it depends on a count."""

    one: str
    many: str = ""


Messages = Mapping[str, Message]


class Catalogues:
    """Every message of every room in every language."""

    def __init__(self, messages: Mapping[Language, Messages]) -> None:
        self._messages = messages

    def find(self, language: Language, message: str) -> Message | None:
        """The translation, or None where there is none (a test keeps that from happening)."""
        return self._messages[language].get(message)


def source(package: str, language: Language) -> Traversable:
    """Where the room's catalogue lies."""
    return files(package) / FOLDER / f"{language}.po"


def read(package: str, language: Language) -> Catalog:
    """One catalogue as Babel reads it. Raises CatalogueRefused."""
    place = source(package, language)
    try:
        return read_po(io.BytesIO(place.read_bytes()), locale=language.value, abort_invalid=True)
    except (OSError, PoFileError, ValueError) as error:
        raise CatalogueRefused(
            say(
                "the {language} catalogue of {room} cannot be read: {cause}",
                language=language.own_name,
                room=package,
                cause=str(error),
            )
        ) from error


def load(packages: Sequence[str]) -> Catalogues:
    """The catalogues of `packages`, one on the other.

    Raises CatalogueRefused where two rooms translate one message differently: what a word means
    must not depend on the order of the rooms.
    """
    return Catalogues({language: _merged(packages, language) for language in Language})


def _merged(packages: Sequence[str], language: Language) -> Messages:
    found: dict[str, Message] = {}
    for package in packages:
        for key, message in forms(read(package, language)).items():
            if found.setdefault(key, message) != message:
                raise CatalogueRefused(
                    say("{room} translates “{message}” in its own way", room=package, message=key)
                )
    return found


def forms(catalogue: Catalog) -> dict[str, Message]:
    """The usable messages: translated, and not doubtful ("fuzzy")."""
    found = {}
    for entry in catalogue:
        if not entry.id or entry.fuzzy:
            continue
        ids, strings = _both(entry.id), _both(entry.string)
        if all(strings) and len(strings) == len(ids):
            found[ids[0]] = Message(*strings)
    return found


def _both(text: str | list[str] | tuple[str, ...] | None) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else tuple(text or ("",))
