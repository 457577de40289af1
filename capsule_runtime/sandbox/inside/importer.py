"""Imports in a child: the bundle's own modules from memory, and what was loaded before the fork.

It replaces every path-based finder: there is no file system to look at, and a clear
ModuleNotFoundError helps an author more than ENOSYS.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import BuiltinImporter, FrozenImporter, ModuleSpec
from types import CodeType, ModuleType


class BundleLoader(InspectLoader):
    """Compiles one of the bundle's sources.

    Built in the child only, so hostile text is compiled behind the filter.
    """

    def __init__(self, path: str, source: bytes, *, package: bool) -> None:
        self._path = path
        self._source = source
        self._package = package

    def is_package(self, fullname: str) -> bool:  # noqa: ARG002
        return self._package

    def get_source(self, fullname: str) -> str:  # noqa: ARG002
        return self._source.decode()

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002
        return compile(self._source, f"bundle/{self._path}", "exec", dont_inherit=True)


class BundleFinder(MetaPathFinder):
    """Finds modules among the bundle's sources; folders without __init__.py are packages too."""

    def __init__(self, sources: Mapping[str, bytes]) -> None:
        self._sources = dict(sources)
        for path in sources:
            parts = path.split("/")[:-1]
            for depth in range(1, len(parts) + 1):
                self._sources.setdefault("/".join(parts[:depth]) + "/__init__.py", b"")

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec:
        """The module's spec. Raises ModuleNotFoundError, being the last finder asked."""
        stem = fullname.replace(".", "/")
        for name, package in ((f"{stem}/__init__.py", True), (f"{stem}.py", False)):
            if name in self._sources:
                loader = BundleLoader(name, self._sources[name], package=package)
                return ModuleSpec(fullname, loader, origin=f"bundle/{name}", is_package=package)
        raise ModuleNotFoundError(
            f"{fullname!r} is neither in the bundle nor loaded in the sandbox beforehand",
            name=fullname,
        )


def install(sources: Mapping[str, bytes]) -> None:
    """Make the bundle's sources importable in this process, and nothing on disk."""
    sys.meta_path[:] = [BuiltinImporter, FrozenImporter, BundleFinder(sources)]
