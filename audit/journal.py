"""The record of an audit: one line per check, in order, and what nobody can check from files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from audit.errors import AuditFailure
from terminal.words import one_line
from trust.problem import Problem

T = TypeVar("T")


@dataclass(frozen=True)
class Line:
    """One check: its stable name, whether it held, what was found and, if bad, what helps."""

    check: str
    ok: bool
    found: str
    remedy: str = ""


class Halted(Exception):
    """A check failed on which every later one rests."""


@dataclass
class Journal:
    """Collects lines; a check is a function that returns what it found or raises a Problem."""

    lines: list[Line] = field(default_factory=list)
    not_checked: list[str] = field(default_factory=list)

    @property
    def failed(self) -> tuple[str, ...]:
        """The names of the checks that did not hold."""
        return tuple(line.check for line in self.lines if not line.ok)

    @property
    def remedies(self) -> tuple[str, ...]:
        """What helps against the failed checks, each once, in their order."""
        return tuple(dict.fromkeys(line.remedy for line in self.lines if line.remedy))

    def base(self, name: str, check: Callable[[], tuple[T, str]]) -> T:
        """Run a check whose result later ones need. Raises Halted once it is recorded as failed."""
        try:
            value, found = check()
        except Exception as error:
            self._failed(name, error)
            raise Halted(name) from error
        self._note(name, found, ok=True)
        return value

    def check(self, name: str, check: Callable[[], str]) -> None:
        """Run a check that no other one rests on; the audit goes on whatever it finds."""
        try:
            found = check()
        except Exception as error:  # noqa: BLE001 - see _failed
            self._failed(name, error)
            return
        self._note(name, found, ok=True)

    def _failed(self, name: str, error: Exception) -> None:
        # Evidence is hostile input: whatever it does to this program, the check has not held.
        sentence = (
            error.sentence
            if isinstance(error, Problem)
            else f"this program could not read it ({type(error).__name__}: {str(error)[:200]})"
        )
        remedy = error.remedy if isinstance(error, Problem) else ""
        self._note(name, sentence, ok=False, remedy=remedy or AuditFailure.advice)

    def _note(self, name: str, found: str, *, ok: bool, remedy: str = "") -> None:
        # Words of evidence stand in what was found: they must not forge a line of this journal.
        self.lines.append(Line(name, ok, one_line(found), one_line(remedy)))
