"""What the state of things does not allow, in the reader's language."""

from __future__ import annotations

from scheduler.errors import ActionRefused
from scheduler.web.actions.words import obstacle
from trust.problem import Kind
from web.errors import WebError
from web.sentences import mark


class NotNow(WebError):
    """What an operator wants to do by hand, and the rules or the state of things do not allow."""

    code = "action-refused"  # the service's own, told in the reader's language
    kind = Kind.CONFLICT
    advice = mark("open the page again to see how things stand: nothing was done, nothing logged")

    @classmethod
    def of(cls, refused: ActionRefused) -> NotNow:
        """The same refusal."""
        return cls(obstacle(str(refused.why.value)))
