"""Short constructors for commented columns."""

from __future__ import annotations

from typing import Any

from sqlalchemy import LargeBinary, Text
from sqlmodel import Field

from scheduler.store.types import Moment


def words(
    comment: str,
    *,
    key: bool = False,
    optional: bool = False,
    index: bool = False,
    unique: bool = False,
    of: str | None = None,
    default: str | None = None,
) -> Any:
    """A text column; `of` names the column that it refers to."""
    options: dict[str, Any] = {} if of is None else {"foreign_key": of}
    if optional or default is not None:
        options["default"] = default
    return Field(
        sa_type=Text,
        primary_key=key,
        nullable=optional,
        index=index,
        unique=unique,
        sa_column_kwargs={"comment": comment},
        **options,
    )


def whole(comment: str, *, key: bool = False, optional: bool = False, default: Any = ...) -> Any:
    """A whole number."""
    options = {"default": None} if optional else {} if default is ... else {"default": default}
    return Field(
        primary_key=key,
        nullable=optional and not key,
        sa_column_kwargs={"comment": comment},
        **options,
    )


def flag(comment: str, *, default: bool = False) -> Any:
    """True or false."""
    return Field(default=default, nullable=False, sa_column_kwargs={"comment": comment})


def moment(comment: str, *, key: bool = False, optional: bool = False, index: bool = False) -> Any:
    """A moment, as microseconds since 1970 in UTC."""
    options: dict[str, Any] = {"default": None} if optional else {}
    return Field(
        sa_type=Moment,
        primary_key=key,
        nullable=optional,
        index=index,
        sa_column_kwargs={"comment": comment},
        **options,
    )


def raw(comment: str, *, optional: bool = False) -> Any:
    """Bytes, verbatim."""
    options: dict[str, Any] = {"default": None} if optional else {}
    return Field(
        sa_type=LargeBinary, nullable=optional, sa_column_kwargs={"comment": comment}, **options
    )
