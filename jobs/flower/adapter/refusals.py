"""Why an app is stopped: a name that never changes, and a sentence for its author."""

from __future__ import annotations

# How a refusal is found again in what a sandboxed process said (jobs/flower/probe.py reads it).
SIGN = "flower-refused"


class Stopped(Exception):
    """What the app did cannot be done here; `name` is stable, for tests and for people's searches.

    Only its author ever reads it, in `bundle from-flower` and `bundle try`: in a campaign a
    contribution that is refused is neutral, and a refused `conclude` ends the campaign.
    """

    def __init__(self, name: str, sentence: str) -> None:
        super().__init__(f"{SIGN}[{name}]: {sentence}")
        self.name = name


class Suspended(BaseException):
    """The ServerApp sent a message that nobody has answered yet: here its run ends for now.

    A BaseException, so that an author's `except Exception` lets it pass.
    """
