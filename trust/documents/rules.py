"""What may leave a capsule, and how it is protected: the rules that the cooperative votes.

Numbers that need not be whole are decimal texts (`"0.1"`), so that signed bytes are exact.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class DataClass(enum.StrEnum):
    """Whose data a capsule holds; fixed when the capsule is made."""

    PERSONAL = "personal"
    COMPANY = "company"
    PUBLIC = "public"


class PrivacyUnit(enum.StrEnum):
    """Who is protected: the owner as a whole, or each person inside a company's capsule."""

    OWNER = "owner"
    PERSON = "person"


class Protection(enum.StrEnum):
    """How a partial is protected on its way to the aggregate."""

    CLEAR = "clear"
    SHARED = "shared"
    ENCRYPTED = "encrypted"


class Norm(enum.StrEnum):
    """The norm in which one privacy unit's contribution is clipped."""

    L1 = "l1"
    L2 = "l2"
    LINF = "linf"


class Mechanism(enum.StrEnum):
    """How noise is drawn; `none` is for public capsules only."""

    NONE = "none"
    DISCRETE_GAUSSIAN = "discrete_gaussian"
    DISCRETE_LAPLACE = "discrete_laplace"


@dataclass(frozen=True)
class ReleaseRules:
    """One output of `contribute`: its fixed layout, its clip, its noise, its minima."""

    output: str
    shape: tuple[int, ...]
    dtype: str  # "int64" or "float64", as the algorithm returns it
    step: str  # quantisation grid in the output's unit
    norm: Norm
    bound: str  # clip bound per privacy unit, in the output's unit, after quantising
    unit: PrivacyUnit
    protection: Protection
    mechanism: Mechanism
    rho: str  # zCDP cost of the whole campaign for one privacy unit; "0" without noise
    minimum_contributors: int  # privacy units in one partial (clear) or batch
    maximum_contributors: int
    minimum_capsules: int  # capsules in one partial; more than 1 where one capsule holds many
    minimum_workers: int
    minimum_operators: int
    suppress_below: int  # released cells under this print as "<n"; 0 shows every cell
    # The name under which this total leaves, multiplied cell by cell with the one other output of
    # that product, and only so; None where the total itself is released.
    product: str | None = None


@dataclass(frozen=True)
class Bound:
    """The values that one parameter may take."""

    type: str  # "integer" | "decimal" | "choice" | "text"
    minimum: str | None
    maximum: str | None
    choices: tuple[str, ...]
