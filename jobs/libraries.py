"""The libraries that a bundle may ask for, and the runtimes that they make.

A runtime is the sandbox with a fixed set of libraries: a worker has one image per runtime, and a
bundle runs in the smallest that holds what it needs. Free of pydantic: the agent and the scheduler
read this too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

# Import names.
LIBRARIES = ("numpy", "torch", "torch_geometric", "flwr")
BASE = LIBRARIES[0]
TORCH = "torch"
# Loaded and warm, torch and torch_geometric map 710 MiB before an algorithm's first array
# (measured, CPU build); the rest is for the model, its gradients and its optimiser.
TORCH_MEMORY_MIB = 1536
# Small before large: the first that holds what is needed is the one. flwr goes without torch too,
# so that an app in numpy alone runs on a desktop that has no room for torch.
RUNTIMES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "numpy": ("numpy",),
        "torch": ("numpy", "torch"),
        "torch_geometric": ("numpy", "torch", "torch_geometric"),
        "flwr": ("numpy", "flwr"),
        "flwr_torch": ("numpy", "torch", "flwr"),
    }
)


def runtime_of(libraries: Collection[str]) -> str:
    """The smallest runtime that holds those of `libraries` that a sandbox can hold.

    Empty where none holds them together: it has no image, so nothing runs in it.
    """
    wanted = set(libraries) & set(LIBRARIES)
    return next((name for name, held in RUNTIMES.items() if wanted <= set(held)), "")


def contents(runtime: str) -> tuple[str, ...]:
    """The libraries of a runtime; none of a name that is no runtime's."""
    return RUNTIMES.get(runtime, ())
