"""What `bundle from-flower` refuses."""

from __future__ import annotations

from jobs.errors import JobsError


class FlowerAppRefused(JobsError):
    """A Flower app that cannot become a bundle; `reason` is its stable name (docs/authors.md)."""

    code = "flower-app-refused"
    advice = "change the app or its choices as the sentence says: docs/authors.md, Flower apps"

    def __init__(self, reason: str, sentence: str, *, remedy: str = "") -> None:
        super().__init__(f"{reason}: {sentence}", remedy=remedy or self.advice)
        self.reason = reason
