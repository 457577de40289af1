"""The schema of bundle.toml: what a bundle is, needs, may be told, and may release.

Field descriptions and examples are what `jobs.mistakes` shows to an author who got one wrong.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from jobs import mistakes
from jobs.fields import DecimalText, Entry, Identifier, Line, Part, Shape, Whole
from jobs.libraries import LIBRARIES, TORCH, TORCH_MEMORY_MIB, contents, runtime_of
from jobs.outputs import ReleaseChoice, ReportArray
from protection.ckks.profile import LIBRARY
from trust.documents.rules import Bound, DataClass, PrivacyUnit, Protection, ReleaseRules

MAXIMUM_OUTPUTS = 64  # as the sandbox
PERSONS = "persons"


class Title(Part):
    """The bundle's name for people, in both languages."""

    fr: Line = Field(description="title in French", examples=["Flux domicile-travail"])
    en: Line = Field(description="title in English", examples=["Commuting flows"])


class About(Part):
    """[bundle]: what it is and whose."""

    name: Identifier = Field(description="the bundle's name", examples=["commute_flows"])
    version: Annotated[str, Field(pattern=r"^\d{1,6}\.\d{1,6}\.\d{1,6}$")] = Field(
        description="three numbers", examples=["1.0.0"]
    )
    title: Title = Field(
        examples=[{"fr": "Flux domicile-travail", "en": "Commuting flows"}],
        description="title.fr and title.en",
    )
    purpose: Line = Field(description="what the result is for", examples=["mobility planning"])
    licence: Line = Field(description="an SPDX licence", examples=["GPL-2.0-or-later"])
    authors: Annotated[tuple[Line, ...], Field(min_length=1, max_length=32)] = Field(
        description="at least one", examples=[["Ana Diallo <ana@example.org>"]]
    )


class EntryPoints(Part):
    """[entry]: the two functions, and where they run."""

    contribute: Entry = Field(description="module:function", examples=["algorithm:contribute"])
    conclude: Entry = Field(description="module:function", examples=["algorithm:conclude"])
    runtime: Literal["python"] = Field(description="the runtime", examples=["python"])
    profile: Literal["min"] = Field(description="the sandbox profile", examples=["min"])


