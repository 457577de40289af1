"""Loading, and using once, every library that a child may need: after the fork no file opens.

Libraries import parts of themselves at first use; what is not exercised here fails in the child.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

from . import federated, learning

# The standard library of profile `min`: pure computation. Authors read this list in docs.
STANDARD = (
    "array", "base64", "binascii", "bisect", "calendar", "cmath", "collections", "collections.abc",
    "contextlib", "copy", "dataclasses", "datetime", "decimal", "enum", "fractions", "functools",
    "hashlib", "heapq", "io", "itertools", "json", "linecache", "math", "numbers", "operator",
    "random", "re", "statistics", "string", "struct", "textwrap", "time", "traceback", "types",
    "typing", "unicodedata", "warnings", "weakref", "zlib",
)  # fmt: skip
NUMPY_PARTS = (
    "numpy", "numpy.exceptions", "numpy.fft", "numpy.lib.stride_tricks", "numpy.linalg",
    "numpy.ma", "numpy.polynomial", "numpy.random", "numpy.strings", "numpy.typing",
)  # fmt: skip


def exercise_numpy() -> None:
    """Touch numpy's lazy corners: linear algebra, transforms, generators, printing, sorting."""
    for name in NUMPY_PARTS:
        importlib.import_module(name)
    import numpy as np  # noqa: PLC0415

    square = np.arange(16, dtype="<f8").reshape(4, 4) + np.eye(4)
    np.linalg.svd(square)
    np.linalg.solve(square, np.ones(4))
    np.linalg.eigh(square + square.T)
    np.fft.rfft(square)
    np.random.default_rng(0).normal(size=3)
    np.corrcoef(square)
    np.histogram(square, bins=3)
    np.histogramdd(square[:, :2], bins=2)
    np.unique(np.array([3, 1, 3]), return_counts=True)
    np.bincount(np.array([0, 2, 2]), minlength=4)
    np.percentile(square, 50)
    np.einsum("ij,jk->ik", square, square)
    np.linalg.norm(square)
    np.cov(square)
    np.polynomial.Polynomial.fit(np.arange(4.0), np.arange(4.0), 1)
    repr(square)
    with np.errstate(all="ignore"):
        np.log(np.zeros(1))
    frozen = np.frombuffer(b"\0" * 16, "<i8")
    np.asarray([1, 2]).astype("<i8", casting="safe")
    np.can_cast(frozen.dtype, "<f8", casting="safe")


EXERCISES: dict[str, Callable[[], Any]] = {
    "numpy": exercise_numpy,
    "torch": learning.exercise_torch,
    "torch_geometric": learning.exercise_torch_geometric,
    "flwr": federated.exercise_flwr,
}


def reset_draws(libraries: Sequence[str]) -> None:
    """Give shared generators one start value: whoever forgets a seed gets the same bits.

    Python's own seeds itself anew in each fork, so it gets its value there (harness.call).
    """
    if "numpy" in libraries:
        import numpy as np  # noqa: PLC0415

        np.random.seed(0)  # the shared generator
    if "torch" in libraries:
        import torch  # noqa: PLC0415

        torch.manual_seed(learning.START_SEED)


def load(libraries: Sequence[str], modules: Sequence[str] = ()) -> None:
    """Import the standard modules, each library (exercised where we know how), and `modules`."""
    for name in STANDARD:
        importlib.import_module(name)
    for name in libraries:
        importlib.import_module(name)
        exercise = EXERCISES.get(name)
        if exercise is not None:
            exercise()
    for name in modules:
        importlib.import_module(name)
    import traceback  # noqa: PLC0415

    try:
        raise ValueError("warm")  # noqa: TRY301
    except ValueError:
        traceback.format_exc()
    compile("x = 1", "bundle/warm.py", "exec", dont_inherit=True)
    reset_draws(libraries)
