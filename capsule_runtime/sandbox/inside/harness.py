"""The trusted lines around an algorithm in its child: decode, call, check, write one frame.

Everything after `call` already shares its process with hostile code, so nothing here is a
boundary: the host checks the frame's length again and the release guard its numbers.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from . import importer
from .confine import RESULT_FD

MAGIC = b"CADCOL1\n"
# The table whose columns are a released aggregate; an algorithm gets it without its table name.
AGGREGATE = "aggregate"
# What the rounds before left to this one: a table of arrays, given beside the parameters.
STATE = "state"
FLAVOURS = {"int64": "<i8", "float64": "<f8"}

# torch has no class of its own for the end of the host's memory.
TORCH_OUT_OF_MEMORY = "DefaultCPUAllocator: can't allocate memory"

EXIT_OK, EXIT_ERROR, EXIT_MEMORY, EXIT_OUTPUT, EXIT_CONFINEMENT = 0, 71, 72, 73, 74


class OutputRefused(Exception):
    """The algorithm's answer is not what its manifest declares."""


@dataclass(frozen=True)
class PackedJob:
    """A job as the child reads it from sealed memory."""

    entry: str
    outputs: list[tuple[str, str, tuple[int, ...]]]
    parameters: bytes
    state: bytes
    sources: dict[str, bytes]


def read_all(descriptor: int) -> bytes:
    """The whole of a memfd, by position: the offset is shared with every other child."""
    size = os.fstat(descriptor).st_size
    parts: list[bytes] = []
    done = 0
    while done < size:
        part = os.pread(descriptor, size - done, done)
        if not part:
            break
        parts.append(part)
        done += len(part)
    return b"".join(parts)


def unpack(content: bytes) -> PackedJob:
    """The inverse of the host's packing.pack; both ends are ours."""
    (length,) = struct.unpack_from("<I", content)
    header = json.loads(content[4 : 4 + length])
    start = 4 + length
    cursor = start + header["parameters"] + header["state"]
    sources: dict[str, bytes] = {}
    for path, size in header["sources"]:
        sources[path] = content[cursor : cursor + size]
        cursor += size
    return PackedJob(
        entry=header["entry"],
        outputs=[(name, dtype, tuple(shape)) for name, dtype, shape in header["outputs"]],
        parameters=content[start : start + header["parameters"]],
        state=content[
            start + header["parameters"] : start + header["parameters"] + header["state"]
        ],
        sources=sources,
    )


def decode(data: bytes) -> Mapping[str, Mapping[str, Any]]:
    """Tables of read-only arrays from the column format: table -> column -> array.

    The arrays look into `data` itself; a column with a "shape" is reshaped in C order.
    Raises ValueError on anything that is not the format.
    """
    import numpy as np  # noqa: PLC0415 - a job class without numpy never gets here

    if data[: len(MAGIC)] != MAGIC:
        raise ValueError("the capsule's data is not in the column format")
    (length,) = struct.unpack_from("<I", data, len(MAGIC))
    start = len(MAGIC) + 4 + length
    header = json.loads(data[len(MAGIC) + 4 : start])
    body = data[start:]  # a fresh, aligned block
    tables: dict[str, Mapping[str, Any]] = {}
    for table, description in header["tables"].items():
        columns: dict[str, Any] = {}
        for name, column in description["columns"].items():
            shape = tuple(column.get("shape", (description["rows"],)))
            count = 1
            for size in shape:
                count *= size
            flat = np.frombuffer(body, FLAVOURS[column["dtype"]], count, column["offset"])
            columns[name] = flat.reshape(shape)
        tables[table] = MappingProxyType(columns)
    return MappingProxyType(tables)


def call(job: PackedJob, tables: Mapping[str, Mapping[str, Any]]) -> Any:
    """Import the bundle and run its entry on the tables (or on the aggregate) and parameters."""
    importer.install(job.sources)
    random.seed(0)  # Python drew a fresh seed at the fork
    module, function = job.entry.split(":")
    entry = getattr(importlib.import_module(module), function)
    only = tables[AGGREGATE] if set(tables) == {AGGREGATE} else tables
    parameters = json.loads(job.parameters)
    if job.state:
        parameters[STATE] = decode(job.state)[STATE]
    return entry(only, parameters)


def frame(job: PackedJob, answer: Any) -> bytes:
    """`u32 LE length + fields`. Raises OutputRefused with what the author should change."""
    import numpy as np  # noqa: PLC0415

    names = [name for name, _, _ in job.outputs]
    if not isinstance(answer, Mapping):
        if len(names) != 1:
            raise OutputRefused(f"return a dict with the keys {names}")
        answer = {names[0]: answer}
    if sorted(map(str, answer)) != sorted(names):
        raise OutputRefused(f"the keys are {sorted(map(str, answer))}, declared are {names}")
    arrays: list[Any] = []
    for name, dtype, shape in job.outputs:
        array = np.asarray(answer[name])
        if array.shape != shape:
            raise OutputRefused(f"{name!r} has the shape {array.shape}, declared is {shape}")
        if not np.can_cast(array.dtype, FLAVOURS[dtype], casting="safe"):
            raise OutputRefused(f"{name!r} has the type {array.dtype}, declared is {dtype}")
        arrays.append(array.astype(FLAVOURS[dtype], casting="safe", order="C", copy=False))
    length = struct.pack("<I", sum(array.nbytes for array in arrays))
    return b"".join([length, *(array.data for array in arrays)])  # one copy of a large answer


def run(job: PackedJob, tables: Mapping[str, Mapping[str, Any]], *, talkative: bool) -> int:
    """Everything from the first untrusted byte to the exit code."""
    if talkative:
        sys.stdout = sys.stderr
    try:
        content = memoryview(frame(job, call(job, tables)))
        while content:
            content = content[os.write(RESULT_FD, content) :]
    except OutputRefused as problem:
        _say(f"output refused: {problem}\n", talkative=talkative)
        return EXIT_OUTPUT
    except MemoryError:
        return EXIT_MEMORY
    except BaseException as problem:  # noqa: BLE001 - SystemExit included: every end answers
        if isinstance(problem, RuntimeError) and TORCH_OUT_OF_MEMORY in str(problem):
            return EXIT_MEMORY
        if talkative:
            import traceback  # noqa: PLC0415 - loaded before the fork

            _say(traceback.format_exc(), talkative=True)
        return EXIT_ERROR
    return EXIT_OK


def _say(text: str, *, talkative: bool) -> None:
    if talkative:
        os.write(2, text.encode(errors="replace"))
