"""A Flower app as its author wrote it: pyproject.toml, run configuration and Python sources."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobs.errors import BundleMissing
from jobs.flower.errors import FlowerAppRefused

PROJECT = "pyproject.toml"
_READ_HERE = frozenset({PROJECT, "cadastre.toml"})
_IGNORED = frozenset({"__pycache__", "build", "dist", "tests"})
_SHIPPED = re.compile(r"(?:[A-Za-z_]\w{0,63}/){0,4}[A-Za-z_]\w{0,63}\.(py|md|txt)", re.ASCII)
_REFERENCE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", re.ASCII)
_VERSION = re.compile(r"\d{1,6}\.\d{1,6}\.\d{1,6}")
MAXIMUM_FILE_BYTES = 1 << 20
LETTERS = 400


@dataclass(frozen=True)
class FlowerApp:
    """What a folder with [tool.flwr.app] says; `left_out` names files that no bundle holds."""

    name: str
    version: str
    title: str
    licence: str
    authors: tuple[str, ...]
    server: str
    client: str
    config: Mapping[str, str | int | float | bool]
    files: Mapping[str, bytes] = field(repr=False)
    left_out: tuple[str, ...]

    @property
    def sources(self) -> dict[str, bytes]:
        """The Python sources by path."""
        return {path: text for path, text in self.files.items() if path.endswith(".py")}


def read(folder: Path) -> FlowerApp:
    """The app in `folder`. Raises BundleMissing, FlowerAppRefused."""
    try:
        text = (folder / PROJECT).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BundleMissing(
            f"{folder} holds no readable {PROJECT}",
            remedy="name the folder of a Flower app: the one that `flwr run` takes",
        ) from error
    try:
        plain = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FlowerAppRefused("project-unreadable", f"{PROJECT}: {error}") from error
    project, app = _table(plain, "project"), _table(plain, "tool", "flwr", "app")
    components = _table(app, "components")
    files, left_out = _files(folder)
    return FlowerApp(
        name=_identifier(str(project.get("name", folder.resolve().name))),
        version=found if _VERSION.fullmatch(found := str(project.get("version", ""))) else "0.1.0",
        title=_line(project.get("description") or project.get("name") or folder.name),
        licence=_licence(project.get("license")),
        authors=(_line(app.get("publisher") or "unknown publisher"),),
        server=_reference(components, "serverapp"),
        client=_reference(components, "clientapp"),
        config=flattened(_table(app, "config")),
        files=files,
        left_out=left_out,
    )


def flattened(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as Flower's run configuration has them: one level, names joined by dots."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flattened(value, f"{prefix}{key}.")
        elif isinstance(value, str | int | float):
            flat[prefix + key] = value
        else:
            raise FlowerAppRefused(
                "config-unfit", f"the run configuration {prefix}{key} is no text, number or bool"
            )
    return flat


def _table(plain: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    for name in names:
        found = plain.get(name, {})
        plain = found if isinstance(found, Mapping) else {}
    return plain


def _reference(components: Mapping[str, Any], name: str) -> str:
    found = components.get(name)
    if not isinstance(found, str) or not _REFERENCE.fullmatch(found):
        raise FlowerAppRefused(
            "project-unreadable",
            f"{PROJECT} names no {name} under [tool.flwr.app.components]",
            remedy=f'write {name} = "package.module:app"',
        )
    return found


def _files(folder: Path) -> tuple[dict[str, bytes], tuple[str, ...]]:
    files: dict[str, bytes] = {}
    left_out: list[str] = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        parts = name.split("/")
        if path.is_dir() or _IGNORED & set(parts) or any(part.startswith(".") for part in parts):
            continue
        if "mock" in parts and path.suffix == ".py":
            raise FlowerAppRefused(
                "source-unfit", f"{name}: a folder `mock` is not shipped; give it another name"
            )
        if not _SHIPPED.fullmatch(name) or path.is_symlink():
            if path.suffix == ".py":
                raise FlowerAppRefused(
                    "source-unfit", f"{name} cannot be imported by name, or is a link"
                )
            left_out += [name] if name not in _READ_HERE else []
            continue
        if path.stat().st_size > MAXIMUM_FILE_BYTES:
            raise FlowerAppRefused("source-unfit", f"{name} is over {MAXIMUM_FILE_BYTES} bytes")
        files[name] = path.read_bytes()
    return files, tuple(left_out)


def _identifier(name: str) -> str:
    found = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:63]
    return found if found[:1].isalpha() else f"app_{found}"[:63]


def _line(value: object) -> str:
    text = "".join(letter if letter.isprintable() else " " for letter in str(value)).strip()
    return text[:LETTERS] or "untitled"


def _licence(value: object) -> str:
    return _line(value.get("text", "unknown") if isinstance(value, Mapping) else value or "unknown")
