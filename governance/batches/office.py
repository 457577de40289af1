"""What helper and keyholder decide with, what they say in their own name, and how it is opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Generic, Self, TypeVar

from governance import held_root
from governance.batches import sources
from governance.batches.errors import BatchDenied
from governance.batches.history import History
from governance.batches.standing import Standing
from governance.errors import GovernanceError
from governance.program import Program
from governance.state_file import StateFile
from trust import clock as clocks
from trust.clock import Clock
from trust.documents import signed
from trust.documents.aggregation import BatchQuestion, HelperRefusal
from trust.documents.campaign import Plan
from trust.documents.custody import KeyholderRefusal
from trust.documents.root import Duty
from trust.documents.signed import Document, Signed
from trust.entropy import SYSTEM, Entropy
from trust.errors import TrustError
from trust.ids import CampaignId, Digest
from trust.keys import PrivateKey
from trust.root import TrustedRoot

D = TypeVar("D", bound=Document)
M = TypeVar("M", bound=StateFile)


class Denied(Exception):
    """The signed refusal to send, and to log, and the key's retirement beside it."""

    def __init__(self, envelope: bytes, problem: BatchDenied, retired: bytes | None = None) -> None:
        super().__init__(problem.sentence)
        self.envelope = envelope
        self.problem = problem
        self.retired = retired  # the raw envelope of an EpochRetired; the keyholder's only


@dataclass(frozen=True)
class Office(Generic[M]):
    """One opener's key, memory and views of the territory."""

    root: TrustedRoot
    key: PrivateKey  # of the opener's duty
    memory: M
    history: History
    standing: Standing
    bundle: Callable[[Digest], bytes | None]  # the voted bundle's bytes, from the log's site
    clock: Clock
    entropy: Entropy

    program: ClassVar[Program]
    malformed: ClassVar[type[GovernanceError]]  # a request that is none of the leader's
    refusal: ClassVar[type[HelperRefusal | KeyholderRefusal]]

    @classmethod
    @contextmanager
    def open(
        cls,
        remember: Callable[[Path, str], M],
        folder: Path,
        root_raw: bytes,
        address: str,
        clock: Clock,
    ) -> Iterator[Self]:
        """The office in `folder`; what is wrong is found before anything is written.

        `address` is the scheduler's public site, from which log and objects are read. Raises
        the program's `refused`, and what `held_root.judge` raises.
        """
        trusted = held_root.judge(folder, root_raw)
        trusted.require_current(clock.now())
        key = cls.program.sole_key(folder, trusted)
        with closing(remember(folder, trusted.document.territory)) as memory:
            held_root.keep(folder, root_raw)
            yield cls(
                root=trusted,
                key=key,
                memory=memory,
                history=sources.history_at(trusted, address),
                standing=sources.standing_of(trusted, memory, clock),
                bundle=sources.bundles_at(address),
                clock=clock,
                entropy=SYSTEM,
            )

    @property
    def territory(self) -> str:
        """Whose opener it is."""
        return self.root.document.territory

    def leader(self, cls: type[D], raw: bytes) -> Signed[D]:
        """A document signed by the territory's order key. Raises `malformed`."""
        try:
            found = self.root.verify(cls, raw, Duty.ORDERS)
        except TrustError as error:
            raise self.malformed(
                f"not a {cls.__name__} under the territory's order key: {error.sentence}",
                remedy="only the scheduler that the root names is answered",
            ) from error
        self.require_ours(found.document)
        return found

    def require_asked(self, question: BatchQuestion, plan: Plan, content: Digest) -> None:
        """Raise `malformed` unless the leader's question is about exactly what came with it."""
        if (question.campaign, question.round, question.content) != (
            plan.campaign,
            plan.round,
            content,
        ):
            raise self.malformed(
                "the leader's question is about other reports than those that came with it",
                remedy="the leader asks again; if this lasts, somebody is between the two",
            )

    def require_ours(self, document: Document) -> None:
        """Raise `malformed` for a document of another territory."""
        if getattr(document, "territory", self.territory) != self.territory:
            raise self.malformed(f"a {type(document).__name__} of another territory")

    def sign(self, document: Document) -> bytes:
        """The envelope of `document` under the opener's key."""
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
            refusal = self.refusal(
                territory=self.territory,
                campaign=campaign,
                round=number,
                code=problem.code,
                sentence=problem.sentence,
                refused_at=self.now(),
            )
            raise Denied(self.sign(refusal), problem, self.retired(campaign)) from problem

    def retired(self, campaign: CampaignId) -> bytes | None:
        """The notice that a refusal comes with, where the opener retired the campaign's key."""
        del campaign
        return None
