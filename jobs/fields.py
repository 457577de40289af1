"""The texts and numbers that bundle.toml is made of, each with one canonical spelling."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

MAXIMUM_CELLS = 1 << 20  # a frame of 8 MiB: half of what the sandbox carries


def _decimal_text(value: object) -> object:
    # TOML numbers arrive as int or Decimal (tomllib is told so): nothing passes through a float.
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        raise ValueError('expected a number; write it as 0.1 or "0.1"')  # noqa: TRY004 - pydantic collects ValueErrors
    try:
        number = Decimal(value)
    except ArithmeticError as error:
        raise ValueError(f'{value!r} is no number; write it as 0.1 or "0.1"') from error
    if not number.is_finite() or abs(number.adjusted()) > 30 or len(number.as_tuple().digits) > 30:
        raise ValueError(f"{value!r} is out of range; use at most 30 digits")
    text = format(number, "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


def _printable(text: str) -> str:
    # Labels and titles reach terminals and pages: no control characters, no direction marks.
    if not text.isprintable():
        raise ValueError("expected one line of printable characters; remove the others")
    return text


def _positive(text: str) -> str:
    if Decimal(text) <= 0:
        raise ValueError(f"expected a number above 0, found {text}")
    return text


Line = Annotated[str, Field(strict=True, min_length=1, max_length=400), AfterValidator(_printable)]
Identifier = Annotated[str, Field(strict=True, pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Entry = Annotated[
    str, Field(strict=True, pattern=r"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*$")
]
Label = Annotated[str, Field(strict=True, max_length=80), AfterValidator(_printable)]
Whole = Annotated[int, Field(strict=True)]
DecimalText = Annotated[str, BeforeValidator(_decimal_text)]
PositiveText = Annotated[str, BeforeValidator(_decimal_text), AfterValidator(_positive)]
Shape = Annotated[
    tuple[Annotated[int, Field(strict=True, ge=1, le=MAXIMUM_CELLS)], ...],
    Field(min_length=1, max_length=8),
]


class Part(BaseModel):
    """A table of bundle.toml: no unknown key, never changed after it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True)
