"""What the helper decides with, and what it says in its own name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from governance.batches.errors import BatchDenied
from governance.batches.history import History
from governance.batches.standing import Standing
from governance.helper.errors import RequestMalformed
from governance.helper.memory import Memory
from trust import clock as clocks
from trust.clock import Clock
from trust.documents import signed
from trust.documents.aggregation import HelperRefusal
from trust.documents.root import Duty
from trust.documents.signed import Document, Signed
from trust.entropy import Entropy
from trust.errors import TrustError
from trust.ids import CampaignId, Digest
from trust.keys import PrivateKey
from trust.root import TrustedRoot

D = TypeVar("D", bound=Document)


class Denied(Exception):
    """The signed refusal to send, and to log."""

    def __init__(self, envelope: bytes, problem: BatchDenied) -> None:
        super().__init__(problem.sentence)
        self.envelope = envelope
        self.problem = problem


@dataclass(frozen=True)
class Office:
    """The helper's keys, memory and views of the territory."""

    root: TrustedRoot
    key: PrivateKey  # of Duty.HELPER
    memory: Memory
    history: History
    standing: Standing
    bundle: Callable[[Digest], bytes | None]  # a public object of the log's site
    clock: Clock
    entropy: Entropy

    @property
    def territory(self) -> str:
        """Whose helper it is."""
        return self.root.document.territory

    def leader(self, cls: type[D], raw: bytes) -> Signed[D]:
        """A document signed by the territory's order key. Raises RequestMalformed."""
        try:
            found = self.root.verify(cls, raw, Duty.ORDERS)
        except TrustError as error:
            raise RequestMalformed(
                f"not a {cls.__name__} under the territory's order key: {error.sentence}",
                remedy="only the scheduler that the root names is answered",
            ) from error
        if getattr(found.document, "territory", self.territory) != self.territory:
            raise RequestMalformed(f"a {cls.__name__} of another territory")
        return found

    def sign(self, document: Document) -> bytes:
        """The envelope of `document` under the helper's key."""
        return signed.sign(document, [self.key]).envelope.raw

    def now(self) -> datetime:
        """The moment, in whole seconds as documents write it."""
        return clocks.from_text(clocks.to_text(self.clock.now()))

    @contextmanager
    def denying(self, campaign: CampaignId, number: int) -> Iterator[None]:
        """Turn a BatchDenied inside into a signed `Denied`."""
        try:
            yield
        except BatchDenied as problem:
            refusal = HelperRefusal(
                territory=self.territory,
                campaign=campaign,
                round=number,
                code=problem.code,
                sentence=problem.sentence,
                refused_at=self.now(),
            )
            raise Denied(self.sign(refusal), problem) from problem
