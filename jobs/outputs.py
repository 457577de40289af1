"""[release.NAME] and [report.NAME]: what may come out, and in which words it is told."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from jobs.fields import (
    MAXIMUM_CELLS,
    DecimalText,
    Identifier,
    Label,
    Line,
    Part,
    PositiveText,
    Shape,
    Whole,
)
from trust.documents.rules import Mechanism, Norm, PrivacyUnit, Protection, ReleaseRules


class Clip(Part):
    """The norm and length in which the guard clips one privacy unit's contribution."""

    norm: Norm = Field(description="l1, l2 or linf", examples=["l2"])
    bound: PositiveText = Field(description="in the output's unit", examples=[1])


class NoiseChoice(Part):
    """How noise is drawn and what it costs: zCDP for the whole campaign."""

    mechanism: Mechanism = Field(description="the mechanism", examples=["discrete_gaussian"])
    rho: DecimalText = Field(default="0", description="zCDP cost", examples=["0.1"])

    @model_validator(mode="after")
    def _priced(self) -> Self:
        free = self.mechanism is Mechanism.NONE
        if free and Decimal(self.rho) != 0:
            raise ValueError("a release without noise has no price; remove rho")
        if not free and not 0 < Decimal(self.rho) <= 100:
            raise ValueError('noise has a price above 0, at most 100; write rho = "0.1"')
        return self


class ReleaseChoice(Part):
    """[release.NAME]: one output of `contribute`."""

    shape: Shape = Field(description="lengths of its axes", examples=[[9, 9, 6]])
    dtype: Literal["int64", "float64"] = Field(description="its numbers", examples=["int64"])
    step: PositiveText = Field(description="quantisation grid", examples=[1])
    clip: Clip = Field(description="norm and bound", examples=[{"norm": "l2", "bound": 1}])
    unit: PrivacyUnit = Field(description="owner or person", examples=["owner"])
    protection: Protection = Field(description="clear, shared or encrypted", examples=["shared"])
    noise: NoiseChoice = Field(
        description="mechanism and rho",
        examples=[{"mechanism": "discrete_gaussian", "rho": "0.1"}],
    )
    minimum_contributors: Annotated[Whole, Field(ge=1)] = Field(
        description="privacy units behind a sum", examples=[20]
    )
    maximum_contributors: Annotated[Whole, Field(ge=1, le=1 << 40)] = Field(
        description="privacy units at most", examples=[100_000]
    )
    minimum_capsules: Annotated[Whole, Field(ge=1)] = Field(default=1, examples=[3])
    minimum_workers: Annotated[Whole, Field(ge=1)] = Field(default=1, examples=[3])
    minimum_operators: Annotated[Whole, Field(ge=1)] = Field(default=1, examples=[2])
    suppress_below: Annotated[Whole, Field(ge=0)] = Field(default=0, examples=[20])
    product: Identifier | None = Field(
        default=None,
        description="the name under which it leaves, multiplied with the other factor, and only so",
        examples=["footprint"],
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if math.prod(self.shape) > MAXIMUM_CELLS:
            raise ValueError(
                f"shape has {math.prod(self.shape)} cells; write one of at most {MAXIMUM_CELLS}"
            )
        if self.minimum_contributors > self.maximum_contributors:
            raise ValueError("minimum_contributors is over maximum_contributors; exchange them")
        if self.minimum_operators > self.minimum_workers:
            raise ValueError(
                "an operator has at least one worker; "
                f"write minimum_workers = {self.minimum_operators}"
            )
        # A Fraction, not a remainder of Decimals: that one overflows its 28 digits.
        if self.dtype == "int64" and Fraction(self.step).denominator != 1:
            raise ValueError(
                f'whole numbers have a whole step, not {self.step}; write step = 1, or "float64"'
            )
        if Decimal(self.clip.bound) < Decimal(self.step):
            raise ValueError(
                f"a clip bound of {self.clip.bound} under a step of {self.step} lets nothing "
                "through; write a finer step"
            )
        return self

    def rules(self, output: str) -> ReleaseRules:
        """The rules that the cooperative votes and the guard enforces."""
        return ReleaseRules(
            output=output,
            shape=self.shape,
            dtype=self.dtype,
            step=self.step,
            norm=self.clip.norm,
            bound=self.clip.bound,
            unit=self.unit,
            protection=self.protection,
            mechanism=self.noise.mechanism,
            rho=self.noise.rho,
            minimum_contributors=self.minimum_contributors,
            maximum_contributors=self.maximum_contributors,
            minimum_capsules=self.minimum_capsules,
            minimum_workers=self.minimum_workers,
            minimum_operators=self.minimum_operators,
            suppress_below=self.suppress_below,
            product=self.product,
        )


class ReportArray(Part):
    """[report.NAME]: one array of `conclude`'s report, with its words."""

    shape: Shape = Field(description="lengths of its axes", examples=[[9, 9, 6]])
    dtype: Literal["int64", "float64"] = Field(description="its numbers", examples=["float64"])
    labels: Annotated[tuple[tuple[Label, ...], ...], Field(max_length=8)] = Field(
        default=(),
        description="one list of labels per axis; a band has those of its value",
        examples=[[["secteur 1", "secteur 2"]]],
    )
    unit: Line = Field(description="the unit of its numbers", examples=["persons"])
    kind: Literal["value", "lower", "upper"] = Field(
        default="value", description="a value, or a band's end", examples=["value"]
    )
    of: Identifier | None = Field(
        default=None, description="the value that the band is around", examples=["flows"]
    )
    release: Identifier | None = Field(
        default=None,
        description="the release whose suppress_below applies",
        examples=["flows"],
    )

    @model_validator(mode="after")
    def _labelled(self) -> Self:
        if math.prod(self.shape) > MAXIMUM_CELLS:
            raise ValueError(f"shape has over {MAXIMUM_CELLS} cells; write a smaller one")
        if (self.kind == "value") != (self.of is None):
            raise ValueError(
                'a band names its value (kind = "lower", of = "flows"), a value has no `of`'
            )
        if self.of is not None and self.labels:
            raise ValueError("a band has the labels of its value; remove labels")
        if self.of is None and tuple(len(axis) for axis in self.labels) != self.shape:
            raise ValueError(
                f"labels has {[len(axis) for axis in self.labels]} entries per axis; write "
                f"{list(self.shape)}, one list per axis of shape"
            )
        return self