class Needs(Part):
    """[needs]: tables and columns, libraries, and the room that one run may take."""

    tables: Annotated[
        dict[Identifier, Annotated[tuple[Identifier, ...], Field(min_length=1, max_length=256)]],
        Field(min_length=1, max_length=16),
    ] = Field(description="table -> columns", examples=[{"commute": ["home_sector", "mode"]}])
    classes: Annotated[tuple[DataClass, ...], Field(min_length=1)] = Field(
        default=(DataClass.PERSONAL, DataClass.COMPANY),
        description="data classes that it may run on",
        examples=[["personal"]],
    )
    libraries: tuple[Line, ...] = Field(description="libraries", examples=[["numpy"]])
    memory_mib: Annotated[Whole, Field(ge=64, le=8192)] = Field(
        description="address space of one run", examples=[512]
    )
    cpu_seconds: Annotated[Whole, Field(ge=1, le=3600)] = Field(
        description="CPU time of one run", examples=[5]
    )
    wall_seconds: Annotated[Whole, Field(ge=1, le=3600)] = Field(
        description="wall time of one run", examples=[10]
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for library in self.libraries:
            if library not in LIBRARIES:
                raise ValueError(
                    f"the library {library!r} is not in the runtime of profile min; "
                    f"write libraries = {mistakes.toml(LIBRARIES)}, or fewer of them"
                )
        whole = contents(runtime_of(self.libraries))
        if not whole:
            raise ValueError(
                f"no runtime holds {' and '.join(self.libraries)} together; "
                f"write libraries = {mistakes.toml(contents(TORCH))}"
            )
        if self.libraries and set(self.libraries) != set(whole):
            raise ValueError(
                f"{whole[-1]} brings {' and '.join(whole[:-1])}; "
                f"write libraries = {mistakes.toml(whole)}"
            )
        if TORCH in self.libraries and self.memory_mib < TORCH_MEMORY_MIB:
            raise ValueError(
                f"{TORCH} alone takes half of {TORCH_MEMORY_MIB} MiB of address space; "
                f"write memory_mib = {TORCH_MEMORY_MIB}"
            )
        for table, columns in self.tables.items():
            if len(set(columns)) != len(columns):
                raise ValueError(f"tables.{table} names a column twice; name each once")
        if self.wall_seconds < self.cpu_seconds:
            raise ValueError(
                f"wall_seconds is under cpu_seconds; write wall_seconds = {self.cpu_seconds}"
            )
        return self


class Parameter(Part):
    """[parameters] one parameter: its type and the values that it may take."""

    type: Literal["integer", "decimal", "choice", "text"] = Field(
        description="integer, decimal, choice or text", examples=["integer"]
    )
    minimum: DecimalText | None = Field(default=None, examples=[1])
    maximum: DecimalText | None = Field(default=None, examples=[100])
    choices: Annotated[tuple[Line, ...], Field(max_length=1000)] = Field(
        default=(), examples=[["morning", "evening"]]
    )
    default: Whole | Decimal | str | None = Field(default=None, examples=[10])

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        numeric = self.type in {"integer", "decimal"}
        if numeric and (self.minimum is None or self.maximum is None):
            raise ValueError("a number is bounded on both sides; add minimum = 1, maximum = 100")
        if self.type == "text" and (self.maximum is None or self.minimum is not None):
            raise ValueError("a text is bounded by its length alone; write maximum = 80")
        if self.type == "choice" and not self.choices:
            raise ValueError('a choice lists its values; write choices = ["morning", "evening"]')
        if self.type != "choice" and self.choices:
            raise ValueError('choices go with type = "choice"; remove one of the two')
        if self.type == "choice" and (self.minimum is not None or self.maximum is not None):
            raise ValueError("a choice has no minimum or maximum; remove them")
        if numeric and Decimal(self.minimum or 0) > Decimal(self.maximum or 0):
            raise ValueError("minimum is over maximum; exchange them")
        if self.type in {"integer", "text"} and any(
            text is not None and "." in text for text in (self.minimum, self.maximum)
        ):
            raise ValueError(f"the bounds of type {self.type} are whole; write maximum = 100")
        return self

    def bound(self) -> Bound:
        """The bound that the cooperative votes."""
        return Bound(self.type, self.minimum, self.maximum, self.choices)


class Rounds(Part):
    """[rounds]: how many, whom each of them asks, who must answer, how long they have."""

    maximum: Annotated[Whole, Field(ge=1, le=1000)] = Field(examples=[1])
    quorum: Annotated[Whole, Field(ge=1, le=100_000)] = Field(
        description="workers whose partials a round needs", examples=[3]
    )
    deadline_seconds: Annotated[Whole, Field(ge=10, le=30 * 86_400)] = Field(
        description="time that a round may take", examples=[600]
    )
    share: DecimalText = Field(
        default="1", description="share of the ready workers that a round asks", examples=["0.5"]
    )
    spare: Annotated[Whole, Field(ge=0, le=1000)] = Field(
        default=0,
        description="workers asked beyond that share; a round closes when its share answered",
        examples=[1],
    )
    draw: DecimalText = Field(
        default="1",
        description="with unit person: the share of a capsule's persons that one round draws",
        examples=["0.25"],
    )

    @model_validator(mode="after")
    def _shared(self) -> Self:
        if not 0 < Decimal(self.share) <= 1:
            raise ValueError('share is a part of the ready workers; write share = "1"')
        if not 0 < Decimal(self.draw) <= 1:
            raise ValueError('draw is a part of the persons; write draw = "1"')
        return self


class StateArray(Part):
    """[state.NAME]: an array that each round leaves to the next; float64, zeros at first."""

    shape: Shape = Field(description="lengths of its axes", examples=[[64, 7]])


class MockColumn(Part):
    """The values that `bundle try` draws for one column."""

    minimum: DecimalText = Field(examples=[1])
    maximum: DecimalText = Field(examples=[9])
    whole: bool = Field(default=True, examples=[True])

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if Decimal(self.minimum) > Decimal(self.maximum):
            raise ValueError("minimum is over maximum; exchange them")
        return self


class MockTable(Part):
    """[mock.TABLE]: what `bundle try` fills a mock capsule with."""

    rows: Annotated[Whole, Field(ge=1, le=100_000)] = Field(default=1, examples=[1])
    columns: dict[Identifier, MockColumn] = Field(
        default={}, examples=[{"mode": {"minimum": 1, "maximum": 6}}]
    )


class Manifest(Part):
    """A whole bundle.toml, every part and every pair of parts consistent."""

    bundle: About = Field(description="the table [bundle]")
    entry: EntryPoints = Field(description="the table [entry]")
    needs: Needs = Field(description="the table [needs]")
    parameters: Annotated[dict[Identifier, Parameter], Field(max_length=64)] = Field(
        default_factory=dict
    )
    release: Annotated[
        dict[Identifier, ReleaseChoice], Field(min_length=1, max_length=MAXIMUM_OUTPUTS)
    ] = Field(description="at least one table [release.NAME]")
    report: Annotated[
        dict[Identifier, ReportArray], Field(min_length=1, max_length=MAXIMUM_OUTPUTS)
    ] = Field(description="at least one table [report.NAME]")
    state: Annotated[dict[Identifier, StateArray], Field(max_length=MAXIMUM_OUTPUTS)] = Field(
        default_factory=dict
    )
    rounds: Rounds = Field(description="the table [rounds]")
    mock: dict[Identifier, MockTable] = Field(default_factory=dict)

    def rules(self) -> tuple[ReleaseRules, ...]:
        """The release rules, in the manifest's order: the order of a frame's arrays."""
        return tuple(choice.rules(name) for name, choice in self.release.items())

    def bounds(self) -> dict[str, Bound]:
        """The parameters' bounds."""
        return {name: parameter.bound() for name, parameter in self.parameters.items()}

    @property
    def libraries(self) -> tuple[str, ...]:
        """What a worker must have: the sandbox's libraries, and what its broker encrypts with."""
        protections = {choice.protection for choice in self.release.values()}
        outside = (LIBRARY,) if Protection.ENCRYPTED in protections else ()
        return (*self.needs.libraries, *outside)

    @property
    def unit(self) -> PrivacyUnit:
        """The one privacy unit of every release."""
        return next(iter(self.release.values())).unit
