"""What the keyholder decides with, and what it says in its own name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from governance.batches.errors import BatchDenied
from governance.batches.history import History
from governance.batches.standing import Standing
from governance.keyholder.errors import RequestMalformed
from governance.keyholder.memory import Memory
from trust import clock as clocks
from trust.clock import Clock
from trust.documents import signed
from trust.documents.custody import KeyholderRefusal
from trust.documents.root import Duty
from trust.documents.signed import Document, Signed
from trust.entropy import Entropy
from trust.errors import TrustError
from trust.ids import CampaignId, Digest
from trust.keys import PrivateKey, PublicKey
from trust.root import TrustedRoot

D = TypeVar("D", bound=Document)


class Denied(Exception):
    """The signed refusal to send, and to log, with the epoch's retirement when there is one."""

    def __init__(self, envelope: bytes, problem: BatchDenied, retired: bytes | None) -> None:
        super().__init__(problem.sentence)
        self.envelope = envelope
        self.problem = problem
        self.retired = retired  # the raw envelope of an EpochRetired


@dataclass(frozen=True)
class Office:
    """The keyholder's keys, memory and views of the territory."""

    root: TrustedRoot
    key: PrivateKey  # of Duty.KEYHOLDER
    memory: Memory
    history: History
    standing: Standing
    bundle: Callable[[Digest], bytes | None]  # the voted bundle's bytes, from the log's site
    clock: Clock
    entropy: Entropy

    @property
    def territory(self) -> str:
        """Whose keyholder it is."""
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

    def trustee(self, cls: type[D], raw: bytes) -> tuple[Signed[D], PublicKey]:
        """A document that exactly one of the root's trustees signed. Raises RequestMalformed."""
        try:
            # Each trustee speaks alone; the root's threshold says how many must speak.
            found = signed.verify(cls, raw, self.root.keys(Duty.TRUSTEE).keys)
        except TrustError as error:
            raise RequestMalformed(
                f"not a {cls.__name__} of one of the territory's trustees: {error.sentence}",
                remedy="only trustees that the root names are answered",
            ) from error
        if getattr(found.document, "territory", self.territory) != self.territory:
            raise RequestMalformed(f"a {cls.__name__} of another territory")
        if len(found.signers) != 1:
            raise RequestMalformed(f"a {cls.__name__} is signed by one trustee alone")
        (signer,) = found.signers
        return found, signer

    def sign(self, document: Document) -> bytes:
        """The envelope of `document` under the keyholder's key."""
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
            refusal = KeyholderRefusal(
                territory=self.territory,
                campaign=campaign,
                round=number,
                code=problem.code,
                sentence=problem.sentence,
                refused_at=self.now(),
            )
            epoch = self.memory.epoch(campaign)
            retired = None if epoch is None else epoch.retired
            raise Denied(self.sign(refusal), problem, retired) from problem
