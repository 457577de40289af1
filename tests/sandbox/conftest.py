"""One warm sandbox for the room's tests, and the column format to feed it."""

from __future__ import annotations

import json
import os
import shutil
import struct
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from capsule_runtime.sandbox import Job, Limits, Outcome, OutputField, Zygote

# Root hands the sandbox to a user who needs no entry in any file; others keep their own uid.
RUN_AS = (64123, 64123) if os.geteuid() == 0 else None
ROOMY = Limits(memory_mib=1024, cpu_seconds=10, wall_seconds=20.0)


def _columns(tables: Mapping[str, Mapping[str, Any]], *, shaped: bool = False) -> bytes:
    header: dict[str, Any] = {}
    body = b""
    for table, columns in tables.items():
        described = {}
        rows = 0
        for name, values in columns.items():
            array = np.ascontiguousarray(values)
            described[name] = {"dtype": str(array.dtype), "offset": len(body)}
            if shaped:
                described[name]["shape"] = list(array.shape)
            body += array.tobytes()
            rows = len(array)
        header[table] = {"rows": rows, "columns": described}
    text = json.dumps({"tables": header}).encode()
    return b"CADCOL1\n" + struct.pack("<I", len(text)) + text + body


@pytest.fixture(scope="session")
def columns() -> Callable[..., bytes]:
    """`columns({table: {column: array}})` as the bytes that `Zygote.run` takes."""
    return _columns


@pytest.fixture(scope="session")
def run_as() -> tuple[int, int] | None:
    return RUN_AS


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote.start(run_as=RUN_AS) as started:
        yield started


@pytest.fixture(scope="session")
def make_job() -> Callable[..., Job]:
    """`make_job(source, shape=(1,), dtype="int64", limits=..., parameters=...)`."""

    def make(
        source: str,
        *,
        shape: tuple[int, ...] = (1,),
        dtype: str = "int64",
        limits: Limits = ROOMY,
        parameters: bytes = b"{}",
        more: Mapping[str, bytes] | None = None,
    ) -> Job:
        return Job(
            sources={"algorithm.py": source.encode(), **(more or {})},
            entry="algorithm:contribute",
            parameters=parameters,
            outputs=(OutputField("answer", dtype, shape),),
            limits=limits,
        )

    return make


@pytest.fixture(scope="session")
def once() -> Callable[[Zygote, Job, bytes], Outcome]:
    """Load a job, run it on one capsule, give its memory back."""

    def run(zygote: Zygote, job: Job, data: bytes = _columns({})) -> Outcome:
        with zygote.load(job) as loaded:
            return zygote.run(loaded, data)

    return run


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that everybody may enter; pytest's own are private."""
    folder = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="cadastre-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)
