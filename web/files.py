"""The files that pages load: read at start, named by their hash, kept by browsers for ever.

Our own styles and scripts are each one file, made of the parts in `assets/css` and `assets/js` in
the order of their names. What others wrote lies in `assets/vendor` with a manifest of versions,
licences and hashes, and is refused when a byte differs.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable

from starlette.requests import Request
from starlette.responses import Response

from web.errors import AssetRefused, NoSuchPage
from web.sentences import say

PREFIX = "/assets/"
KINDS = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "png": "image/png",
    "ico": "image/x-icon",
}
_FOREVER = "public, max-age=31536000, immutable"
_HASH_LETTERS = 12
_WORTH_PACKING = 1024  # bytes


@dataclass(frozen=True)
class Asset:
    """One file; `name` is what templates call it, `path` where browsers fetch it."""

    name: str
    data: bytes

    @cached_property
    def path(self) -> str:
        """Its address, which changes whenever its bytes do."""
        stem, _, kind = self.name.rpartition(".")
        mark = hashlib.sha256(self.data).hexdigest()[:_HASH_LETTERS]
        return f"{PREFIX}{stem}.{mark}.{kind}"

    @cached_property
    def kind(self) -> str:
        """Its media type."""
        return KINDS[self.name.rpartition(".")[2]]

    @cached_property
    def packed(self) -> bytes | None:
        """The same in gzip, None where that is not worth it; undated, so the same each time."""
        if len(self.data) < _WORTH_PACKING or self.kind == "image/png":
            return None
        return gzip.compress(self.data, 9, mtime=0)


class Assets:
    """Every file by name and by path."""

    def __init__(self, found: Iterable[Asset]) -> None:
        self._named = {asset.name: asset for asset in found}
        self._placed = {asset.path: asset for asset in self._named.values()}

    def path(self, name: str) -> str:
        """Where a template's file lies. Raises KeyError for a name that no file has."""
        return self._named[name].path

    def __getitem__(self, name: str) -> Asset:
        return self._named[name]

    @cached_property
    def version(self) -> str:
        """Changes whenever any file does: an open page tells by it that it is out of date."""
        return hashlib.sha256("".join(sorted(self._placed)).encode()).hexdigest()[:_HASH_LETTERS]

    def answer(self, request: Request) -> Response:
        """The file at the request's path. Raises NoSuchPage."""
        asset = self._placed.get(request.url.path)
        if asset is None:
            raise NoSuchPage
        headers = {"Cache-Control": _FOREVER}
        data = asset.data
        if asset.packed is not None:
            headers["Vary"] = "Accept-Encoding"
            if "gzip" in request.headers.get("accept-encoding", ""):
                headers["Content-Encoding"] = "gzip"
                data = asset.packed
        return Response(data, headers=headers, media_type=asset.kind)


def load(package: str = "web", extra: Iterable[Asset] = ()) -> Assets:
    """The room's files and `extra` ones (a brand's). Raises AssetRefused."""
    folder = files(package) / "assets"
    return Assets(
        [
            Asset("kit.css", _joined(folder / "css", ".css")),
            Asset("kit.js", _joined(folder / "js", ".js")),
            *(Asset(one.name, one.read_bytes()) for one in _pictures(folder)),
            *vendored(folder / "vendor"),
            *extra,
        ]
    )


def of_room(package: str) -> list[Asset]:
    """The scripts and styles that a room of pages has for itself, below its `assets`."""
    folder = files(package) / "assets"
    if not folder.is_dir():
        return []
    own = sorted((one for one in folder.iterdir() if one.is_file()), key=lambda one: one.name)
    return [Asset(one.name, one.read_bytes()) for one in own if one.name.endswith((".css", ".js"))]


def vendored(folder: Traversable) -> list[Asset]:
    """What others wrote, as the manifest says. Raises AssetRefused for any other byte."""
    listed = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["files"]
    found = []
    for entry in listed:
        data = (folder / entry["file"]).read_bytes()
        if hashlib.sha256(data).hexdigest() != entry["sha256"]:
            raise AssetRefused(
                say("the file {name} is not the one of its manifest", name=entry["file"])
            )
        found.append(Asset(entry["file"], data))
    return found


def first_load(assets: Assets, names: Iterable[str]) -> int:
    """Bytes that a browser fetches for these files, packed."""
    return sum(len(assets[name].packed or assets[name].data) for name in names)


def _joined(folder: Traversable, suffix: str) -> bytes:
    parts = sorted(
        (one for one in folder.iterdir() if one.name.endswith(suffix)), key=lambda one: one.name
    )
    return b"\n".join(part.read_bytes() for part in parts)


def _pictures(folder: Traversable) -> list[Traversable]:
    found: Mapping[str, Traversable] = {
        one.name: one for one in folder.iterdir() if one.name.endswith((".svg", ".png", ".ico"))
    }
    return [found[name] for name in sorted(found)]
