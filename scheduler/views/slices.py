"""Pages of long lists by key: after (or before) a row, never after so many rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, bindparam, literal, literal_column, tuple_

Key = str | int | float | datetime


@dataclass(frozen=True)
class Slice:
    """At most `limit` rows behind the row whose key is `after`; from the largest if `reverse`."""

    limit: int
    after: tuple[Key, ...] | None = None
    reverse: bool = False

    def cut(self, query: Any, columns: Sequence[Any], *, few: bool = False) -> Any:
        """`query` in the order of `columns`, behind the cursor, limited.

        Row values compare as one, so that an index over the columns is entered at the cursor.
        With `few`, what the query's own index finds is sorted instead: it is a handful of rows,
        and to look for them along the order might lead past all the others.
        """
        if few:
            columns = [_off_its_index(column) for column in columns]
        if self.after is not None:
            pairs = zip(self.after, columns, strict=True)
            edge = tuple_(*(literal(part, column.type) for part, column in pairs))
            row = tuple_(*columns)
            query = query.where(row < edge if self.reverse else row > edge)
        ordered = [column.desc() if self.reverse else column.asc() for column in columns]
        return query.order_by(*ordered).limit(self.limit)


def _off_its_index(column: Any) -> Any:
    """The column's value as an expression, which no index over the column serves."""
    return literal_column(f"+{column.table.name}.{column.name}", column.type)


def among(column: Any, states: Iterable[str]) -> ColumnElement[bool]:
    """Whether `column` holds one of `states`, written into the statement in this order.

    An index over some rows alone is used only where the condition is spelled as the index has it,
    which a bound parameter is not.
    """
    spelled: BindParameter[str] = bindparam(
        None, list(states), expanding=True, literal_execute=True
    )
    found: ColumnElement[bool] = column.in_(spelled)
    return found
