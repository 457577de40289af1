"""What an app's author, or whoever brings it, decides beside it: `cadastre.toml`.

A Flower app says nothing about whose data it may see, how far one person may move the model, or
what that may cost. Voters need these words; here is where they are written.
"""

from __future__ import annotations

import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationError, model_validator

from jobs import mistakes
from jobs.errors import BundleMissing, ManifestRefused
from jobs.fields import Identifier, Line, Part, PositiveText, Whole
from jobs.schema import PERSONS, MockTable
from trust.documents.rules import DataClass, PrivacyUnit, Protection

FILE = "cadastre.toml"
LEAST_DEADLINE_SECONDS = 10  # of a manifest
RunValue = bool | Whole | float | str


class Data(Part):
    """[data]: whose tables, and the file that the app finds them in."""

    classes: Annotated[tuple[DataClass, ...], Field(min_length=1)] = Field(
        description="data classes", examples=[["public"]]
    )
    table: Identifier = Field(description="the capsule's table", examples=["trips"])
    columns: Annotated[tuple[Identifier, ...], Field(min_length=1, max_length=256)] = Field(
        description="its columns, in the file's order", examples=[["distance", "mode"]]
    )
    file: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,40}\.(csv|npy|npz)$")] = Field(
        default="data.csv", description="what data-path leads to", examples=["data.csv"]
    )
    node: Identifier | None = Field(
        default=None,
        description="public data: the column with a capsule's node, from 0, for single replies",
        examples=["station"],
    )


class Release(Part):
    """[release]: how much of one client gets out, and under which protection."""

    unit: PrivacyUnit = Field(default=PrivacyUnit.OWNER, examples=["owner"])
    protection: Protection | None = Field(default=None, examples=["shared"])
    clip: PositiveText = Field(description="L2 length of an update", examples=["1"])
    metric_clip: PositiveText = Field(default="10", description="L2 length of all metrics")
    step: PositiveText | None = Field(default=None, examples=["0.00001"])
    rho: PositiveText | None = Field(
        default=None, description="zCDP of the whole campaign; none on public data", examples=["1"]
    )
    weight_key: Line = Field(default="num-examples", description="what averages are weighted by")
    weight_cap: PositiveText = Field(
        default="1000", description="examples of one client that count", examples=["1000"]
    )
    minimum_contributors: Annotated[Whole, Field(ge=1)] = 1
    maximum_contributors: Annotated[Whole, Field(ge=1)] = 10_000
    minimum_workers: Annotated[Whole, Field(ge=1)] = 1
    minimum_operators: Annotated[Whole, Field(ge=1)] = 1


class Running(Part):
    """[run]: what one run may take, and who must answer."""

    nodes: Annotated[Whole, Field(ge=1, le=1000)] | None = Field(
        default=None, description="how many nodes the ServerApp sees; found when left out"
    )
    quorum: Annotated[Whole, Field(ge=1)] | None = None
    deadline_seconds: Annotated[Whole, Field(ge=LEAST_DEADLINE_SECONDS)] | None = Field(
        default=None, description="of a round; the app's timeout, at most 600, when left out"
    )
    share: PositiveText = Field(default="1", description="share of the workers a round asks")
    spare: Annotated[Whole, Field(ge=0)] = 0
    draw: PositiveText = Field(
        default="1", description="with unit person: the share of a capsule's persons in a round"
    )
    memory_mib: Annotated[Whole, Field(ge=64, le=8192)] | None = None
    cpu_seconds: Annotated[Whole, Field(ge=1, le=3600)] = 30
    wall_seconds: Annotated[Whole, Field(ge=1, le=3600)] = 60
    purpose: Line = "federated learning"


class Choices(Part):
    """A whole cadastre.toml."""

    data: Data = Field(description="the table [data]")
    release: Release = Field(description="the table [release]")
    run: Running = Field(default_factory=Running)
    run_config: dict[str, RunValue] = Field(default_factory=dict)
    mock: MockTable = Field(default_factory=MockTable)

    @property
    def public(self) -> bool:
        """Whether only open data is read."""
        return set(self.data.classes) == {DataClass.PUBLIC}

    @property
    def counted(self) -> bool:
        """Whether each round tells how many replies counted: of open data without noise alone.

        About people such a number would be a release: a ClientApp could fail for those whom its
        author wants to count.
        """
        return self.public and self.release.rho is None

    @property
    def protection(self) -> Protection:
        """As chosen; else shared between two institutions, or clear for open data."""
        return self.release.protection or (Protection.CLEAR if self.public else Protection.SHARED)

    @property
    def needed(self) -> tuple[str, ...]:
        """The table's columns that the bundle reads."""
        more = [PERSONS] if self.release.unit is PrivacyUnit.PERSON else []
        more += [self.data.node] if self.data.node else []
        return tuple(dict.fromkeys((*self.data.columns, *more)))

    @model_validator(mode="after")
    def _priced(self) -> Self:
        if not self.public and self.release.rho is None:
            raise ValueError('release.rho: personal and company data cost; write rho = "1"')
        if self.data.node and not self.public:
            raise ValueError(
                "data.node: single replies are for public data; personal and company data give "
                "one protected average of a cohort; remove node"
            )
        if self.data.node and self.run.nodes is None:
            raise ValueError("run.nodes: with data.node, write how many nodes there are: nodes = 4")
        return self


def read(path: Path, **changes: str | None) -> Choices:
    """The choices in `path`, with `changes` (classes, clip, rho, table, columns) on top.

    Raises BundleMissing, ManifestRefused.
    """
    try:
        plain = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except (OSError, UnicodeDecodeError) as error:
        raise BundleMissing(
            f"could not read {path}",
            remedy=f"write {FILE} beside the app: docs/authors.md, Flower apps, has one",
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise ManifestRefused(f"{path.name}: {error}", remedy="correct the TOML") from error
    for table, name in (("data", "classes"), ("data", "table"), ("data", "columns")):
        if found := changes.get(name):
            listed = [word.strip() for word in found.split(",")]
            plain.setdefault(table, {})[name] = found if name == "table" else listed
    for name in ("clip", "rho"):
        if found := changes.get(name):
            plain.setdefault("release", {})[name] = found
    if isinstance(config := plain.get("run_config"), dict):
        plain["run_config"] = {k: _native(v) for k, v in config.items()}
    try:
        return Choices.model_validate(plain)
    except ValidationError as error:
        raise ManifestRefused(
            f"{path.name} has mistakes:\n"
            + "\n".join(f"  - {line}" for line in mistakes.sentences(Choices, error)),
            remedy="correct each line",
        ) from error


def _native(value: object) -> object:
    return float(value) if isinstance(value, Decimal) else value
