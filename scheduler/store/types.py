"""Column types that read the same on every engine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint
from sqlalchemy.types import TypeDecorator

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Moment(TypeDecorator[datetime]):
    """An aware UTC moment as whole microseconds since 1970: exact, sortable, portable."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> int | None:
        del dialect
        return None if value is None else (value - _EPOCH) // timedelta(microseconds=1)

    def process_result_value(self, value: int | None, dialect: Any) -> datetime | None:
        del dialect
        return None if value is None else _EPOCH + timedelta(microseconds=value)


def one_of(column: str, names: Any) -> CheckConstraint:
    """CHECK that `column` holds one of the values of the string enum `names`."""
    values = ", ".join(f"'{name.value}'" for name in names)
    return CheckConstraint(f"{column} IN ({values})", name=f"{column}_name")
