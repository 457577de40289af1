"""What the helper decides with, and what it says in its own name."""

from __future__ import annotations

from dataclasses import dataclass

from governance.batches import office
from governance.batches.office import Denied
from governance.helper.errors import RequestMalformed
from governance.helper.memory import Memory
from governance.helper.schema import HELPER
from trust.documents.aggregation import HelperRefusal

__all__ = ["Denied", "Office"]


@dataclass(frozen=True)
class Office(office.Office[Memory]):
    """The helper's keys, memory and views of the territory."""

    program = HELPER
    malformed = RequestMalformed
    refusal = HelperRefusal
