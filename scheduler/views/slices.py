"""Pages of long lists by key: after (or before) a row, never after so many rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, bindparam, literal, tuple_

Key = str | int | float | datetime


@dataclass(frozen=True)
class Slice:
    """At most `limit` rows behind the row whose key is `after`; from the largest if `reverse`."""

    limit: int
    after: tuple[Key, ...] | None = None
    reverse: bool = False

    def cut(self, query: Any, columns: Sequence[Any]) -> Any:
        """`query` in the order of `columns`, behind the cursor, limited.

        Row values compare as one, so that an index over the columns is entered at the cursor.
        """
        if self.after is not None:
            pairs = zip(self.after, columns, strict=True)
            edge = tuple_(*(literal(part, column.type) for part, column in pairs))
            row = tuple_(*columns)
            query = query.where(row < edge if self.reverse else row > edge)
        ordered = [column.desc() if self.reverse else column.asc() for column in columns]
        return query.order_by(*ordered).limit(self.limit)


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
