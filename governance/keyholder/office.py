"""What the keyholder decides with, and what it says in its own name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from governance.batches import office
from governance.batches.office import Denied
from governance.keyholder.errors import RequestMalformed
from governance.keyholder.memory import Memory
from governance.keyholder.schema import KEYHOLDER
from trust.documents import signed
from trust.documents.custody import KeyholderRefusal
from trust.documents.root import Duty
from trust.documents.signed import Document, Signed
from trust.errors import TrustError
from trust.ids import CampaignId
from trust.keys import PublicKey

__all__ = ["Denied", "Office"]

D = TypeVar("D", bound=Document)


@dataclass(frozen=True)
class Office(office.Office[Memory]):
    """The keyholder's keys, memory and views of the territory."""

    program = KEYHOLDER
    malformed = RequestMalformed
    refusal = KeyholderRefusal

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
        self.require_ours(found.document)
        if len(found.signers) != 1:
            raise RequestMalformed(f"a {cls.__name__} is signed by one trustee alone")
        (signer,) = found.signers
        return found, signer

    def retired(self, campaign: CampaignId) -> bytes | None:
        """The EpochRetired envelope of a campaign whose key is gone."""
        epoch = self.memory.epoch(campaign)
        return None if epoch is None else epoch.retired
