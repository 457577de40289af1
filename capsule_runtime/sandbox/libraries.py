"""Which installed distributions the sandbox sees for a library, and where they lie.

Only what is named here is bound. A library finds some of its own requirements by chance (a
progress bar, a faster parser), so what it declares and what it loads differ; were everything bound
that happens to be installed, two workers with one version of a library would have two images. The
table has what a fully exercised library loads and cannot do without; a test compares it with a
real sandbox.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from capsule_runtime.errors import LibraryMissing

# Import name -> distributions, its own first. Measured with torch 2.13, torch_geometric 2.8 and
# flwr 1.40 and 1.41.
# torch: its optimisers load symbolic shapes (sympy). torch_geometric: its data modules load what
# they would download with, which in a sandbox without a network is only code.
DISTRIBUTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "numpy": ("numpy",),
        "torch": ("torch", "typing-extensions", "sympy", "mpmath"),
        "torch_geometric": (
            *("torch-geometric", "xxhash", "tqdm", "fsspec", "psutil", "jinja2", "markupsafe"),
            *("requests", "urllib3", "idna", "certifi", "charset-normalizer"),
        ),
        "flwr": (
            *("flwr", "grpcio", "grpcio-health-checking", "protobuf", "cryptography", "cffi"),
            *("pycryptodome", "httpx", "idna", "typer", "click", "shellingham", "rich"),
            *("pygments", "iterators", "typing-extensions"),
        ),
    }
)
EXTRAS = MappingProxyType(
    {
        "numpy": "capsule",
        "torch": "learning",
        "torch_geometric": "learning",
        "flwr": "flower",
    }
)


def library_paths(name: str) -> tuple[Path, ...]:
    """The top-level folders and files that library `name` needs, without their metadata.

    They are found through the running environment's records. Raises LibraryMissing.
    """
    found: list[Path] = []
    for distribution in DISTRIBUTIONS.get(name, (name,)):
        paths = _distribution_paths(distribution)
        if not paths:
            what = "" if distribution == name else f" (its distribution {distribution} is missing)"
            raise LibraryMissing(
                f"The bundle needs the library {name!r}, which is not installed here{what}.",
                remedy="Install it beside Cadastre (pip install "
                f"'cadastre[{EXTRAS.get(name, 'capsule')}]'), or choose a worker that has it.",
            )
        found += paths
    return tuple(found)


def complete(name: str) -> bool:
    """Whether library `name` and all that it needs is installed here."""
    try:
        library_paths(name)
    except LibraryMissing:
        return False
    return True


def _distribution_paths(name: str) -> list[Path]:
    try:
        distribution = importlib.metadata.distribution(name)
        files = distribution.files
    except importlib.metadata.PackageNotFoundError:
        files = None
    tops = {
        file.parts[0]
        for file in files or ()
        if file.parts[0] not in {"..", "__pycache__"} and not file.parts[0].endswith(".dist-info")
    }
    return [Path(str(distribution.locate_file(top))).resolve() for top in sorted(tops)]
