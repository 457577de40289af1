"""What goes into the sandbox and what comes out: plain values, checked when they are made."""

from __future__ import annotations

import enum
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from capsule_runtime.errors import JobRefused
from trust.parameters import MAXIMUM_STATE_BYTES

# Ours: room for a large report (2 Mi numbers) and for any readable algorithm; a frame of this
# size is buffered once in the broker, a job once in a memfd.
MAXIMUM_FRAME_BYTES = 16 * 1024 * 1024
MAXIMUM_SOURCE_BYTES = 4 * 1024 * 1024
MAXIMUM_SOURCES = 256
MAXIMUM_PARAMETER_BYTES = 1024 * 1024
MAXIMUM_OUTPUTS = 64
MAXIMUM_MEMORY_MIB = 64 * 1024
MAXIMUM_SECONDS = 24 * 3600

_MODULE_PATH = re.compile(r"(?:[A-Za-z_][A-Za-z0-9_]*/)*[A-Za-z_][A-Za-z0-9_]*\.py", re.ASCII)
_ENTRY = re.compile(
    r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*", re.ASCII
)
ITEM_BYTES = MappingProxyType({"int64": 8, "float64": 8})


def _refuse(condition: bool, sentence: str, remedy: str) -> None:  # noqa: FBT001
    if condition:
        raise JobRefused(sentence, remedy=remedy)


@dataclass(frozen=True)
class Limits:
    """What one capsule may use; raises JobRefused out of bounds.

    MiB of address space (interpreter and libraries included, numpy takes about 150), whole CPU
    seconds, wall seconds.
    """

    memory_mib: int
    cpu_seconds: int
    wall_seconds: float

    def __post_init__(self) -> None:
        _refuse(
            not 1 <= self.memory_mib <= MAXIMUM_MEMORY_MIB
            or not 1 <= self.cpu_seconds <= MAXIMUM_SECONDS
            or not math.isfinite(self.wall_seconds)
            or not 0 < self.wall_seconds <= MAXIMUM_SECONDS,
            f"Limits of {self.memory_mib} MiB, {self.cpu_seconds} CPU s and "
            f"{self.wall_seconds} s are out of bounds.",
            f"Use 1..{MAXIMUM_MEMORY_MIB} MiB and up to {MAXIMUM_SECONDS} s.",
        )


@dataclass(frozen=True)
class OutputField:
    """One declared output array: little-endian, C order. Raises JobRefused."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        _refuse(
            self.dtype not in ITEM_BYTES,
            f"Output {self.name!r} declares the type {self.dtype!r}.",
            "Declare int64 or float64.",
        )
        _refuse(
            not self.shape or any(size < 1 for size in self.shape),
            f"Output {self.name!r} declares the shape {list(self.shape)}.",
            "Declare one or more sizes, each at least 1.",
        )

    @property
    def nbytes(self) -> int:
        """Bytes of this field in the frame."""
        return math.prod(self.shape) * ITEM_BYTES[self.dtype]


@dataclass(frozen=True)
class Job:
    """One algorithm with its parameters, the same for every capsule of a round.

    `sources` maps relative paths (`algorithm.py`, `pkg/mod.py`) to source text in UTF-8; `entry`
    is `module:function`; `parameters` is a JSON object; `state`, where there is one, holds the
    arrays that rounds carry, in the column format. Raises JobRefused when out of bounds.
    """

    sources: Mapping[str, bytes]
    entry: str
    parameters: bytes
    outputs: tuple[OutputField, ...]
    limits: Limits
    state: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sources", MappingProxyType(dict(self.sources)))
        _refuse(
            not 1 <= len(self.sources) <= MAXIMUM_SOURCES
            or sum(map(len, self.sources.values())) > MAXIMUM_SOURCE_BYTES,
            f"The bundle has {len(self.sources)} sources.",
            f"Give 1..{MAXIMUM_SOURCES} sources, {MAXIMUM_SOURCE_BYTES} bytes in all.",
        )
        for path in self.sources:
            _refuse(
                _MODULE_PATH.fullmatch(path) is None,
                f"The source path {path!r} is not an importable relative path.",
                "Name sources like algorithm.py or package/module.py.",
            )
        _refuse(
            _ENTRY.fullmatch(self.entry) is None,
            f"The entry {self.entry!r} does not name a function.",
            "Write it as module:function, for example algorithm:contribute.",
        )
        self._check_parameters()
        _refuse(
            self.state is not None and len(self.state) > MAXIMUM_STATE_BYTES,
            "The round's state is too large.",
            f"Declare a state of at most {MAXIMUM_STATE_BYTES} bytes.",
        )
        names = [output.name for output in self.outputs]
        _refuse(
            not 1 <= len(names) <= MAXIMUM_OUTPUTS
            or len(set(names)) != len(names)
            or self.frame_bytes > MAXIMUM_FRAME_BYTES,
            f"The job declares {len(names)} outputs of {self.frame_bytes} bytes.",
            f"Declare 1..{MAXIMUM_OUTPUTS} outputs with distinct names, "
            f"{MAXIMUM_FRAME_BYTES} bytes in all.",
        )

    def _check_parameters(self) -> None:
        remedy = f"Give a JSON object of at most {MAXIMUM_PARAMETER_BYTES} bytes."
        _refuse(
            len(self.parameters) > MAXIMUM_PARAMETER_BYTES, "The parameters are too large.", remedy
        )
        try:
            value = json.loads(self.parameters)
        except (ValueError, RecursionError):
            value = None
        _refuse(not isinstance(value, dict), "The parameters are not a JSON object.", remedy)

    @property
    def frame_bytes(self) -> int:
        """Bytes of the one frame that a capsule yields, without its length."""
        return sum(output.nbytes for output in self.outputs)


class Status(enum.Enum):
    """How one capsule ended: all that anybody learns about a failure. Failures cost budget too."""

    ok = "ok"
    refused_output = "refused_output"  # wrong names, shape, type, length, or more than one frame
    killed_policy = "killed_policy"  # a forbidden system call: an audit signal
    killed_limit = "killed_limit"  # memory, CPU or wall time
    error = "error"  # the algorithm raised, or its process died by itself


@dataclass(frozen=True)
class Outcome:
    """One capsule's end. `frame` is the fields' bytes one after the other, only when ok.

    `stderr` is empty unless the zygote was started to keep it, for runs on mock data.
    """

    status: Status
    frame: bytes | None = field(default=None, repr=False)
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    peak_rss_kib: int = 0
    stderr: bytes = field(default=b"", repr=False)
