"""The numbers of statuses: workers take none that is lower than one they saw.

The last one is in the registry's file, so that restoring an old copy of it is noticed.
"""

from __future__ import annotations

from governance.errors import StateRefused
from governance.status.database import RegistryFile

MAXIMUM_NUMBER = 2**53  # one a second for as long as anybody needs; an SQL integer has room


class Numbers:
    """The counter in the registry's file; safe for many threads. Raises StorageFailed."""

    def __init__(self, file: RegistryFile) -> None:
        self._file = file

    def next(self) -> int:
        """The number of the status about to be published.

        Committed before it is returned: after a crash the next status has a higher number than
        anything a worker can have seen.
        """
        with self._file.transaction() as sql:
            sql.execute("UPDATE state SET number = number + 1")
            (number,) = sql.execute("SELECT number FROM state").fetchone()
        return int(number)

    def require(self, published: int) -> None:
        """Raise StateRefused when status `published` went out and this file does not know it."""
        with self._file.reading() as sql:
            (number,) = sql.execute("SELECT number FROM state").fetchone()
        if number < published:
            raise StateRefused(
                f"the registry is older than the status number {published} published from it: "
                f"it stands at {number}, and what was revoked since is missing",
                remedy="restore the newest copy of the whole folder; if there is none, start with "
                "--number-above the highest number any worker saw, and have consents handed in "
                "again",
            )

    def raise_above(self, above: int) -> None:
        """Let the next status have a number over `above`; a higher one stays."""
        if not 0 <= above <= MAXIMUM_NUMBER:
            raise StateRefused(
                f"a status number is 0 to {MAXIMUM_NUMBER}",
                remedy="give the highest number that a worker saw; it is in their refusals",
            )
        with self._file.transaction() as sql:
            sql.execute("UPDATE state SET number = max(number, ?)", [above])
