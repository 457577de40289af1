"""Which messages a room says, and whether both catalogues have them all.

`python -m web.extraction PACKAGE...` writes new messages into the room's catalogues and drops those
that nobody says any more. English, which is the key, translates itself; French is left empty, and
the room's test (an empty list of `complaints`) fails until somebody has written it.
"""

from __future__ import annotations

import ast
import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_python
from babel.messages.pofile import write_po
from jinja2.ext import babel_extract

from web import catalogues
from web.languages import Language
from web.sentences import PLACEHOLDER

_IN_CODE = {"say": None, "plural": (1, 2), "mark": None}
_IN_TEMPLATES = ("_", "ngettext")
_PLURALS = {
    Language.FR: "nplurals=2; plural=(n > 1);",
    Language.EN: "nplurals=2; plural=(n != 1);",
}
_WIDTH = 100


@dataclass(frozen=True)
class Found:
    """A message and where it is said."""

    ids: tuple[str, ...]  # one, or one and many
    place: str


def messages(package: str) -> dict[str, Found]:
    """Every message of the room's code and templates, by its key."""
    found: dict[str, Found] = {}
    for one in _walk(Path(str(files(package)))):
        known = found.setdefault(one.ids[0], one)
        if len(one.ids) > len(known.ids):
            found[one.ids[0]] = one
    return found


def complaints(package: str) -> list[str]:
    """What is wrong with the room's words, one line each."""
    said = [
        f"{package}: {place}: the message is no literal: use mark() and Sentence()"
        for place in _unreadable(Path(str(files(package))))
    ]
    wanted = messages(package)
    for language in Language:
        catalogue = catalogues.read(package, language)
        have = {_ids(entry.id)[0]: entry for entry in catalogue if entry.id}
        where = f"{package}, {language}"
        said += [
            f"{where}: “{key}” is missing ({wanted[key].place})"
            for key in wanted
            if key not in have
        ]
        said += [f"{where}: “{key}” is said nowhere" for key in have if key not in wanted]
        said += [f"{where}: “{_ids(key)[0]}” is obsolete" for key in catalogue.obsolete]
        for key, entry in have.items():
            if key in wanted:
                strings = _ids(entry.string)
                said += [
                    f"{where}: “{key}”: {wrong}"
                    for wrong in _wrong(wanted[key].ids, strings, fuzzy=entry.fuzzy)
                ]
    return said


def update(package: str) -> None:
    """Write both catalogues anew, keeping what was translated."""
    wanted = messages(package)
    for language in Language:
        place = Path(str(catalogues.source(package, language)))
        old = catalogues.read(package, language) if place.exists() else Catalog()
        kept = {_ids(entry.id)[0]: _ids(entry.string) for entry in old if entry.id}
        new = Catalog()
        for key in sorted(wanted):
            ids = wanted[key].ids
            strings = kept.get(key, ())
            if len(strings) != len(ids) or not all(strings):
                strings = ids if language is Language.EN else ("",) * len(ids)
            new.add(ids if len(ids) > 1 else key, strings if len(ids) > 1 else strings[0])
        out = io.BytesIO()
        write_po(out, new, width=_WIDTH, no_location=True, omit_header=True, sort_output=True)
        head = (
            'msgid ""\nmsgstr ""\n"Language: ' + language.value + '\\n"\n'
            '"Content-Type: text/plain; charset=utf-8\\n"\n'
            '"Plural-Forms: ' + _PLURALS[language] + '\\n"\n\n'
        )
        place.parent.mkdir(exist_ok=True)
        place.write_text(head + out.getvalue().decode().rstrip() + "\n", encoding="utf-8")


def _modules(folder: Path) -> list[Path]:
    """The room's own modules: a room inside it has its own catalogues, and its own words."""
    inner = {place.parent for place in folder.rglob("locale") if place.parent != folder}
    return [path for path in sorted(folder.rglob("*.py")) if inner.isdisjoint(path.parents)]


def _walk(folder: Path) -> Iterator[Found]:
    for path in _modules(folder):
        with path.open("rb") as source:
            said = list(extract_python(source, _IN_CODE, (), {"encoding": "utf-8"}))
        for line, name, texts, _ in said:
            if ids := _literal(name, texts):
                yield Found(ids, f"{path.relative_to(folder)}:{line}")
    for path in sorted((folder / "templates").rglob("*.html")):
        with path.open("rb") as source:
            found = list(babel_extract(source, _IN_TEMPLATES, (), {}))
        for line, name, written, _ in found:
            if ids := _literal(name, written):
                yield Found(ids, f"{path.relative_to(folder)}:{line}")


def _literal(name: object, texts: object) -> tuple[str, ...]:
    """The ids of one call; empty for a definition or a call without a literal."""
    given = list(texts) if isinstance(texts, list | tuple) else [texts]
    wanted = given[: 2 if name in {"plural", "ngettext"} else 1]
    return tuple(text for text in wanted if isinstance(text, str) and text)


def _unreadable(folder: Path) -> Iterator[str]:
    """Calls of `say` and `plural` whose message cannot be found by reading."""
    for path in _modules(folder):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in {"say", "plural"}
            ):
                needed = node.args[: 2 if node.func.id == "plural" else 1]
                if not needed or not all(
                    isinstance(one, ast.Constant) and isinstance(one.value, str) for one in needed
                ):
                    yield f"{path.relative_to(folder)}:{node.lineno}"


def _wrong(ids: tuple[str, ...], strings: tuple[str, ...], *, fuzzy: bool) -> Iterator[str]:
    if fuzzy:
        yield "is marked as doubtful"
    if len(strings) != len(ids):
        yield f"has {len(strings)} forms, not {len(ids)}"
        return
    for one, string in zip(ids, strings, strict=True):
        if not string:
            yield "is not translated"
        elif set(PLACEHOLDER.findall(one)) != set(PLACEHOLDER.findall(string)):
            yield f"has other placeholders in “{string}”"
        elif (
            one[:1].isspace() != string[:1].isspace() or one[-1:].isspace() != string[-1:].isspace()
        ):
            yield "begins or ends with other spaces"


def _ids(text: object) -> tuple[str, ...]:
    if isinstance(text, str):
        return (text,)
    return tuple(text) if isinstance(text, tuple | list) else ("",)


if __name__ == "__main__":
    for room in sys.argv[1:] or ["web"]:
        update(room)
        sys.stdout.write("".join(f"{line}\n" for line in complaints(room)))
