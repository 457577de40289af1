"""The column format of `protection.columns`, under the name that this package uses."""

from protection.columns import MAGIC, Column, Tables, decode, encode
from protection.errors import ColumnsMalformed

__all__ = ["MAGIC", "Column", "ColumnsMalformed", "Tables", "decode", "encode"]
