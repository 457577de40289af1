"""The groups that can be asked for, and what measures each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks import (
    ckks,
    dashboard,
    deployment,
    escapes,
    figures,
    flower,
    log,
    ordinary,
    owners,
    rounds,
    shared,
    worker,
)
from benchmarks.errors import UnknownGroup
from benchmarks.figures import Figure
from capsule_runtime.sandbox.libraries import complete


def _capsule(*, quick: bool) -> list[Figure]:
    with ordinary.process("benchmarks.capsule", ["quick" if quick else "full"]) as child:
        assert child.stdout is not None
        line = child.stdout.read()
        return figures.load(line) if line else []


def _sandbox(*, quick: bool) -> list[Figure]:
    del quick  # every behaviour, or it is no count
    return escapes.count()


GROUPS: dict[str, Callable[..., list[Figure]]] = {
    "capsule": _capsule,
    "log": log.append,
    "audit": log.audit,
    "worker": worker.measure,
    "sandbox": _sandbox,
    "shared": shared.measure,
    "ckks": ckks.measure,
    "flower": flower.measure,
    "round": rounds.measure_rounds,
    "tasks": rounds.measure_tasks,
    "dashboard": dashboard.measure,
}

# Why a group has no figure on this machine.
ABSENT = {
    "sandbox": "the tests are not installed",
    "ckks": "TenSEAL is not installed (the extra `encrypted`)",
    "flower": "flwr is not installed (the extra `flower`)",
}

LEARNING_FIGURES = {"capsule": "capsule.warm_torch_ms", "worker": "worker.idle_torch_mib"}


def left_out(name: str) -> str | None:
    """The sentence about what a group measures only with something installed; None with it."""
    if name in {"round", "tasks"} and deployment.find() is None:
        return (
            "no ratio to Flower: make its environment with `.ci/flower`, or name its folder of "
            "programs in CADASTRE_FLOWER"
        )
    if name not in LEARNING_FIGURES or all(map(complete, owners.LEARNING)):
        return None
    return f"{LEARNING_FIGURES[name]} is left out: torch is not installed (the extra `learning`)"


def chosen(names: Sequence[str]) -> list[str]:
    """The groups asked for in the table's order, all of them for none. Raises UnknownGroup."""
    unknown = sorted(set(names) - set(GROUPS))
    if unknown:
        raise UnknownGroup(
            f"there is no group {unknown[0]!r}", remedy=f"choose from: {', '.join(GROUPS)}"
        )
    return [name for name in GROUPS if not names or name in names]
