"""Lists: what the address asks for, one page of rows, and its three forms from one definition."""

from web.listing.cursor import Cursor
from web.listing.page import Listing, in_memory, of
from web.listing.state import ListState
from web.listing.table import Choice, Column, Filter, Key, Since, Sort, Table, Text

__all__ = [
    "Choice", "Column", "Cursor", "Filter", "Key", "ListState", "Listing", "Since", "Sort",
    "Table", "Text", "in_memory", "of",
]  # fmt: skip
