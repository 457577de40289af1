"""What the state of things does not allow, in the reader's language."""

from __future__ import annotations

from scheduler.errors import ActionRefused
from scheduler.web.actions.words import obstacle
from trust.problem import Kind
from web.errors import WebError
from web.sentences import mark


class NotNow(WebError):
    """The service's refusal of a deed, as pages and the API tell it."""

    code = ActionRefused.code
    kind = Kind.CONFLICT
    advice = mark("look at the newest state: nothing was done, and nothing was logged")

    @classmethod
    def of(cls, refused: ActionRefused) -> NotNow:
        """The same refusal."""
        return cls(obstacle(str(refused.why.value)))
