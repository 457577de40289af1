"""The broker as a program: what it needs to be installed, and how it is started.

It gets no key of ours, no environment and no descriptor but its end of the channel.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys
from pathlib import Path

import capsule_runtime
from capsule_runtime.broker.messages import Ready
from jobs.libraries import BASE, LIBRARIES
from trust.ids import Digest

# What the extra `capsule` brings and the broker cannot live without.
CAPSULE_EXTRA = ("numpy", "pydantic")


def missing_libraries() -> list[str]:
    """What the base installation lacks to run a broker; empty when it can."""
    return [name for name in CAPSULE_EXTRA if importlib.util.find_spec(name) is None]


def offered_libraries() -> tuple[str, ...]:
    """The libraries whose bundles may run here: the base, and what of the others is installed."""
    return (BASE, *filter(importlib.util.find_spec, LIBRARIES[1:]))


async def spawn(channel: int) -> asyncio.subprocess.Process:
    """A broker that serves the descriptor `channel`, its end of a SOCK_SEQPACKET pair."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-P", "-s", "-B", "-m", "capsule_runtime.broker", str(channel)),
        pass_fds=[channel],
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        env=_environment(),
        cwd="/",
    )


def without_capsules(missing: list[str]) -> Ready:
    """The base installation: an agent that is seen and renewed, and is given no unit."""
    return Ready(
        level="L0",
        reasons=(f"{', '.join(missing)} is missing: pip install 'cadastre[capsule]'",),
        image=Digest.of(b""),
        libraries=(),
        capsules=0,
        ledger_counter=0,
        ledger_hash=bytes(32),
    )


def _environment() -> dict[str, str]:
    """Nothing of ours but where the code lies; one thread per numerical library."""
    packages = Path(capsule_runtime.__file__).parent.parent
    return {
        "LC_ALL": "C.UTF-8",
        "PATH": os.defpath,
        "PYTHONPATH": str(packages),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
