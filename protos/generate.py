"""Generates the protobuf and gRPC code when a package is built; the result is not committed.

Registered as setuptools' `build_py`. `python -m protos.generate` does the same in place.
The toolchain is pinned in pyproject.toml: code made by a newer one would demand a newer
protobuf runtime than the one that other packages of the grid allow.
"""

from __future__ import annotations

import sys
from pathlib import Path

from setuptools.command.build_py import build_py

_HERE = Path(__file__).resolve().parent


def generate(root: Path) -> None:
    """Run protoc over every `.proto` below `root`/protos, writing beside the sources."""
    from grpc_tools import protoc  # noqa: PLC0415 - present at build time only

    sources = sorted((root / "protos").rglob("*.proto"))
    include = Path(protoc.__file__).parent / "_proto"
    arguments = ["protoc", f"-I{root}", f"-I{include}"]
    arguments += [f"--{kind}_out={root}" for kind in ("python", "pyi", "grpc_python")]
    status = protoc.main([*arguments, *(str(source) for source in sources)])
    if status != 0:
        raise SystemExit(f"protoc ended with status {status} on {len(sources)} files")


class BuildPy(build_py):
    """`build_py` that generates the wire code first."""

    def run(self) -> None:
        generate(_HERE.parent)
        # setuptools listed the modules before they existed
        self.data_files = self._get_data_files()
        super().run()


if __name__ == "__main__":
    generate(_HERE.parent)
    sys.exit(0)
